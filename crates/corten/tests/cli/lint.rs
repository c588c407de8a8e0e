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
            "error: empty has no Dockerfile and no compose file\nhint: files are found by name: Dockerfile, Containerfile, *.Dockerfile, Dockerfile.*, compose.yaml, docker-compose.yml, but not what .gitignore leaves out (--no-respect-gitignore); others are named one by one\n",
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

#[test]
fn standard_input_is_told_in_each_format_by_its_name() {
    let folder = folder(&[]);
    let name = "sub/é,1.Dockerfile";
    let told = |format: &str| {
        let corten = corten();
        let mut command = corten.command(folder.path());
        command.args(["lint", "--select", "DL3008,DL1000", "--format", format, "--stdin-filename", name, "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(BAD.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0), "{format}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let json = |text: &str, pointer: &str| {
        let value: serde_json::Value = serde_json::from_str(text.trim_end_matches(['\n', '\0'])).unwrap();
        value.pointer(pointer).unwrap_or_else(|| panic!("{pointer}: {text}")).as_str().unwrap().to_owned()
    };
    assert!(told("text").contains("sub/é,1.Dockerfile:2:"), "{}", told("text"));
    assert_eq!(json(&told("json"), "/findings/0/file"), name);
    let uri = "/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri";
    assert_eq!(json(&told("sarif"), uri), "sub/%C3%A9%2C1.Dockerfile");
    assert_eq!(json(&told("gitlab"), "/0/location/path"), name);
    assert_eq!(json(&told("codeclimate"), "/location/path"), name);
    assert!(told("github").starts_with("::warning file=sub/é%2C1.Dockerfile,line=2,"), "{}", told("github"));
    assert!(told("junit").contains("<testsuite name=\"sub/é,1.Dockerfile\" tests=\"1\""), "{}", told("junit"));
    assert!(told("checkstyle").contains("<file name=\"sub/é,1.Dockerfile\">"), "{}", told("checkstyle"));
}

/// The kernel refuses to read there, whoever asks.
#[test]
fn a_file_that_cannot_be_read_keeps_the_others_findings() {
    let folder = folder(&[("Dockerfile", BAD)]);
    let ran = lint(folder.path(), &["--format", "json", "/proc/self/mem", "Dockerfile"]).expect(3);
    assert_eq!(found(&ran), ["Dockerfile:2 DL3008"]);
    assert_eq!(ran.stderr, "error: reading /proc/self/mem: Input/output error (os error 5)\n");
    let ran = lint(folder.path(), &["/proc/self/mem"]).expect(3);
    assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1));
}

#[test]
fn variables_of_hadolint_are_below_options() {
    let folder = folder(&[("Dockerfile", BAD)]);
    let with = |name: &str, value: &str, arguments: &[&str]| {
        let corten = corten();
        let mut command = corten.command(folder.path());
        command.args(["lint", "--select", "DL3008"]).args(arguments).env(name, value);
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(with("HADOLINT_FAILURE_THRESHOLD", "error", &[]).0, 0);
    assert_eq!(with("HADOLINT_FAILURE_THRESHOLD", "error", &["--threshold", "info"]).0, 1);
    assert_eq!(with("HADOLINT_NOFAIL", "1", &[]).0, 0);
    assert_eq!(with("HADOLINT_IGNORE", "DL3015,DL3008", &["--extend-select", "DL3009", "--format", "json"]).0, 1);
    let (_, text) = with("HADOLINT_FORMAT", "checkstyle", &[]);
    assert!(text.starts_with("<?xml"), "{text}");
    let (_, text) = with("HADOLINT_FORMAT", "checkstyle", &["--format", "json"]);
    assert!(text.starts_with('{'), "{text}");
    let (_, text) = with("HADOLINT_FORMAT", "gnu", &[]);
    assert!(text.contains("DL3008") && text.contains(" --> Dockerfile:2"), "{text}");
}

#[test]
fn what_git_leaves_out_is_looked_at_when_somebody_says_so() {
    let folder = folder(&[
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".gitignore", "out/\n"),
        ("out/Dockerfile", BAD),
        ("Dockerfile", BAD),
    ]);
    let ran = lint(folder.path(), &["--format", "json"]).expect(1);
    assert_eq!(found(&ran), ["Dockerfile:2 DL3008"]);
    let ran = lint(folder.path(), &["--format", "json", "--no-respect-gitignore"]).expect(1);
    assert_eq!(found(&ran), ["Dockerfile:2 DL3008", "out/Dockerfile:2 DL3008"]);
}
