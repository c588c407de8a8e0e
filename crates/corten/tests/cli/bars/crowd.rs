//! R8, and a random life of a store: many processes at once build, push, prune and die, and nothing that has a name is
//! lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use corten_testkit::bar::{Bar, Random};
use corten_testkit::command::Ran;
use serde_json::Value;

use super::Published;
use crate::ground::assert_swept;
use crate::service::digest;

/// So many processes work at once.
const CROWD: usize = 8;

/// Projects beside each other, with one store.
struct Crowd {
    published: Published,
    folders: Vec<PathBuf>,
}

impl Crowd {
    fn new() -> Self {
        let published = Published::new();
        let ground = &published.ground;
        ground.run("build").expect(0);
        let folders = (0..CROWD).map(|number| {
            let folder = ground.service.folder().with_file_name(format!("project{number}"));
            ground.service.write_to(&folder);
            fs::copy(ground.service.folder().join("corten.lock"), folder.join("corten.lock")).unwrap();
            folder
        });
        let folders = folders.collect();
        Self { published, folders }
    }

    /// Another version of a project's source.
    fn edit(&self, project: usize, version: usize) {
        fs::write(self.folders[project].join("more.py"), format!("x = {version}\n")).unwrap();
    }

    fn run(&self, project: usize, line: &str) -> Ran {
        self.published.ground.corten.run(&self.folders[project], line.split(' '))
    }

    fn home(&self) -> &Path {
        self.published.ground.home.path()
    }
}

#[test]
fn r8_builds_beside_prunes_and_pushes() {
    let bar = Bar::begin("R8");
    let crowd = Crowd::new();
    // What each version is when nobody disturbs.
    let versions = bar.length(1, 4);
    let expected: Vec<String> = (0..versions)
        .map(|version| {
            crowd.edit(0, version);
            digest(&crowd.run(0, "build --format json"))
        })
        .collect();
    crowd.run(0, "prune --all --yes").expect(0);
    let (working, builds) = (AtomicUsize::new(CROWD), AtomicUsize::new(0));
    let place = crowd.published.registry.place();
    let end = Instant::now() + Duration::from_secs(if bar.is_whole() { 180 } else { 0 });
    let mut random = bar.random();
    let seeds: Vec<u64> = (0..CROWD).map(|_| random.number()).collect();
    let work = |project: usize| {
        let mut random = Random::new(seeds[project]);
        let mut failures = Vec::new();
        let mut check = |what: String, ran: &Ran, is_right: bool| {
            if !is_right {
                failures.push(format!("{what}: {} {}", ran.status, ran.stderr));
            }
        };
        for round in 0.. {
            let version = random.below(versions);
            crowd.edit(project, version);
            let ran = crowd.run(project, &format!("build --format json -t crowd/p{project}:{round}"));
            check(format!("build {version}"), &ran, ran.status == 0 && digest(&ran) == expected[version]);
            let to = format!("push crowd/p{project}:{round} {place}/crowd/p{project}:{round}");
            let ran = crowd.run(project, &to);
            check(to, &ran, ran.status == 0);
            builds.fetch_add(1, Ordering::Relaxed);
            if Instant::now() >= end {
                break;
            }
        }
        working.fetch_sub(1, Ordering::Release);
        failures
    };
    let prune = || {
        let (mut failures, mut prunes) = (Vec::new(), 0);
        while working.load(Ordering::Acquire) > 0 {
            let ran = crowd.run(0, if prunes % 2 == 0 { "prune --yes" } else { "prune -f --keep-storage 1MB" });
            if ran.status != 0 {
                failures.push(format!("prune: {}", ran.stderr));
            }
            prunes += 1;
        }
        println!("{prunes} prunes");
        failures
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CROWD).map(|project| scope.spawn(move || work(project))).collect();
        let pruner = scope.spawn(prune);
        let of_workers = workers.into_iter().flat_map(|worker| worker.join().unwrap());
        of_workers.chain(pruner.join().unwrap()).collect::<Vec<_>>()
    });
    failures.iter().for_each(|failure| println!("{failure}"));
    let verified = crowd.run(0, "store verify");
    assert_eq!(verified.status, 0, "{}", verified.stdout);
    crowd.published.assert_registry("at the end");
    let builds = builds.load(Ordering::Relaxed);
    bar.finish(format!("{} failures in {builds} builds and pushes", failures.len()), failures.is_empty());
}

/// Names that somebody was told of and has not taken away, and what they stand for.
type Names = BTreeMap<String, String>;

#[test]
fn a_life_of_builds_pulls_prunes_and_kills() {
    let bar = Bar::begin("life");
    let crowd = Crowd::new();
    crowd.run(0, "prune --all --yes").expect(0);
    let each = bar.length(24, 200).div_ceil(CROWD);
    let place = crowd.published.registry.place();
    let mut random = bar.random();
    let seeds: Vec<u64> = (0..CROWD).map(|_| random.number()).collect();
    let live = |project: usize| {
        let mut random = Random::new(seeds[project]);
        let (mut names, mut failures) = (Names::new(), Vec::new());
        for step in 0..each {
            if let Err(failure) = one_step(&crowd, project, step, &place, &mut random, &mut names) {
                failures.push(failure);
            }
        }
        (names, failures)
    };
    let lives: Vec<(Names, Vec<String>)> = std::thread::scope(|scope| {
        let live = &live;
        let lives: Vec<_> = (0..CROWD).map(|project| scope.spawn(move || live(project))).collect();
        lives.into_iter().map(|life| life.join().unwrap()).collect()
    });
    let mut failures: Vec<String> = lives.iter().flat_map(|(_, failures)| failures.clone()).collect();
    let verified = crowd.run(0, "store verify");
    assert_eq!(verified.status, 0, "{}", verified.stdout);
    let known = named(&crowd);
    for (name, digest) in lives.iter().flat_map(|(names, _)| names) {
        if known.get(name) != Some(digest) {
            failures.push(format!("{name} is {:?}, not {digest}", known.get(name)));
        }
    }
    crowd.published.assert_registry("at the end");
    crowd.run(0, "prune --yes").expect(0);
    assert_eq!(blobs(crowd.home()), reachable(crowd.home(), known.values()), "only what is referenced is left");
    assert_eq!(crowd.run(0, "store verify").status, 0);
    assert_swept(crowd.home(), &crowd.folders[0]);
    crowd.run(0, "prune --all --yes").expect(0);
    assert_eq!(blobs(crowd.home()), BTreeSet::new());
    failures.iter().for_each(|failure| println!("{failure}"));
    let steps = each * CROWD;
    bar.finish(format!("{} of {steps} steps went wrong, {} names", failures.len(), known.len()), failures.is_empty());
}

/// Something that people do. An error where it does not end as it should.
fn one_step(
    crowd: &Crowd,
    project: usize,
    step: usize,
    place: &str,
    random: &mut Random,
    names: &mut Names,
) -> Result<(), String> {
    let name = format!("life/p{project}:{step}");
    let must = |line: &str, ran: Ran| match ran.status {
        0 => Ok(ran),
        status => Err(format!("{line}: {status} {}", ran.stderr)),
    };
    crowd.edit(project, random.below(6));
    match random.below(12) {
        0..=4 => {
            let line = format!("build --format json -t {name}");
            let ran = must(&line, crowd.run(project, &line))?;
            names.insert(name, digest(&ran));
        }
        5 | 6 => kill_one(crowd, project, &name, random),
        7 => {
            let line = ["prune --yes", "prune -f --keep-storage 2MB", "prune -f --filter until=1h"][random.below(3)];
            must(line, crowd.run(project, line))?;
        }
        8 => {
            let Some(gone) = names.keys().next().cloned() else { return Ok(()) };
            let line = format!("images rm {gone}");
            must(&line, crowd.run(project, &line))?;
            names.remove(&gone);
        }
        9 => drop(must("build --no-cache", crowd.run(project, &format!("build --no-cache -t {name}")))?),
        _ => {
            let Some((one, digest)) = names.iter().next_back() else { return Ok(()) };
            let there = format!("{place}/{}", one.replace(':', "-"));
            let push = format!("push {one} {there}:1");
            must(&push, crowd.run(project, &push))?;
            let pull = format!("pull {there}:1");
            must(&pull, crowd.run(project, &pull))?;
            names.insert(format!("{there}:1"), digest.clone());
        }
    }
    Ok(())
}

/// A build that dies somewhere. Nobody was told of its name.
fn kill_one(crowd: &Crowd, project: usize, name: &str, random: &mut Random) {
    let mut command = crowd.published.ground.corten.command(&crowd.folders[project]);
    command.args(["build", "-t", name]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let moment = Instant::now() + Duration::from_micros(random.number() % 400_000);
    while Instant::now() < moment && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn named(crowd: &Crowd) -> Names {
    let listed = crowd.run(0, "images --format json").expect(0).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().map(|one| (text(&one["reference"]), text(&one["digest"]))).collect()
}

/// Names of files below `blobs/sha256`.
fn blobs(home: &Path) -> BTreeSet<String> {
    let folder = fs::read_dir(home.join("blobs/sha256")).unwrap();
    folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What images need, found by reading their documents without any of our code.
fn reachable<'a>(home: &Path, roots: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let hex = |digest: &str| digest.strip_prefix("sha256:").unwrap().to_owned();
    let mut next: Vec<String> = roots.map(|digest| hex(digest)).collect();
    let mut found = BTreeSet::new();
    while let Some(one) = next.pop() {
        if !found.insert(one.clone()) {
            continue;
        }
        for referrer in fs::read_dir(home.join("referrers").join(&one)).into_iter().flatten() {
            next.push(referrer.unwrap().file_name().into_string().unwrap());
        }
        let Ok(bytes) = fs::read(home.join("blobs/sha256").join(&one)) else { continue };
        let Ok(document) = serde_json::from_slice::<Value>(&bytes) else { continue };
        let lists = ["layers", "manifests"].iter().filter_map(|list| document[list].as_array()).flatten();
        for descriptor in lists.chain([&document["config"]]) {
            next.extend(descriptor["digest"].as_str().map(hex));
        }
    }
    found
}
