//! Keys: the digest of everything that decides a layer's bytes.
//!
//! Left out on purpose: names for people, paths on this machine, URLs, the number of threads. A change of any encoder
//! that alters bytes must raise [`FORMAT`].

use corten_oci::{DiffId, Digest};
use corten_plan::{AppFiles, Debs, GeneratedFile, GeneratedKind, Op, OwnWheels, Wheels};
use corten_store::Key;
use serde::Serialize;

/// Version of the bytes that this program writes for one key.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Keyed<'a, T: Serialize> {
    format: u32,
    what: &'a str,
    of: T,
}

/// The key of a step that makes a layer; `below` are the diff ids of its inputs.
pub fn of(op: &Op, below: &[DiffId]) -> Option<Key> {
    match op {
        Op::Wheels(wheels) => Some(keyed("wheels", wheels_facts(wheels))),
        Op::Own(own) => Some(keyed("own", own_facts(own))),
        Op::Debs(debs) => Some(keyed("debs", debs_facts(debs))),
        Op::Files { files } => Some(keyed("files", (files, reads_below(files).then_some(below)))),
        Op::App(app) => Some(keyed("app", app_facts(app))),
        Op::Image(_) => None,
    }
}

fn keyed<T: Serialize>(what: &str, of: T) -> Key {
    // Plain data of strings and numbers: it cannot fail to become JSON.
    let text = serde_json::to_vec(&Keyed { format: FORMAT, what, of }).unwrap_or_default();
    Key(Digest::of(text))
}

fn wheels_facts(wheels: &Wheels) -> impl Serialize + '_ {
    let each: Vec<_> = wheels.wheels.iter().map(|wheel| (&wheel.file, wheel.digest, &wheel.direct_url)).collect();
    (corten_install::python::FORMAT, each, &wheels.prefix, wheels.python.version)
}

fn own_facts(own: &OwnWheels) -> impl Serialize + '_ {
    (corten_install::python::FORMAT, &own.wheels, &own.prefix, own.python.version)
}

fn debs_facts(debs: &Debs) -> impl Serialize + '_ {
    let each: Vec<_> = debs.packages.iter().map(|deb| (&deb.name, deb.digest)).collect();
    (&debs.suite, debs.variant, debs.architecture, debs.archive.epoch, &debs.seeds, each)
}

fn app_facts(app: &AppFiles) -> impl Serialize + '_ {
    app
}

/// Only files that are appended to depend on what lies below.
pub fn reads_below(files: &[GeneratedFile]) -> bool {
    files.iter().any(|file| matches!(file.kind, GeneratedKind::Append(_)))
}
