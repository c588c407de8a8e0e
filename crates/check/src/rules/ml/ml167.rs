//! ML167: connections that nobody checks.

use corten_diagnostic::{Edit, RuleId, Severity};

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run, unsafe_fix};
use crate::shell::{Call, Word};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML167"),
    name: "tls-off",
    severity: Severity::Error,
    what: "The check of certificates or signatures is switched off.",
    why: "Whoever is on the way can put in what they like: packages, keys, models. Where a company has its own authority, its certificate belongs into the image (COPY ca.crt /usr/local/share/ca-certificates/, update-ca-certificates).",
    bad: "FROM python:3.12-slim\nRUN curl -k https://example.com/a.tar.gz -o /tmp/a.tar.gz\nUSER 1000\n",
    good: "FROM python:3.12-slim\nRUN curl -f https://example.com/a.tar.gz -o /tmp/a.tar.gz\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

/// Variables, and the values that switch the check off.
const VARIABLES: [(&str, &[&str]); 6] = [
    ("PYTHONHTTPSVERIFY", &["0"]),
    ("NODE_TLS_REJECT_UNAUTHORIZED", &["0"]),
    ("GIT_SSL_NO_VERIFY", &["1", "true"]),
    ("NPM_CONFIG_STRICT_SSL", &["false"]),
    ("PIP_TRUSTED_HOST", &[]),
    ("HF_HUB_DISABLE_SSL", &["1", "true"]),
];

fn run(lint: &Lint<'_>, found: &mut Found) {
    let help = "leave it out; bring the certificate of your authority into the image where one is needed";
    for (step, call) in lint.calls() {
        if let Some(word) = switched_off(&call) {
            let message = format!("{} is told to trust anybody: {}", call.name, word.shown());
            let edits = if step.exec().is_none() { checked(lint, &call, word) } else { None };
            let fix = edits.and_then(|edits| unsafe_fix("check again", edits));
            found.fixed(lint.place(word.at.clone()), message, help, fix);
        }
    }
    for one in lint.definitions() {
        let Some((_, off)) = VARIABLES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&one.name)) else { continue };
        let value = one.value.as_deref().unwrap_or_default();
        if (off.is_empty() && !value.is_empty()) || off.iter().any(|known| known.eq_ignore_ascii_case(value)) {
            found.add(lint.place(one.name_at.clone()), format!("{}={value} trusts anybody", one.name), help);
        }
    }
}

fn switched_off<'s>(call: &Call<'s>) -> Option<&'s Word> {
    let long = |names: &[&str]| {
        call.arguments().iter().find(|word| names.iter().any(|name| word.known_start().split('=').next() == Some(name)))
    };
    match call.name.as_ref() {
        "curl" => {
            call.flags().into_iter().find(|flag| flag.name == "k" || flag.name == "insecure").map(|flag| flag.word)
        }
        "wget" => long(&["--no-check-certificate"]),
        "pip" | "pip3" | "uv" => long(&["--trusted-host", "--allow-insecure-host"]),
        "python" | "python3" if call.has("pip") => long(&["--trusted-host"]),
        "apk" => long(&["--allow-untrusted"]),
        "apt-get" | "apt" => long(&["--allow-unauthenticated", "--force-yes", "--allow-insecure-repositories"]),
        "yum" | "dnf" | "microdnf" | "zypper" => long(&["--nogpgcheck", "--no-gpg-checks"]),
        "rpm" => long(&["--nosignature"]),
        "npm" | "yarn" => {
            let at = call.arguments().iter().position(|word| word.shown().starts_with("strict-ssl"))?;
            let word = call.arguments().get(at)?;
            let is_off =
                word.shown().ends_with("=false") || call.arguments().get(at + 1).is_some_and(|next| next.is("false"));
            is_off.then_some(word)
        }
        "git" => {
            call.arguments().iter().find(|word| word.shown().eq_ignore_ascii_case("http.sslVerify=false")).or_else(
                || {
                    let at =
                        call.arguments().iter().position(|word| word.shown().eq_ignore_ascii_case("http.sslVerify"))?;
                    call.arguments().get(at + 1).filter(|word| word.is("false"))
                },
            )
        }
        "conda" | "mamba" => {
            let at = call.arguments().iter().position(|word| word.is("ssl_verify"))?;
            call.arguments().get(at + 1).filter(|word| word.is("false") || word.is("False"))
        }
        _ => None,
    }
}

/// Without the word: also a host that belongs to it; of letters together the one.
fn checked(lint: &Lint<'_>, call: &Call<'_>, word: &Word) -> Option<Vec<Edit>> {
    let written = word.literal()?;
    if lint.text(word.at.clone()) != written || !written.starts_with('-') {
        return None;
    }
    if !written.starts_with("--") && written.len() > 2 {
        let letter = word.at.start + written.find('k').filter(|_| call.is("curl"))?;
        return Some(vec![lint.edit(letter..letter + 1, "")]);
    }
    let whole = match ["--trusted-host", "--allow-insecure-host"].contains(&written.as_ref()) {
        true => {
            let at = call.arguments().iter().position(|one| one.at == word.at)?;
            let host = call.arguments().get(at + 1)?;
            let is_beside = lint.text(word.at.end..host.at.start).chars().all(|blank| blank == ' ');
            is_beside.then_some(word.at.start..host.at.end)?
        }
        false => word.at.clone(),
    };
    Some(vec![lint.without_word(&whole)?])
}
