//! The folders of `cases/`: each a context with a Dockerfile on `busybox` ([`super::base`]).
//!
//! | file | what |
//! |---|---|
//! | `Dockerfile` | what is built |
//! | `context.sh` | makes what git cannot keep, in a copy of the folder |
//! | `case.json` | [`Case`] |

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use super::base::base;
use super::{Daemon, Work, build, compare, told};
use crate::place::{command, done, new_folder};

/// How a folder is built, and what is known of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Case {
    dockerfile: String,
    target: Option<String>,
    args: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    /// Names and folders below the case's.
    contexts: BTreeMap<String, String>,
    /// Names, and the Dockerfiles from which BuildKit makes them.
    images: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    flags: Vec<String>,
    theirs: Vec<String>,
    /// More of `--output`, with BuildKit.
    output: String,
    /// What Corten says in refusing it; BuildKit refuses it, too.
    fails: Option<String>,
    /// What Corten says in refusing it, which BuildKit does not, and why.
    refused: Option<[String; 2]>,
    /// Beginnings of differences, and why they are.
    differs: BTreeMap<String, String>,
}

#[test]
fn dockerfiles_become_what_buildkit_makes_of_them() {
    let (Some(daemon), Some(base)) = (Daemon::shared(), base()) else { return };
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/buildkit/cases");
    let only = std::env::var("CASES").unwrap_or_default();
    let mut names: Vec<String> =
        fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.retain(|name| name.contains(&only));
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            let judge = || judged(daemon, base, &all.join(name), name);
            let found = std::panic::catch_unwind(judge).unwrap_or_else(|_| vec!["see above".to_owned()]);
            wrong.lock().unwrap().extend(found.into_iter().map(|text| format!("{name}: {text}")));
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(worker))));
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(wrong.is_empty(), "of {} cases\n{}", names.len(), wrong.join("\n"));
    assert!(!names.is_empty(), "no case is named so");
}

/// What is otherwise with each build is no difference; what is otherwise here is one.
#[test]
fn only_what_buildkit_repeats_is_compared() {
    let Some(base) = base() else { return };
    let context = new_folder("buildkit-unsteady");
    let contexts = vec![("busybox".to_owned(), base.to_owned())];
    let work = Work { context: context.clone(), contexts, ..Work::default() };
    fs::write(context.join("Dockerfile"), "FROM busybox\nRUN head -c 8 /dev/urandom >/random\n").unwrap();
    let Some(found) = compare(&work) else { return };
    assert!(found.is_empty(), "{found:?}");
    fs::write(context.join("Dockerfile"), "FROM busybox\nARG A\nRUN echo $A >/a; chmod 0${A}00 /a; ln /a /b$A\n")
        .unwrap();
    let with = |value: &str| Work { build_args: vec![("A".into(), value.into())], ..work.clone() };
    let (ours, theirs) = (build(&with("6")).unwrap(), Daemon::shared().unwrap().build(&with("7"), &[]).unwrap());
    let found = told(Daemon::shared().unwrap(), &with("7"), &ours, &theirs);
    for beginning in [
        "config history[2] created_by: \"RUN |1 A=6 ",
        "layer 1: only ours puts /b6",
        "layer 1: only BuildKit's puts /b7",
        "/a mode: \"600\", BuildKit's \"700\"",
        "/a sha256: ",
        "/b6 is not BuildKit's",
        "/b7 is missing",
        "/a /b6 are one file only here",
    ] {
        assert!(found.iter().any(|text| text.starts_with(beginning)), "{beginning}: {found:#?}");
    }
}

fn judged(daemon: &Daemon, base: &Path, folder: &Path, name: &str) -> Vec<String> {
    let file = folder.join("case.json");
    let case: Case = if file.is_file() {
        serde_json::from_slice(&fs::read(&file).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"))
    } else {
        Case::default()
    };
    let work = work(daemon, &case, base, folder, name);
    let (ours, theirs) = (build(&work), daemon.build(&work, &[]));
    match (ours, theirs, &case.fails, &case.refused) {
        (Ok(ours), Ok(theirs), None, None) => unlisted(told(daemon, &work, &ours, &theirs), &case),
        (Err(said), Err(_), Some(text), _) | (Err(said), Ok(_), _, Some([text, _])) if said.contains(text) => {
            Vec::new()
        }
        (Err(said), Err(theirs), ..) => vec![format!("both fail: {said}\nBuildKit: {}", end(&theirs))],
        (Err(said), Ok(_), ..) => vec![format!("fails: {said}")],
        (Ok(_), Err(said), ..) => vec![format!("BuildKit fails: {}", end(&said))],
        (Ok(_), Ok(_), ..) => vec!["succeeds, though it should fail".to_owned()],
    }
}

fn end(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Differences that no reason is known for, and reasons without a difference.
fn unlisted(found: Vec<String>, case: &Case) -> Vec<String> {
    let is_known = |text: &str, known: &str| text.starts_with(known);
    let gone = case.differs.iter().filter(|(known, _)| !found.iter().any(|text| is_known(text, known)));
    let gone: Vec<String> = gone.map(|(known, why)| format!("is right, though listed: {known} ({why})")).collect();
    found.into_iter().filter(|text| !case.differs.keys().any(|known| is_known(text, known))).chain(gone).collect()
}

fn work(daemon: &Daemon, case: &Case, base: &Path, folder: &Path, name: &str) -> Work {
    let place = new_folder(&format!("case-{name}"));
    let context = place.join("context");
    done(command(Path::new("cp"), ["-rP"]).arg(folder).arg(&context));
    let script = context.join("context.sh");
    if script.is_file() {
        let text = fs::read_to_string(&script).unwrap();
        fs::remove_file(&script).unwrap();
        done(command(Path::new("/bin/sh"), ["-euc", &format!("umask 022; {text}")]).current_dir(&context));
    }
    drop(fs::remove_file(context.join("case.json")));
    // The times that the script did not give. BuildKit takes a file of the context before for this one's where name, size and
    // time are the same.
    static CONTEXTS: AtomicUsize = AtomicUsize::new(0);
    let time = 1_600_000_000 + CONTEXTS.fetch_add(1, Ordering::Relaxed);
    let old = format!(
        "find . -type d -newermt @1700000000 -exec touch -d @1600000000 {{}} +; find . -newermt @1700000000 -exec touch -hd @{time} {{}} +"
    );
    done(command(Path::new("/bin/sh"), ["-euc", &old]).current_dir(&context));
    let plain = |map: &BTreeMap<String, String>| map.clone().into_iter().collect::<Vec<_>>();
    let secrets = case.secrets.iter().map(|(id, value)| {
        let file = place.join(format!("secret-{id}"));
        fs::write(&file, value).unwrap();
        (id.clone(), file)
    });
    let mut work = Work {
        context: context.clone(),
        dockerfile: case.dockerfile.clone(),
        target: case.target.clone(),
        build_args: plain(&case.args),
        secrets: secrets.collect(),
        contexts: vec![("busybox".to_owned(), base.to_owned())],
        flags: case.flags.clone(),
        theirs: case.theirs.clone(),
        output: case.output.clone(),
        environment: plain(&case.environment),
    };
    work.contexts.extend(case.contexts.iter().map(|(name, folder)| (name.clone(), context.join(folder))));
    for (name, dockerfile) in &case.images {
        let own = Work {
            dockerfile: dockerfile.clone(),
            contexts: work.contexts.clone(),
            context: context.clone(),
            ..Work::default()
        };
        work.contexts.push((name.clone(), daemon.build(&own, &[]).unwrap_or_else(|said| panic!("BuildKit: {said}"))));
    }
    work
}
