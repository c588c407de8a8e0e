//! Dockerfiles: which way is taken, what is read, what is planned, and how mistakes look.

use std::fs;
use std::path::Path;

use corten_testkit::command::{Corten, Ran};

/// A folder and the program.
pub struct Place {
    pub corten: Corten,
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { corten: Corten::new(env!("CARGO_BIN_EXE_corten")), folder: tempfile::tempdir().unwrap() }
    }

    /// With a Dockerfile.
    pub fn with(dockerfile: &str) -> Self {
        let place = Self::new();
        place.write("Dockerfile", dockerfile);
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn run(&self, arguments: &str) -> Ran {
        self.corten.run(self.path(), arguments.split_whitespace())
    }

    /// Ready to be run.
    pub fn command(&self, arguments: &str) -> std::process::Command {
        let mut command = self.corten.command(self.path());
        command.args(arguments.split_whitespace());
        command
    }

    /// With something on standard input.
    pub fn run_with(&self, arguments: &str, input: &[u8]) -> Ran {
        use std::io::Write;
        use std::process::Stdio;
        let mut command = self.corten.command(self.path());
        command.args(arguments.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that refuses its arguments reads nothing.
        drop(stdin.write_all(input));
        drop(stdin);
        Ran::from(child.wait_with_output().unwrap())
    }
}

fn stages(ran: &Ran) -> Vec<String> {
    ran.json()["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn which_way_is_taken_is_the_first_line() {
    let place = Place::with("FROM scratch\n");
    let first = |ran: &Ran| ran.stderr.lines().next().unwrap_or_default().trim().to_owned();
    let why = |arguments: &str| first(&place.run(arguments).expect(0));
    assert_eq!(why("plan"), "path  Dockerfile  (there is a Dockerfile and no native setting)");
    assert_eq!(why("plan -f Dockerfile"), "path  Dockerfile  (asked for by -f)");
    assert_eq!(why("plan --frontend dockerfile"), "path  Dockerfile  (asked for by --frontend)");
    // Settings that both ways share do not decide.
    place.write("corten.toml", "[base.aliases]\n\"a:1\" = \"store:b\"\n[check]\nallow = []\n");
    assert_eq!(why("plan"), "path  Dockerfile  (there is a Dockerfile and no native setting)");
    place.write("corten.toml", "run = \"python -m x\"\n");
    let native = place.run("plan").expect(1);
    assert_eq!(first(&native), "path  native: layers from the lock  (settings at ./corten.toml:1:1)");
    let refused = place.run("plan --target x").expect(2);
    assert!(
        refused.stderr.contains("error: --target is for Dockerfiles, and this is built from its lock"),
        "{}",
        refused.stderr
    );
    let refused = place.run("plan -f Dockerfile --group dev").expect(2);
    assert!(
        refused.stderr.contains("error: --group is for locks, and this is built from its Dockerfile"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_plan_shows_the_stages_that_are_needed() {
    let text = "FROM scratch AS a\nCOPY x /x\nFROM scratch AS unused\nCOPY never /\nFROM a\nWORKDIR /app\nCOPY --from=a /x y\nCMD [\"/x\", \"1\"]\n";
    let place = Place::with(text);
    let ran = place.run("plan").expect(0);
    let expected = "LINE  STAGE a FROM scratch\n   2  COPY x /x # buildkit\n\nLINE  STAGE 2 FROM a\n   6  WORKDIR /app\n   7  COPY /x y # buildkit\n\nSTARTS /x 1\n";
    assert_eq!(ran.stdout, expected);
    assert_eq!(stages(&place.run("plan --format json").expect(0)), ["a", "2"]);
    assert_eq!(stages(&place.run("plan --format json --target unused").expect(0)), ["unused"]);
}

#[test]
fn dockerfiles_come_from_files_standard_input_and_tars() {
    let place = Place::with("FROM scratch AS own\n");
    place.write("sub/other.Dockerfile", "FROM scratch AS other\n");
    let names = |ran: Ran| stages(&ran.expect(0));
    assert_eq!(names(place.run("plan --format json")), ["own"]);
    assert_eq!(names(place.run("plan --format json -f sub/other.Dockerfile")), ["other"]);
    assert_eq!(names(place.run_with("plan --format json -f - .", b"FROM scratch AS given\n")), ["given"]);
    assert_eq!(names(place.run_with("plan --format json -", b"FROM scratch AS alone\n")), ["alone"]);
    let tar = |options: &str| {
        let mut tar = std::process::Command::new("tar");
        tar.current_dir(place.path()).args([options, "-", "Dockerfile", "sub"]);
        tar.output().unwrap().stdout
    };
    for options in ["-cf", "-czf", "-cJf"] {
        assert_eq!(names(place.run_with("plan --format json -", &tar(options))), ["own"], "{options}");
        let other = place.run_with("plan --format json -f sub/other.Dockerfile -", &tar(options));
        assert_eq!(names(other), ["other"], "{options}");
    }
    let both = place.run("plan -f - -").expect(2);
    assert!(both.stderr.contains("error: the context and the Dockerfile cannot both be standard input"));
    let absent = place.run("plan -f other.Dockerfile sub").expect(2);
    let told =
        "error: there is no other.Dockerfile\nhint: -f is looked up from here: did you mean -f sub/other.Dockerfile?\n";
    assert!(absent.stderr.ends_with(told), "{}", absent.stderr);
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let place = Place::with("FROM scratch\nWORKDR /x\nENV A\n");
    let ran = place.run("plan").expect(1);
    let expected = "\
error: there is no instruction WORKDR
 --> Dockerfile:2:1
  |
2 | WORKDR /x
  | ^^^^^^
hint: did you mean WORKDIR?
error: ENV needs a name and a value
 --> Dockerfile:3:5
  |
3 | ENV A
  |     ^
hint: write name=value
";
    assert!(ran.stderr.ends_with(expected), "{}", ran.stderr);
}

#[test]
fn a_base_that_no_registry_gives_is_the_worlds_fault_and_says_where_else_it_may_be() {
    let place = Place::with("FROM python:3.11-slim\n");
    let ran = place.run("plan --offline").expect(3);
    for part in [
        " --> Dockerfile:1:1\n",
        "hint: --build-context python:3.11-slim=oci-layout://FOLDER takes one from a folder\n",
    ] {
        assert!(ran.stderr.contains(part), "{part}\n{}", ran.stderr);
    }
}

/// The file of the attack would be fetched from a registry and run.
#[test]
fn d11_no_frontend_is_ever_fetched_or_run() {
    for (text, flags) in [
        ("# syntax=attacker/frontend:1\nFROM scratch\n", ""),
        ("FROM scratch\n", "--build-arg BUILDKIT_SYNTAX=attacker/frontend:1"),
    ] {
        let place = Place::with(text);
        let ran = place.run(&format!("plan {flags}")).expect(1);
        let told =
            "error: the file is written for the frontend attacker/frontend:1, which would be a program of others\n";
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(!ran.stderr.contains("https://"), "{}", ran.stderr);
    }
    for known in ["docker/dockerfile:1", "docker.io/docker/dockerfile:1.26-labs", "docker/dockerfile-upstream:master"] {
        Place::with(&format!("# syntax={known}\nFROM scratch\n")).run("plan --offline").expect(0);
    }
}

/// A tar whose Dockerfile is a link out of it: neither read nor written through.
#[test]
fn d8_a_dockerfile_in_a_tar_that_is_a_link_leads_nowhere() {
    let place = Place::new();
    place.write("outside/Dockerfile", "FROM scratch AS outside\n");
    place.write("outside/victim", "ORIGINAL_CONTENT");
    let outside = place.path().join("outside");
    let make = |steps: &str| {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("set -e; O={}; {steps}", outside.display());
        let output =
            std::process::Command::new("sh").current_dir(folder.path()).args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    // Absolute, and by climbing.
    for link in ["$O/Dockerfile", "../../../../../../../..$O/Dockerfile"] {
        let tar = make(&format!("ln -s {link} Dockerfile; tar -cf - Dockerfile"));
        let ran = place.run_with("plan --format json -", &tar).expect(1);
        assert!(ran.stderr.contains("error: standard input has no Dockerfile"), "{}", ran.stderr);
    }
    // The second entry of that name would be written through the first.
    let tar = make(
        "mkdir a b; ln -s $O/victim a/Dockerfile; echo FROM scratch AS inside > b/Dockerfile; \
        tar -cf - -C a Dockerfile -C ../b Dockerfile",
    );
    let ran = place.run_with("plan --format json -", &tar).expect(0);
    assert_eq!(stages(&ran), ["inside"]);
    assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "ORIGINAL_CONTENT");
    // A folder that is a link.
    let tar = make(
        "mkdir a b b/d; ln -s $O a/d; echo x > b/d/victim; echo FROM scratch > b/Dockerfile; \
        tar -cf - -C a d -C ../b d/victim Dockerfile",
    );
    let ran = place.run_with("plan -", &tar).expect(1);
    assert!(
        ran.stderr.contains("error: standard input cannot be unpacked: d: it lies behind a link"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "ORIGINAL_CONTENT");
}
