//! Keys: the digest of everything that decides a layer's bytes.
//!
//! Left out on purpose: names for people, paths on this machine, URLs, the number of threads. A change of any encoder
//! that alters bytes must raise [`FORMAT`].

use corten_install::python::{self, Conflict};
use corten_layer::write::Compression;
use corten_oci::{DiffId, Digest};
use corten_plan::{
    AppFiles, Bytecode, Debs, GeneratedFile, GeneratedKind, LockedWheel, Op, OwnWheels, Packages, Sdist, Sources,
    Wheels,
};
use corten_store::Key;
use serde::Serialize;

/// Version of the bytes that this program writes for one key.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Keyed<'a, T: Serialize> {
    format: u32,
    what: &'a str,
    compression: &'static str,
    of: T,
}

/// The key of a step that makes a layer; `below` are the diff ids of its inputs, `hidden` the sources among them that are
/// not seen.
pub fn of(op: &Op, compression: Compression, below: &[DiffId], hidden: &[Conflict]) -> Option<Key> {
    let keyed = Keying(compression);
    match op {
        Op::Wheels(wheels) => Some(keyed.key("wheels", wheels_facts(wheels))),
        Op::Sdist(sdist) => Some(keyed.key("sdist", (sdist_facts(sdist), below))),
        Op::Own(own) => Some(keyed.key("own", own_facts(own))),
        Op::Debs(debs) => Some(match &debs.dockerfiles {
            None => keyed.key("debs", debs_facts(debs)),
            Some(headers) => keyed.key("debs for Dockerfiles 2", (debs_facts(debs), headers)),
        }),
        Op::Packages(packages) => Some(keyed.key("packages", packages_facts(packages))),
        Op::Files { files } => Some(keyed.key("files", (files, reads_below(files).then_some(below)))),
        Op::App(app) => Some(keyed.key("app", app_facts(app))),
        Op::Bytecode(bytecode) => Some(keyed.key("bytecode", bytecode_facts(bytecode, hidden))),
        Op::Given(_) | Op::Image(_) => None,
    }
}

struct Keying(Compression);

impl Keying {
    fn key<T: Serialize>(self, what: &str, of: T) -> Key {
        // Plain data of strings and numbers: it cannot fail to become JSON.
        let keyed = Keyed { format: FORMAT, what, compression: self.0.format(), of };
        Key(Digest::of(serde_json::to_vec(&keyed).unwrap_or_default()))
    }
}

fn wheels_facts(wheels: &Wheels) -> impl Serialize + '_ {
    (python::FORMAT, each_wheel(&wheels.wheels), &wheels.prefix, wheels.python.version)
}

fn each_wheel(wheels: &[LockedWheel]) -> impl Serialize + '_ {
    wheels.iter().map(|wheel| (&wheel.file, wheel.digest, &wheel.direct_url)).collect::<Vec<_>>()
}

fn sdist_facts(sdist: &Sdist) -> impl Serialize + '_ {
    let requires: Vec<_> = sdist.requires.iter().map(|wheel| (&wheel.file, wheel.digest)).collect();
    let installed = (&sdist.prefix, &sdist.python, sdist.pure, &sdist.backend, &sdist.backend_path);
    let source = (&sdist.sdist.file, sdist.sdist.digest, &sdist.sdist.version, &sdist.sdist.direct_url);
    (python::FORMAT, crate::sdist::FORMAT, source, requires, installed)
}

fn own_facts(own: &OwnWheels) -> impl Serialize + '_ {
    (python::FORMAT, &own.wheels, &own.prefix, own.python.version)
}

fn debs_facts(debs: &Debs) -> impl Serialize + '_ {
    let each: Vec<_> = debs.packages.iter().map(|deb| (&deb.name, deb.digest)).collect();
    (&debs.suite, debs.variant, debs.architecture, debs.archive.epoch, &debs.seeds, each)
}

fn packages_facts(packages: &Packages) -> impl Serialize + '_ {
    let each: Vec<_> = packages.packages.iter().map(|deb| (&deb.name, deb.digest)).collect();
    (debs_facts(&packages.base), &packages.asked, packages.epoch, &packages.unconfigured, each)
}

fn app_facts(app: &AppFiles) -> impl Serialize + '_ {
    &app.files
}

/// The interpreter counts by its version: its own layers change more often than what it compiles.
fn bytecode_facts<'a>(bytecode: &'a Bytecode, hidden: &'a [Conflict]) -> impl Serialize + 'a {
    let (kind, of) = match &bytecode.of {
        Sources::Wheels(wheels) => ("wheels", serde_json::to_value(each_wheel(wheels))),
        Sources::Own(wheels) => ("own", serde_json::to_value(wheels)),
        Sources::App(files) => ("app", serde_json::to_value(files)),
    };
    let hidden: Vec<_> = hidden.iter().map(|hidden| (&hidden.loser, &hidden.path)).collect();
    let formats = (python::FORMAT, python::bytecode::FORMAT);
    (formats, &bytecode.prefix, bytecode.python.version, &bytecode.python.full_version, kind, of.ok(), hidden)
}

/// Only files that are appended to depend on what lies below.
pub fn reads_below(files: &[GeneratedFile]) -> bool {
    files.iter().any(|file| matches!(file.kind, GeneratedKind::Append(_)))
}
