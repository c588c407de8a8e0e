//! `corten lint` and `corten rule`: what they look at, what they end with, what they say when something is wrong.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use corten_testkit::command::Ran;

use crate::service::corten;

const BAD: &str = "FROM debian:12\nRUN apt-get install -y curl\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn lint(folder: &Path, arguments: &[&str]) -> Ran {
    corten().run(folder, ["lint", "--select", "DL3008,DL1000"].iter().chain(arguments))
}

/// `file:line rule` of what is found.
fn found(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    let one = |finding: &serde_json::Value| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        format!("{}:{} {}", text(&finding["file"]), finding["line"], text(&finding["rule"]))
    };
    json["findings"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn the_status_says_whether_a_finding_reaches_the_threshold() {
    let folder = folder(&[("Dockerfile", BAD)]);
    let ran = lint(folder.path(), &["--format", "json"]).expect(1);
    assert_eq!(found(&ran), ["Dockerfile:2 DL3008"]);
    assert_eq!(ran.json()["passed"], false);
    for (arguments, status) in [
        (&["--threshold", "error"][..], 0),
        (&["--failure-threshold", "warning"], 1),
        (&["--threshold", "none"], 0),
        (&["--no-fail"], 0),
        (&["--ignore", "DL30"], 0),
        (&["Dockerfile", "Dockerfile"], 1),
    ] {
        lint(folder.path(), arguments).expect(status);
    }
}

#[test]
fn standard_input_goes_by_the_name_that_it_is_given() {
    let folder = folder(&[("sub/.hadolint.yaml", "failure-threshold: error\n")]);
    let with_input = |name: &str| {
        let corten = corten();
        let mut command = corten.command(folder.path());
        command.args(["lint", "--select", "DL3008", "--format", "json", "--stdin-filename", name, "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(BAD.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, text) = with_input("Dockerfile");
    assert!(status == Some(1) && text.contains("\"file\": \"Dockerfile\""), "{text}");
    let (status, text) = with_input("sub/Dockerfile");
    assert!(status == Some(0) && text.contains("\"file\": \"sub/Dockerfile\""), "{text}");
}

#[test]
fn what_can_be_read_of_a_broken_file_is_looked_at() {
    let folder = folder(&[("Dockerfile", "FROM a\nRUNN x\nRUN apt-get install -y x\nEXPOSE\n")]);
    let ran = lint(folder.path(), &["--format", "json"]).expect(1);
    assert_eq!(found(&ran), ["Dockerfile:2 DL1000", "Dockerfile:3 DL3008", "Dockerfile:4 DL1000"]);
}

#[test]
fn mistakes_of_the_command_line_and_of_settings_are_told() {
    let folder = folder(&[
        ("Dockerfile", BAD),
        ("empty/x", ""),
        ("wrong/corten.toml", "[lint]\nignore = [\"DL9999\"]\n"),
        ("wrong/Dockerfile", BAD),
    ]);
    for (arguments, expected) in [
        (
            &["--extend-select", "DL9999"][..],
            "error: there is no rule 'DL9999'\nhint: `corten rule` lists them; DL, SC, ML or the beginning of a number (DL30) mean all that begin so\n",
        ),
        (
            &["nowhere"],
            "error: reading nowhere: No such file or directory (os error 2)\nhint: name a Dockerfile, a compose file, or a folder with some; - reads standard input\n",
        ),
        (
            &["empty"],
            "error: empty has no Dockerfile and no compose file\nhint: files are found by name: Dockerfile, Containerfile, *.Dockerfile, Dockerfile.*, compose.yaml, docker-compose.yml; others are named one by one\n",
        ),
        (&["--config", "none.yaml"], "error: reading none.yaml: there is no such file\n"),
    ] {
        let ran = lint(folder.path(), arguments).expect(2);
        assert_eq!(ran.stderr, expected);
    }
    let ran = lint(folder.path(), &["wrong"]).expect(2);
    assert!(
        ran.stderr.contains("there is no rule 'DL9999'") && ran.stderr.contains("corten.toml:2:11"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_project_without_a_dockerfile_is_told_what_looks_at_it() {
    let folder = folder(&[("uv.lock", "version = 1\n")]);
    let ran = lint(folder.path(), &[]).expect(0);
    assert!(ran.stderr.contains("needs none: its image comes from its lock. `corten check`"), "{}", ran.stderr);
}

#[test]
fn rules_have_pages_and_are_listed() {
    let folder = folder(&[]);
    let ran = corten().run(folder.path(), ["rule", "dl3008"]).expect(0);
    assert!(ran.stdout.contains("DL3008") && ran.stdout.contains("FROM debian:12"), "{}", ran.stdout);
    let all = corten().run(folder.path(), ["rule"]).expect(0);
    assert!(["DL1000", "DL4006", "SC2086", "ML151"].iter().all(|id| all.stdout.contains(id)), "{}", all.stdout);
    let ran = corten().run(folder.path(), ["rule", "DL9999"]).expect(2);
    assert_eq!(ran.stderr, "error: there is no rule 'DL9999'\nhint: `corten rule` lists them\n");
}
