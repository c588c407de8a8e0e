//! `corten lint --fix`, `--unsafe-fixes`, `--diff`, `--baseline`: what they write, print and end with.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use corten_testkit::command::Ran;

use crate::service::corten;

/// Two safe fixes, whose pages name what they change, and an unsafe one.
const BAD: &str = "FROM debian:12\nWORKDIR app\nRUN apt update\nRUN apt-get install curl\n";
const GOOD: &str = "FROM debian:12\nWORKDIR app\nRUN apt-get update\nRUN apt-get install -y curl\n";

/// The rules of these tests alone, so that new ones do not change them.
const RULES: [&str; 2] = ["--select", "DL3014,DL3027,DL3000"];

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Dockerfile"), text).unwrap();
    folder
}

fn text(folder: &Path) -> String {
    fs::read_to_string(folder.join("Dockerfile")).unwrap()
}

fn lint(folder: &Path, arguments: &[&str]) -> Ran {
    let all = ["lint"].into_iter().chain(RULES).chain(arguments.iter().copied());
    corten().run(folder, all)
}

#[test]
fn fixes_are_written_and_told_and_what_is_left_decides_the_status() {
    let folder = folder(BAD);
    fs::set_permissions(folder.path().join("Dockerfile"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = lint(folder.path(), &["--fix", "Dockerfile"]).expect(1);
    assert_eq!(text(folder.path()), GOOD);
    assert!(ran.stderr.contains("mended  Dockerfile  DL3014, DL3027"), "{}", ran.stderr);
    assert!(ran.stdout.contains("error[DL3000]") && !ran.stdout.contains("DL3014"), "{}", ran.stdout);
    let mode = fs::metadata(folder.path().join("Dockerfile")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);
    let again = lint(folder.path(), &["--fix", "Dockerfile"]).expect(1);
    assert!(!again.stderr.contains("mended"), "{}", again.stderr);
    lint(folder.path(), &["--unsafe-fixes", "Dockerfile"]).expect(0);
    assert_eq!(text(folder.path()), GOOD.replace("WORKDIR app", "WORKDIR /app"));
}

#[test]
fn a_diff_writes_nothing_and_patch_makes_what_fix_would() {
    let folder = folder(BAD);
    let ran = lint(folder.path(), &["--diff", "Dockerfile"]).expect(1);
    assert_eq!(text(folder.path()), BAD);
    let mut patch = Command::new("patch")
        .args(["-p1", "--batch"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    patch.stdin.take().unwrap().write_all(ran.stdout.as_bytes()).unwrap();
    assert!(patch.wait().unwrap().success(), "{}", ran.stdout);
    assert_eq!(text(folder.path()), GOOD);
    let nothing = lint(folder.path(), &["--diff", "Dockerfile"]).expect(0);
    assert_eq!(nothing.stdout, "");
}

fn piped(folder: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut command = corten().command(folder);
    command.arg("lint").args(RULES).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn standard_input_is_mended_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let ran = piped(folder.path(), &["-", "--fix"], BAD).expect(1);
    assert_eq!(ran.stdout, GOOD);
    assert!(ran.stderr.contains("error[DL3000]"), "{}", ran.stderr);
    let good = GOOD.replace("app", "/app");
    assert_eq!(piped(folder.path(), &["-", "--fix"], &good).expect(0).stdout, good);
    let diff = piped(folder.path(), &["-", "--diff", "--stdin-filename", "a/Dockerfile"], BAD).expect(1);
    assert!(diff.stdout.starts_with("--- a/a/Dockerfile\n+++ b/a/Dockerfile\n@@ -1,4 +1,4 @@\n"), "{}", diff.stdout);
}

/// The mended text is what a pipe waits for, whatever else is written.
#[test]
fn standard_input_is_mended_where_a_baseline_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let ran = piped(folder.path(), &["-", "--fix", "--write-baseline", "lint.json"], BAD).expect(0);
    assert_eq!(ran.stdout, GOOD);
    assert!(ran.stderr.contains("lint.json: 1 finding\n"), "{}", ran.stderr);
    let ran = piped(folder.path(), &["-", "--write-baseline", "lint.json"], BAD).expect(0);
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_diff_fails_nothing_where_nothing_is_to_fail() {
    let folder = folder(BAD);
    let wanted = lint(folder.path(), &["--diff", "Dockerfile"]).expect(1).stdout;
    for flags in [&["--no-fail"][..], &["--threshold", "none"]] {
        let ran = lint(folder.path(), &[&["--diff", "Dockerfile"], flags].concat()).expect(0);
        assert_eq!(ran.stdout, wanted);
    }
    fs::write(folder.path().join(".hadolint.yaml"), "no-fail: true\n").unwrap();
    assert_eq!(lint(folder.path(), &["--diff", "Dockerfile"]).expect(0).stdout, wanted);
}

#[test]
fn a_link_out_of_the_folder_is_not_written_through() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), folder(BAD));
    symlink(elsewhere.path().join("Dockerfile"), folder.path().join("Dockerfile")).unwrap();
    let ran = lint(folder.path(), &["--fix", "Dockerfile"]).expect(3);
    assert!(ran.stderr.contains("error: writing Dockerfile: it is a link to "), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: name that file itself"), "{}", ran.stderr);
    assert_eq!(text(elsewhere.path()), BAD);
}

#[test]
fn a_baseline_silences_what_was_there_and_nothing_new() {
    let folder = folder(BAD);
    let ran = lint(folder.path(), &["--write-baseline", "lint.json", "Dockerfile"]).expect(0);
    assert!(ran.stderr.contains("lint.json: 3 findings"), "{}", ran.stderr);
    lint(folder.path(), &["Dockerfile"]).expect(1);
    lint(folder.path(), &["--baseline", "lint.json", "Dockerfile"]).expect(0);
    fs::write(folder.path().join("Dockerfile"), format!("# moved\n\n{BAD}RUN apt install x\n")).unwrap();
    let new = lint(folder.path(), &["--baseline", "lint.json", "--format", "json", "Dockerfile"]).expect(1).json();
    assert_eq!(new["findings"].as_array().unwrap().len(), 1, "{new}");
    assert_eq!((&new["findings"][0]["line"], &new["findings"][0]["rule"]), (&7.into(), &"DL3027".into()));
}

#[test]
fn what_is_no_baseline_is_refused() {
    let folder = folder(BAD);
    fs::write(folder.path().join("lint.json"), "{\"version\": 1}\n").unwrap();
    let ran = lint(folder.path(), &["--baseline", "lint.json", "Dockerfile"]).expect(2);
    let told = ran.stderr.lines().next().unwrap_or_default();
    assert_eq!(told, "error: lint.json is no baseline: missing field `findings` at line 1 column 14");
    let ran = lint(folder.path(), &["--baseline", "none.json", "Dockerfile"]).expect(2);
    assert!(ran.stderr.starts_with("error: reading none.json: No such file or directory"), "{}", ran.stderr);
}

#[test]
fn standard_input_is_not_the_file_of_its_usual_name() {
    let folder = folder(BAD);
    let ran = piped(folder.path(), &["--fix", "Dockerfile", "-"], &BAD.replace("curl", "wget")).expect(1);
    assert_eq!((ran.stdout, text(folder.path())), (GOOD.replace("curl", "wget"), GOOD.to_owned()));
}

#[test]
fn a_link_in_a_folder_that_leads_out_of_it_is_told_and_passed_over() {
    let (folder, elsewhere) = (folder(BAD), folder(BAD));
    symlink(elsewhere.path().join("Dockerfile"), folder.path().join("a.Dockerfile")).unwrap();
    symlink("Dockerfile", folder.path().join("Containerfile")).unwrap();
    let ran = lint(folder.path(), &["--fix", ".", "Dockerfile"]).expect(1);
    assert!(ran.stderr.contains("a.Dockerfile is a link to "), "{}", ran.stderr);
    assert_eq!((text(folder.path()), text(elsewhere.path())), (GOOD.to_owned(), BAD.to_owned()));
}

#[test]
fn a_baseline_is_not_written_through_a_link() {
    let (folder, elsewhere) = (folder(BAD), folder(BAD));
    symlink(elsewhere.path().join("Dockerfile"), folder.path().join("lint.json")).unwrap();
    let ran = lint(folder.path(), &["--write-baseline", "lint.json", "Dockerfile"]).expect(3);
    assert!(ran.stderr.starts_with("error: writing lint.json: it is a link to "), "{}", ran.stderr);
    assert_eq!(text(elsewhere.path()), BAD);
}

/// The tree that is looked at may bring a program of that name.
#[test]
fn shellcheck_is_never_a_program_of_the_tree() {
    let folder = folder(BAD);
    let program = folder.path().join("shellcheck");
    fs::write(&program, "#!/bin/sh\ntouch ran\necho '{\"comments\":[]}'\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    for path in [".", "", ":"] {
        let mut command = corten().command(folder.path());
        command.args(["lint", "--shellcheck", "Dockerfile"]).env("PATH", path);
        let ran = Ran::from(command.output().unwrap()).expect(2);
        assert!(ran.stderr.starts_with("error: --shellcheck: there is no shellcheck on the PATH"), "{}", ran.stderr);
    }
    assert!(!folder.path().join("ran").exists());
}
