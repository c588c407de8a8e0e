//! The interpreter that the settings name by address and hash: fetched once, made into a layer once, and remembered.

use corten_diagnostic::{Diagnose, Failure, Report};
use corten_frontend::settings::{Base, InterpreterSource, Setting};
use corten_install::fetch::{Download, fetch_all};
use corten_install::image::{self, Image};
use corten_install::python::{MTIME, standalone};
use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{Architecture, Descriptor, Digest};
use corten_package::{Purl, PurlParts};
use corten_plan::{GivenLayer, Installed, LockedBase, LockedInterpreter};
use corten_store::Key;
use serde::{Deserialize, Serialize};

use crate::project::Project;
use crate::remote::{mirrored, shown};
use crate::start::VENV;
use crate::world::World;

/// Raised when what is remembered of the same archive changes.
const FORMAT: u32 = 1;

/// An interpreter whose layer is in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Standalone {
    /// The layer.
    pub layer: GivenLayer,
    /// Absolute: `/usr/local/bin/python3.12`.
    pub path: String,
    /// Full version.
    pub python: String,
}

impl Standalone {
    /// As corten.lock has it.
    pub fn locked(&self, source: &InterpreterSource) -> LockedInterpreter {
        LockedInterpreter { url: source.url.clone(), digest: source.sha256, path: self.path.clone() }
    }
}

/// What of the settings goes with a base made from Debian's archive alone.
pub fn refuse(project: &Project, base: &Setting<Base>) -> Result<(), Failure> {
    match (&project.settings.interpreter, &base.value) {
        (Some(setting), Base::Image(_)) => {
            let message = format!("the base {} has a Python, and the settings name another interpreter", base.value);
            Err(placed(Failure::usage(message), setting)
                .hint("take a base from Debian's archive, or leave one of them out"))
        }
        _ => Ok(()),
    }
}

/// The interpreter of a base that has one of its own beside Debian's packages.
pub fn of(project: &Project, base: &LockedBase, world: &World<'_>) -> Result<Option<Standalone>, Report> {
    let setting = project.settings.interpreter.as_ref().filter(|_| base.interpreter.is_some());
    setting.map(|setting| open(project, setting, base.architecture, world)).transpose()
}

/// Fetches the archive and makes its layer, unless that was done.
pub fn open(
    project: &Project,
    setting: &Setting<InterpreterSource>,
    architecture: Architecture,
    world: &World<'_>,
) -> Result<Standalone, Report> {
    let source = &setting.value;
    let facts = ("standalone", FORMAT, standalone::FORMAT, source.sha256, architecture, Compression::Gzip.format());
    let key = Key(Digest::of(serde_json::to_vec(&facts).unwrap_or_default()));
    if let Some(known) = world.store.record(&key)?.and_then(|bytes| serde_json::from_slice::<Standalone>(&bytes).ok())
        && world.store.size(&known.layer.blob.digest)? == Some(known.layer.blob.size)
        && world.store.has_layer_index(&known.layer.diff_id)
    {
        return Ok(known);
    }
    let download = Download {
        urls: vec![mirrored(project, &source.url)],
        digest: source.sha256,
        size: None,
        what: "interpreter".to_owned(),
    };
    fetch_all(world.client, world.store, &[download], 1, world.events)?;
    let wrong = |error: &dyn Diagnose, text: String| {
        let failure = Failure::input(format!("the interpreter {}: {text}", shown(&source.url)));
        placed(error.hints().into_iter().fold(failure, Failure::hint), setting)
    };
    let batch = world.store.batch();
    let writer = LayerWriter::new(batch.blob()?, Compression::Gzip, MTIME);
    let (blob, written) = standalone::convert(world.store.read(&source.sha256)?, writer)
        .map_err(|error| wrong(&error, error.to_string()))?;
    let (digest, size) = blob.finish()?;
    batch.layer_index(&written.diff_id, &written.index)?;
    batch.finish()?;
    let blob = Descriptor::new(&Compression::Gzip.media_type().0, digest, size);
    let layers = [(written.diff_id, &written.index)];
    let open = |nodes: &[corten_layer::tree::Node]| crate::images::read(nodes, [(written.diff_id, &blob)], world.store);
    let python = image::python(&Image {
        layers: &layers,
        environment: &[format!("PATH=/{}/bin", standalone::PREFIX)],
        architecture,
        prefix: VENV,
        read: &open,
    });
    let python = python.map_err(|error| wrong(&error, error.to_string()))?;
    let layer = GivenLayer {
        diff_id: written.diff_id,
        tar_size: written.tar_size,
        installed: vec![installed(&python.full_version, source)],
        set_id: Vec::new(),
        blob,
    };
    let made = Standalone { layer, path: python.path, python: python.full_version };
    let bytes =
        serde_json::to_vec(&made).map_err(|error| Failure::bug(format!("remembering an interpreter: {error}")))?;
    let batch = world.store.batch();
    batch.record(&key, &bytes)?;
    batch.finish()?;
    Ok(made)
}

fn installed(version: &str, source: &InterpreterSource) -> Installed {
    let parts = PurlParts { kind: "generic", name: "cpython", version: Some(version), ..PurlParts::default() };
    let purl = Purl::from_parts(&parts).map(|purl| {
        let checksum = source.sha256.to_string();
        purl.with("checksum", &checksum).with("download_url", &shown(&source.url)).to_string()
    });
    Installed {
        purl: purl.unwrap_or_default(),
        name: "cpython".to_owned(),
        version: version.to_owned(),
        licence: Some("Python-2.0.1".to_owned()),
        requires: Vec::new(),
        digest: Some(source.sha256),
    }
}

fn placed<T>(failure: Failure, setting: &Setting<T>) -> Failure {
    match &setting.at {
        Some(at) => failure.at(at.clone()),
        None => failure,
    }
}
