//! ML142: files whose names say that they hold secrets.

use std::path::PathBuf;

use corten_diagnostic::{Place, RuleId, Severity};

use super::{Found, Initially, Rule, Run};
use crate::CheckInput;

pub(super) const RULE: Rule = Rule {
    id: RuleId("ML142"),
    name: "secret-file",
    severity: Severity::Error,
    what: "A file that enters the image is called like one that holds secrets.",
    why: "Whoever can pull the image can read every file of every layer; deleting it in a later layer does not help.",
    bad: "files = [{ path = 'main.py' }, { path = 'config/.env.production' }]",
    good: "files = [{ path = 'main.py' }, { path = 'config/.env.example' }]",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(run),
};

fn run(input: &CheckInput<'_>, found: &mut Found) {
    for file in input.files.iter().filter(|file| is_secret(file.path)) {
        let message = format!("'{}' is called like a file that holds secrets", file.path);
        found.add(
            Place::Source(PathBuf::from(file.path)),
            message,
            format!("put '{}' into .dockerignore and give the secret to the container when it starts", file.path),
        );
    }
}

/// Exact names, in lower case.
const NAMES: [&str; 33] = [
    ".env",
    ".envrc",
    ".netrc",
    "_netrc",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "kaggle.json",
    "credentials",
    "credentials.json",
    "credentials.yaml",
    "credentials.yml",
    "client_secret.json",
    "application_default_credentials.json",
    ".npmrc",
    ".pypirc",
    "pip.conf",
    "kubeconfig",
    ".git-credentials",
    ".htpasswd",
    ".pgpass",
    ".my.cnf",
    ".dockercfg",
    ".vault-token",
    ".vault_pass",
    "secrets.toml",
    "secrets.yaml",
    "secrets.yml",
    "secrets.json",
    "terraform.tfstate",
    ".s3cfg",
    ".boto",
];

/// Ends of paths, in lower case.
const PATHS: [&str; 5] =
    [".kube/config", ".docker/config.json", "huggingface/token", ".huggingface/token", ".streamlit/secrets.toml"];

const EXTENSIONS: [&str; 9] = ["key", "p12", "pfx", "jks", "keystore", "ppk", "kdbx", "tfstate", "asc"];

/// Example files and certificates are made to be seen; so is what tests come with.
pub(crate) fn is_secret(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let mut folders: Vec<&str> = path.split('/').collect();
    let Some(name) = folders.pop() else { return false };
    if folders.iter().any(|folder| matches!(*folder, "test" | "tests" | "testdata" | "fixtures")) {
        return false;
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let has = |words: &[&str]| words.iter().any(|word| stem.contains(word));
    NAMES.contains(&name)
        || folders.last() == Some(&".aws")
        || PATHS.iter().any(|end| path.ends_with(end))
        || name
            .strip_prefix(".env.")
            .is_some_and(|kind| !matches!(kind, "example" | "sample" | "template" | "dist" | "schema"))
        || (EXTENSIONS.contains(&extension) && (extension != "asc" || has(&["private", "secret"])))
        || (extension == "pem" && !has(&["cert", "chain", "bundle", "ca-", "ca_", "pub", "root"]) && stem != "ca")
        || (extension == "json" && (stem.starts_with("service-account") || stem.starts_with("service_account")))
}
