//! Layers of bytecode: what the layers below have as sources, compiled by the base's own interpreter on this machine.
//!
//! The interpreter never looks at a source again, so no bytecode may stand for a source that another file hides
//! ([`hidden`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use corten_diagnostic::{Event, Events, Failure, Report};
use corten_install::python::bytecode::{
    BytecodeReport, Interpreter, Module, Unpacked, compile_modules, compile_wheels, unpack,
};
use corten_install::python::{Conflict, InstallTarget, MTIME, WheelSource};
use corten_layer::tree::Tree;
use corten_layer::write::Written;
use corten_oci::{DiffId, Entry, Kind, LayerIndex, LayerPath};
use corten_plan::{Bytecode, SourceFile, Sources};
use corten_store::{ScratchFolder, Store, StoreError};

use crate::convert::Encoding;
use crate::make::{Capabilities, source};
use crate::solve::Made;
use crate::{app, own};

/// An interpreter on this machine, for as long as it is needed.
pub struct Workshop {
    interpreter: Unpacked,
    /// Removed with this value.
    _folder: ScratchFolder,
}

impl Workshop {
    /// Unpacks the interpreter of `base`, its layers lowest first.
    pub fn new(base: &[&Made], program: &str, store: &Store) -> Result<Self, Report> {
        let indexes = base.iter().map(|made| Ok((made.diff_id, index(made, store)?)));
        let indexes = indexes.collect::<Result<Vec<_>, StoreError>>()?;
        let tree = Tree::new(indexes.iter().map(|(diff_id, index)| (*diff_id, index)))?;
        let program = LayerPath::new(program).map_err(|error| Failure::bug(error.to_string()))?;
        let folder = store.scratch_folder()?;
        let interpreter =
            unpack(&tree, &program, &|layer| open(layer, base, store), folder.path()).map_err(|error| {
                Failure::world(format!("unpacking the base's interpreter to compile with it: {error}"))
                    .hint("bytecode = \"none\" builds the image without")
            })?;
        Ok(Self { interpreter, _folder: folder })
    }
}

fn index(made: &Made, store: &Store) -> Result<LayerIndex, StoreError> {
    Ok(store.layer_index(&made.diff_id)?.unwrap_or_default())
}

fn open(layer: &DiffId, base: &[&Made], store: &Store) -> io::Result<Box<dyn Read>> {
    let made = base.iter().find(|made| made.diff_id == *layer);
    let made = made.ok_or_else(|| io::Error::other(format!("{layer} is no layer of the base")))?;
    let blob = store.read(&made.blob.digest).map_err(io::Error::other)?;
    corten_layer::gzip::reader(&made.blob.media_type, blob)
}

/// Sources that are not seen, because a layer above has other bytes there; `layers` lowest first.
pub fn hidden(layers: &[&Made], store: &Store) -> Result<Vec<Conflict>, Report> {
    let mut hidden: BTreeSet<Conflict> = layers.iter().flat_map(|made| made.conflicts.clone()).collect();
    let indexes = layers.iter().map(|made| index(made, store)).collect::<Result<Vec<_>, _>>()?;
    let mut seen: BTreeMap<&LayerPath, &Entry> = BTreeMap::new();
    for entry in indexes.iter().flat_map(|index| &index.entries) {
        if entry.kind == Kind::Directory || !entry.path.name().ends_with(b".py") {
            continue;
        }
        let Some(other) = seen.insert(&entry.path, entry) else { continue };
        let same = (&other.kind, other.crc32, other.size) == (&entry.kind, entry.crc32, entry.size);
        if let (false, Some(loser)) = (same, &other.package) {
            let winner = entry.package.clone().unwrap_or_default();
            hidden.insert(Conflict { path: entry.path.to_string(), winner, loser: loser.clone() });
        }
    }
    Ok(hidden.into_iter().collect())
}

/// Writes a layer of bytecode.
pub fn write<W: Write>(
    bytecode: &Bytecode,
    hidden: &[Conflict],
    workshop: &Workshop,
    capabilities: &Capabilities<'_>,
    encoding: &Encoding,
    sink: W,
) -> Result<(W, Written, BytecodeReport), Report> {
    let run = capabilities.run_program;
    let unpacked = &workshop.interpreter;
    let interpreter = Interpreter { unpacked, version: &bytecode.python.full_version, run: &|it| run(it) };
    let target = InstallTarget { prefix: bytecode.prefix.clone(), python: bytecode.python.version };
    let writer = encoding.writer(sink, MTIME);
    let scratch = capabilities.store.scratch_folder()?;
    let wheels: Vec<WheelSource> = match &bytecode.of {
        Sources::Wheels(wheels) => {
            wheels.iter().map(|wheel| source(wheel, capabilities.store)).collect::<Result<_, _>>()?
        }
        Sources::Own(wheels) => own::packed(wheels, scratch.path())?.into_iter().map(|(source, _)| source).collect(),
        Sources::App(files) => {
            let modules = files.iter().map(module).collect::<Result<_, _>>()?;
            let (sink, written, report) = compile_modules(modules, &interpreter, writer)?;
            tell("the project", &report, capabilities.events);
            return Ok((sink, written, report));
        }
    };
    let (sink, written, report) = compile_wheels(&wheels, hidden, &target, &interpreter, writer)?;
    let names: Vec<&str> = wheels.iter().map(|wheel| wheel.name.as_str()).collect();
    tell(&names.join(", "), &report, capabilities.events);
    Ok((sink, written, report))
}

fn module(file: &SourceFile) -> Result<Module, Failure> {
    let path = LayerPath::new(&file.path).map_err(|error| Failure::input(error.to_string()))?;
    Ok(Module { path, source: app::read(file)? })
}

fn tell(what: &str, report: &BytecodeReport, events: &dyn Events) {
    if let Some(first) = report.left_out.first() {
        let count = report.left_out.len();
        events.emit(Event::Note { text: &format!("{what}: {count} files do not compile, such as /{first}") });
    }
}
