//! ML166: whatever a server says, run at once.

use corten_diagnostic::{RuleId, Severity};

use crate::lint::Lint;
use crate::rules::{Found, Initially, Rule, Run};
use crate::shell::{Command, CommandKind, PartKind, Simple, Visited, base_name};

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML166"),
    name: "curl-sh",
    severity: Severity::Warning,
    what: "A script is fetched and run without being looked at.",
    why: "Whoever controls that server, or the way to it, runs code in your build; and it may be another script tomorrow. Fetch, compare a checksum, then run; or take the program from an image: COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/.",
    bad: "FROM python:3.12-slim\nRUN curl -fsSL https://example.com/install.sh | sh\nUSER 1000\n",
    good: "FROM python:3.12-slim\nADD --checksum=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 https://example.com/install.sh /tmp/\nRUN sh /tmp/install.sh\nUSER 1000\n",
    aliases: &[],
    initially: Initially::On,
    run: Run::Dockerfile(run),
};

const SHELLS: [&str; 9] = ["sh", "bash", "dash", "zsh", "ash", "python", "python3", "perl", "node"];

/// A checksum in between is what is wanted.
fn run(lint: &Lint<'_>, found: &mut Found) {
    for (step, script) in lint.runs() {
        if step.line().text.contains("sha256sum") || step.line().text.contains("gpg --verify") {
            continue;
        }
        script.visit(&mut |visited, _| {
            let Visited::Item(item) = visited else { return };
            let names: Vec<Option<String>> = item.pipeline.commands.iter().map(program).collect();
            let fetches = names.iter().position(|name| matches!(name.as_deref(), Some("curl" | "wget")));
            let runs = names.iter().rposition(|name| name.as_deref().is_some_and(|name| SHELLS.contains(&name)));
            let is_piped = fetches
                .zip(runs)
                .is_some_and(|(fetches, runs)| fetches < runs && takes_stdin(&item.pipeline.commands[runs]));
            let within = item.pipeline.commands.iter().any(runs_what_is_fetched);
            if is_piped || within {
                let help = if step.line().text.contains("astral.sh/uv") {
                    "COPY --from=ghcr.io/astral-sh/uv:VERSION /uv /uvx /bin/"
                } else {
                    "fetch it with ADD --checksum=sha256:…, then run it"
                };
                found.add(lint.place(item.pipeline.at.clone()), "what a server says is run at once", help);
            }
        });
    }
}

fn simple(command: &Command) -> Option<&Simple> {
    if let CommandKind::Simple(simple) = &command.kind { Some(simple) } else { None }
}

/// Behind `sudo` and `env`.
fn program(command: &Command) -> Option<String> {
    let words = &simple(command)?.words;
    let names = words.iter().map(|word| word.literal().map(|name| base_name(&name).to_owned()).unwrap_or_default());
    names.into_iter().find(|name| !["sudo", "env", "-E", "-H"].contains(&name.as_str()) && !name.contains('='))
}

/// `bash`, `sh -s -- -y`, `python3 -`; not `python3 -c "…"`, `sh script`.
fn takes_stdin(command: &Command) -> bool {
    let Some(simple) = simple(command) else { return false };
    let rest = simple
        .words
        .iter()
        .skip_while(|word| !SHELLS.iter().any(|shell| word.literal().is_some_and(|name| base_name(&name) == *shell)));
    let arguments: Vec<String> = rest.skip(1).map(|word| word.shown().into_owned()).collect();
    match arguments.iter().position(|argument| !argument.starts_with('-') || argument == "-") {
        None => !arguments.iter().any(|argument| ["-c", "-m", "-e"].contains(&argument.as_str())),
        Some(at) => arguments[at] == "-" || arguments[..at].iter().any(|argument| argument == "-s"),
    }
}

/// `sh -c "$(curl …)"`, `bash <(curl …)`, `eval "$(curl …)"`.
fn runs_what_is_fetched(command: &Command) -> bool {
    let Some(simple) = simple(command) else { return false };
    let is_shell =
        program(command).is_some_and(|name| SHELLS.contains(&name.as_str()) || name == "eval" || name == "source");
    let fetches = |list: &crate::shell::List| {
        let first = list.items.first().and_then(|item| item.pipeline.commands.first());
        first.and_then(program).is_some_and(|name| name == "curl" || name == "wget")
    };
    is_shell
        && simple.words.iter().flat_map(|word| &word.parts).any(|part| match &part.kind {
            PartKind::Substitution { list, .. } | PartKind::Process(list) => fetches(list),
            _ => false,
        })
}
