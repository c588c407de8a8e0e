//! How secrets are called and how they look. What is found is never shown whole.

use std::ops::Range;

use crate::shell::{Call, Word};

/// Words of a name that make it one of a secret.
const SECRET: [&str; 13] = [
    "secret",
    "secrets",
    "password",
    "passwd",
    "pwd",
    "pword",
    "passphrase",
    "token",
    "apikey",
    "credential",
    "credentials",
    "passcode",
    "privatekey",
];

/// Last words that say what of a secret it is: no secret itself.
const ABOUT: [&str; 34] = [
    "file",
    "path",
    "dir",
    "folder",
    "url",
    "uri",
    "name",
    "id",
    "length",
    "len",
    "count",
    "size",
    "limit",
    "ttl",
    "type",
    "version",
    "sock",
    "parallelism",
    "format",
    "header",
    "algorithm",
    "expiry",
    "timeout",
    "endpoint",
    "server",
    "host",
    "min",
    "max",
    "enabled",
    "user",
    "username",
    "region",
    "module",
    "provider",
];

/// Words before `key` that make it public, or a key of something else.
const PUBLIC: [&str; 9] = ["public", "pub", "gpg", "pgp", "apt", "cache", "sort", "primary", "foreign"];

/// Is it called like a secret? `TOKENIZERS_PARALLELISM`, `MAX_NEW_TOKENS`, `SSH_AUTH_SOCK`, `DB_PASSWORD_FILE` are not.
pub fn is_secret_name(name: &str) -> bool {
    let small = name.to_ascii_lowercase();
    let words: Vec<&str> = small.split(['_', '-', '.']).filter(|word| !word.is_empty()).collect();
    let Some(last) = words.last() else { return false };
    if small == "aws_access_key_id" {
        return true;
    }
    if ABOUT.contains(last) || words.iter().any(|word| PUBLIC.contains(word)) {
        return false;
    }
    let is_key = words.len() > 1 && ["key", "keys"].contains(last)
        || ["apikey", "secretkey"].iter().any(|end| last.ends_with(end));
    let is_other = words.iter().any(|word| SECRET.contains(word)) && !words.contains(&"tokens");
    is_key || is_other
}

/// Nothing, a number, a switch, a path, a variable: of ENV, none of these is a secret.
pub fn is_harmless_value(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    let is_switch =
        ["true", "false", "yes", "no", "on", "off", "none", "null"].contains(&value.to_ascii_lowercase().as_str());
    value.is_empty() || is_switch || value.starts_with('/') || value.bytes().all(|byte| byte.is_ascii_digit())
}

/// How tokens of services begin, how many letters follow at least, and what they are.
const TOKENS: [(&str, usize, &str); 21] = [
    ("hf_", 30, "a token of Hugging Face"),
    ("sk-ant-", 20, "a key of Anthropic"),
    ("sk-proj-", 20, "a key of OpenAI"),
    ("sk-", 32, "a key of OpenAI or its like"),
    ("nvapi-", 20, "a key of NVIDIA"),
    ("ghp_", 30, "a token of GitHub"),
    ("gho_", 30, "a token of GitHub"),
    ("ghs_", 30, "a token of GitHub"),
    ("ghu_", 30, "a token of GitHub"),
    ("github_pat_", 30, "a token of GitHub"),
    ("glpat-", 18, "a token of GitLab"),
    ("AKIA", 16, "a key of AWS"),
    ("ASIA", 16, "a key of AWS"),
    ("AIza", 35, "a key of Google"),
    ("xoxb-", 20, "a token of Slack"),
    ("xoxp-", 20, "a token of Slack"),
    ("pypi-", 50, "a token of PyPI"),
    ("npm_", 34, "a token of npm"),
    ("dckr_pat_", 20, "a token of Docker"),
    ("r8_", 30, "a token of Replicate"),
    ("lsv2_", 30, "a key of LangSmith"),
];

/// Secrets that are known by how they look, in bytes of the text, each with what it is.
pub fn literals(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let mut at = 0;
    for piece in text.split(|letter| !is_letter(letter)) {
        if let Some((start, what)) = token(piece) {
            let shown: String = start.chars().chain(['…']).collect();
            found.push((at..at + piece.len(), format!("{what} ({shown})")));
        }
        at += piece.len();
        at += text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    if let Some(start) = text.find("-----BEGIN ").filter(|at| text.get(*at..).is_some_and(is_private_key)) {
        found.push((start..start + 11, "a private key".to_owned()));
    }
    found.extend(addresses(text));
    found
}

fn is_private_key(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains("PRIVATE KEY"))
}

fn token(piece: &str) -> Option<(&'static str, &'static str)> {
    let (start, _, what) = TOKENS.iter().find(|(start, least, _)| {
        piece.strip_prefix(start).is_some_and(|rest| rest.len() >= *least && is_random(rest))
    })?;
    Some((start, what))
}

/// `xxxxxxxx`, `your-token-here` are not.
fn is_random(text: &str) -> bool {
    let mut letters: Vec<char> = text.to_ascii_lowercase().chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let small = text.to_ascii_lowercase();
    letters.len() >= 8
        && !["your", "example", "xxxx", "placeholder", "token-here", "changeme"].iter().any(|word| small.contains(word))
}

/// `https://user:password@host`.
fn addresses(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find(|letter: char| letter.is_whitespace() || "/'\"`|;)".contains(letter)).unwrap_or(rest.len());
        let Some((user, _)) = rest.get(..end).and_then(|authority| authority.rsplit_once('@')) else { continue };
        let Some((_, password)) = user.split_once(':') else { continue };
        if !is_placeholder(password) {
            found.push((start..start + user.len(), "a password in an address".to_owned()));
        }
    }
    found
}

/// What stands for a secret, and is none.
fn is_placeholder(value: &str) -> bool {
    let small = value.to_ascii_lowercase();
    let is_word = [
        "password",
        "pass",
        "secret",
        "token",
        "changeme",
        "example",
        "user",
        "xxx",
        "postgres",
        "root",
        "x-oauth-basic",
    ]
    .contains(&small.as_str());
    let is_marked = small.contains(['$', '<', '{', '%', '*', '…']) || small.contains("your") || small.starts_with("xx");
    value.len() < 4 || is_word || is_marked
}

/// A secret that a program is given: `docker login -p X`, `hf auth login --token X`, `curl -u user:X`.
pub fn given<'s>(call: &Call<'s>) -> Option<(&'s Word, String)> {
    let is_login = call.has("login");
    let (options, what): (&[&str], &str) = match call.name.as_ref() {
        "docker" | "podman" | "helm" | "crane" | "oras" | "skopeo" | "buildah" if is_login => {
            (&["-p", "--password"], "a password")
        }
        "hf" | "huggingface-cli" => (&["--token"], "a token"),
        "curl" => (&["-u", "--user"], "a password"),
        "wget" => (&["--password", "--http-password"], "a password"),
        "sshpass" => (&["-p"], "a password"),
        "kaggle" | "az" | "gcloud" | "gh" | "glab" => (&["--password", "--token", "--key"], "a secret"),
        "wandb" if is_login => {
            let key = call.operands().nth(1)?;
            let text = key.literal()?;
            return (text.len() >= 20 && is_random(&text)).then(|| (key, "a key of wandb".to_owned()));
        }
        _ => return None,
    };
    let arguments = call.arguments();
    let found = arguments.iter().enumerate().find_map(|(at, word)| {
        let text = word.literal()?;
        let joined = options.iter().find_map(|option| text.strip_prefix(option)?.strip_prefix('=').map(str::to_owned));
        match joined {
            Some(value) => Some((word, value)),
            None if options.contains(&text.as_ref()) => {
                let next = arguments.get(at + 1)?;
                Some((next, next.literal()?.into_owned()))
            }
            None => None,
        }
    });
    let (word, value) = found?;
    let secret = if call.is("curl") { value.split_once(':')?.1.to_owned() } else { value };
    (!is_placeholder(&secret)).then(|| (word, format!("{what} for {}", call.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hadolint 2.15.1 and BuildKit's expression get wrong (supply-chain.md §0.2).
    #[test]
    fn names_that_only_sound_like_secrets_are_none() {
        for name in [
            "TOKENIZERS_PARALLELISM",
            "MAX_NEW_TOKENS",
            "USERNAME",
            "DB_PASSWORD_FILE",
            "SSH_AUTH_SOCK",
            "HF_TOKEN_PATH",
            "KEYBOARD",
            "KEYCLOAK_URL",
            "PUBLIC_KEY",
            "GPG_KEY",
            "SECRET_ID",
            "TOKEN_TTL",
            "AUTH_MODULE_VERSION",
            "MONKEY",
            "KEY",
            "_",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
        for name in [
            "OPENAI_KEY",
            "APIKEY",
            "OPENAI_API_KEY",
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "DB_PASSWORD",
            "password",
            "LANGSMITH_API_KEY",
            "WANDB_API_KEY",
            "MY-SECRET",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for value in ["", "\"\"", "false", "1", "/run/secrets/x"] {
            assert!(is_harmless_value(value), "{value}");
        }
        assert!(!is_harmless_value("hunter2"));
    }

    #[test]
    fn placeholders_and_variables_are_no_secrets() {
        for text in [
            "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "hf_your_token_here_your_token_here_1",
            "sk-...",
            "hf_$TOKEN",
            "https://user:$PASSWORD@host/x",
            "https://user:${PASSWORD}@host/x",
            "https://<user>:<password>@host",
            "https://user@host/x",
            "http://localhost:8000/a@b",
            "task-abcdefghijklmnopqrstuvwxyz0123456789abcdef",
            "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(literals(text), [], "{text}");
        }
        for (text, part) in [
            ("x hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345 y", "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345"),
            ("é AKIAIOSFODNN7ABCDEFG", "AKIAIOSFODNN7ABCDEFG"),
            ("git clone https://me:hunter22@git.example.com/x", "me:hunter22"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN "),
        ] {
            let found = literals(text);
            assert_eq!(found.iter().map(|(range, _)| &text[range.clone()]).collect::<Vec<_>>(), [part]);
            assert!(!found[0].1.contains("hunter") && !found[0].1.contains("aBcDeF"), "never a secret");
        }
    }
}
