//! Folders of somebody else's, in which a pipe or a link to a device has the name of a file that is read: nobody waits for ever,
//! and nothing is read without an end (A9 of the catalogue of attacks: whoever reads on the host opens no pipe).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use corten_testkit::command::Ran;

use crate::service::corten;

/// A folder that is nobody's child, with files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // Where whoever looks for settings above stops.
    fs::create_dir(folder.path().join(".git")).unwrap();
    files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
    folder
}

/// Runs where waiting ends it with 124, and memory without end with a signal.
fn run(folder: &Path, line: &str) -> Ran {
    let known = corten();
    let inner = known.command(folder);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 8000000; exec timeout 100 \"$0\" \"$@\""]).arg(inner.get_program());
    command.args(line.split_whitespace()).current_dir(folder).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap().into()
}

fn make_pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// Each name as a pipe and as a link to what has no end: `line` ends and says so, with the path that a user would write, or all of it.
#[track_caller]
fn refused(line: &str, files: &[(&str, &str)], names: &[&str]) {
    for name in names {
        for (what, make) in [
            ("named pipe", &(|path: &Path| make_pipe(path)) as &dyn Fn(&Path)),
            ("device", &|path: &Path| symlink("/dev/zero", path).unwrap()),
        ] {
            let folder = folder(files);
            make(&folder.path().join(name));
            let ran = run(folder.path(), line);
            let of = folder.path().display().to_string();
            let said = ran.stderr.replace(&format!("{of}/"), "").replace("./", "");
            let expected = format!(
                "error: reading {name}: it is a {what}, no file\nhint: a file with text is expected there, or nothing\n"
            );
            assert!(said.ends_with(&expected), "{line}, {name} as {what}: {} {said}", ran.status);
            assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{line}, {name} as {what}");
        }
    }
}

const DOCKERFILE: (&str, &str) = ("Dockerfile", "FROM scratch\nCOPY a /\n");

#[test]
fn settings_that_are_pipes_do_not_stop_lint() {
    let names = [
        "corten.toml",
        "pyproject.toml",
        ".hadolint.yaml",
        ".hadolint.yml",
        ".dockerignore",
        "Dockerfile.dockerignore",
    ];
    refused("lint", &[DOCKERFILE], &names);
}

/// What a user names may be a pipe.
#[test]
fn settings_that_a_user_names_may_come_through_a_pipe() {
    let folder = folder(&[("Dockerfile", "FROM debian\n")]);
    let known = corten();
    let program = known.command(folder.path());
    let mut command = Command::new("bash");
    command.args(["-c", "exec timeout 100 \"$0\" lint --config <(echo 'ignored: [DL3006, ML151]') Dockerfile"]);
    command.arg(program.get_program()).current_dir(folder.path());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::from(command.output().unwrap()).expect(0);
    assert_eq!(ran.stdout, "no findings in 1 file\n", "{}", ran.stderr);
}

#[test]
fn files_that_are_pipes_do_not_stop_check() {
    refused("check --offline", &[DOCKERFILE], &["corten.toml", "pyproject.toml", ".dockerignore"]);
    let names = ["corten.toml", "pyproject.toml", "corten.lock", ".dockerignore", ".python-version"];
    refused("check --offline", &[("requirements.txt", "a==1\n")], &names);
    refused("check --offline", &[("requirements.txt", "-r more.txt\n")], &["more.txt"]);
    refused("check --offline", &[], &["pylock.toml"]);
}

#[test]
fn files_that_are_pipes_do_not_stop_init() {
    let main = ("main.py", "print()\n");
    let names =
        ["corten.toml", "pyproject.toml", ".dockerignore", ".python-version", "requirements.in", "requirements.txt"];
    refused("init --offline", &[main], &names);
    refused("init --compose --offline", &[main, ("requirements.txt", "a==1\n")], &["compose.yaml"]);
}

#[test]
fn ignore_files_that_are_pipes_do_not_stop_a_build() {
    refused("build .", &[DOCKERFILE], &[".dockerignore", "Dockerfile.dockerignore"]);
    refused("build --frontend dockerfile .", &[], &["Dockerfile"]);
}
