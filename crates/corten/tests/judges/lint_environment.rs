//! hadolint's variables of the environment beside hadolint itself: the same rules, severities and exit status, with settings files
//! and options between.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::place::{command, ended, new_folder, said};

const DOCKERFILE: &str = "FROM quay.io/a:1\n# hadolint ignore=DL3015\nRUN apt-get install -y curl\nRUN cd /x && make | tee x\n\
    LABEL maintainer=me name=\"a b\"\n";

/// Settings, variables, options of both.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// Not `none` as a threshold: nothing fails by it here, and everything there.
const CASES: [Case; 23] = [
    ("", &[], &[]),
    ("", &[("IGNORE", "DL3008,DL4006")], &[]),
    ("ignored: [DL4006]", &[("IGNORE", "DL3008")], &["--ignore", "DL3003"]),
    ("", &[("IGNORE", "nonsense")], &[]),
    ("failure-threshold: info", &[("FAILURE_THRESHOLD", "error")], &[]),
    ("failure-threshold: error", &[("FAILURE_THRESHOLD", "info")], &[]),
    ("", &[("FAILURE_THRESHOLD", "error")], &[]),
    ("", &[("FAILURE_THRESHOLD", "error")], &["--failure-threshold", "info"]),
    ("", &[("FAILURE_THRESHOLD", "info")], &["--failure-threshold", "error"]),
    ("", &[("FAILURE_THRESHOLD", "loud")], &[]),
    ("", &[("NOFAIL", "Yes")], &[]),
    ("", &[("NOFAIL", "ja")], &[]),
    ("no-fail: true", &[("NOFAIL", "0")], &[]),
    ("failure-threshold: warning", &[("NOFAIL", "on")], &[]),
    ("", &[("TRUSTED_REGISTRIES", "docker.io,ghcr.io")], &[]),
    ("trustedRegistries: [docker.io]", &[("TRUSTED_REGISTRIES", "quay.io")], &[]),
    ("", &[("OVERRIDE_ERROR", "DL3008"), ("OVERRIDE_STYLE", "DL3003")], &[]),
    ("override: {error: [DL3008]}", &[("OVERRIDE_INFO", "DL3008")], &[]),
    ("override: {info: [DL3008]}", &[("OVERRIDE_ERROR", "DL3008"), ("OVERRIDE_WARNING", "DL3057")], &[]),
    ("", &[("REQUIRE_LABELS", "maintainer:email,version:semver,x")], &[]),
    ("", &[("REQUIRE_LABELS", "maintainer:text,version:colour"), ("STRICT_LABELS", "true")], &[]),
    ("", &[("DISABLE_IGNORE_PRAGMA", "1")], &[]),
    ("", &[("DISABLE_IGNORE_PRAGMA", "no")], &[]),
];

/// Exit status, and rules with lines and severities: of hadolint's own numbers, its style as info.
fn told(mut command: Command, folder: &Path, variables: &[(&str, &str)], rule: &str) -> (bool, BTreeSet<String>) {
    command.current_dir(folder).env("HOME", folder).env_remove("XDG_CONFIG_HOME");
    for (name, value) in variables {
        command.env(format!("HADOLINT_{name}"), value);
    }
    let output = ended(&mut command);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let findings = value.as_array().or_else(|| value["findings"].as_array()).unwrap();
    let one = |finding: &Value| {
        let severity = |key: &str| finding[key].as_str().map(|word| word.replace("style", "info"));
        let severity = severity("severity").or_else(|| severity("level")).unwrap();
        let rule = finding[rule].as_str().unwrap();
        rule.starts_with("DL").then(|| format!("{}: {rule} {severity}", finding["line"]))
    };
    (output.status.success(), findings.iter().filter_map(one).collect())
}

#[test]
fn variables_mean_what_they_mean_to_hadolint() {
    let Some(hadolint) = xtask::peers::need("hadolint") else { return };
    let folder = new_folder("lint-environment");
    fs::write(folder.join("Dockerfile"), DOCKERFILE).unwrap();
    let corten = Path::new(env!("CARGO_BIN_EXE_corten"));
    let mut seen = BTreeSet::new();
    for (settings, variables, options) in CASES {
        fs::write(folder.join("settings.yaml"), format!("{}\n", if settings.is_empty() { "{}" } else { settings }))
            .unwrap();
        let of = |program: &Path, first: &[&str], rule: &str| {
            let mut command = command(program, first);
            command.args(["--config", "settings.yaml", "--format", "json"]).args(options).arg("Dockerfile");
            told(command, &folder, variables, rule)
        };
        // Rules with other numbers would decide about the status, too.
        let ours = of(corten, &["lint", "--select", "DL"], "rule");
        let theirs = of(&hadolint, &[], "code");
        assert_eq!(ours, theirs, "{settings:?} {variables:?} {options:?}");
        seen.insert(theirs);
    }
    assert!(seen.len() > 9, "the cases say little: {seen:?}");
}
