//! Making one layer, by the kind of its step.

use std::io::{BufWriter, Read};

use corten_diagnostic::{Event, Events, Failure, Report};
use corten_install::debian::{self, Archive};
use corten_install::fetch::{Download, fetch_all};
use corten_install::python::{Conflict, InstallTarget, MTIME, WheelReport, WheelSource, convert_into};
use corten_layer::write::Written;
use corten_net::Client;
use corten_oci::{Descriptor, Digest, Entry, Kind, LayerIndex, LayerPath, SetId};
use corten_package::licence::{self, Stated};
use corten_package::{PackageName, Purl};
use corten_plan::{Bytecode, Installed, LockedWheel, Op, OwnWheels, Sdist, Sources, Wheels};
use corten_store::{Batch, BlobWriter, Store};

use crate::base::{self, RunProgram};
use crate::bytecode::{self, Workshop};
use crate::convert::Encoding;
use crate::missing::PackageOf;
use crate::publish::Publish;
use crate::solve::Made;
use crate::{app, convert as words, files, own, packages, sdist};

/// Writes to a blob are gathered to this many bytes.
const BUFFER: usize = 1 << 18;

/// Brings blobs to the store that it has not; told who needs them.
pub type Bring<'a> = dyn Fn(&[Descriptor], &str) -> Result<(), Report> + Sync + 'a;

/// What the engine may use.
#[derive(Clone, Copy)]
pub struct Capabilities<'a> {
    /// Bytes on disk.
    pub store: &'a Store,
    /// The network.
    pub client: &'a Client,
    /// Debian's archive.
    pub archive: Archive<'a>,
    /// Runs the base's Python, to compile its standard library.
    pub run_program: &'a RunProgram,
    /// Names the package of something that a build lacks.
    pub package_of: &'a PackageOf<'a>,
    /// Brings blobs to the store that it has not.
    pub bring: &'a Bring<'a>,
    /// Who takes layers while others are made, if anybody does.
    pub publish: Option<&'a dyn Publish>,
    /// Who listens.
    pub events: &'a dyn Events,
    /// How many threads may work.
    pub jobs: usize,
    /// May remembered layers be taken?
    pub reuse: bool,
}

/// Downloads what the steps need and the store lacks, so many at a time.
pub fn fetch_inputs<'p>(
    ops: impl Iterator<Item = &'p Op>,
    capabilities: &Capabilities<'_>,
    connections: usize,
) -> Result<(), Report> {
    let mut downloads = Vec::new();
    for op in ops {
        match op {
            Op::Wheels(wheels) => downloads.extend(wheels.wheels.iter().map(download)),
            Op::Debs(debs) => {
                let compiler = debs.compiler.iter().flat_map(|compiler| &compiler.packages);
                let locked: Vec<_> = debs.packages.iter().chain(compiler).map(words::to_install).collect();
                debian::fetch_debs(&capabilities.archive, &locked, debs.archive.epoch)?;
            }
            Op::App(app) => downloads.extend(app.fetched.iter().map(|file| Download {
                urls: vec![file.url.clone()],
                digest: file.digest,
                size: Some(file.size),
                what: format!("/{}", file.path),
            })),
            Op::Packages(packages) => {
                let debs = packages.base.packages.iter().chain(&packages.packages);
                let locked: Vec<_> = debs.map(words::to_install).collect();
                debian::fetch_debs(&capabilities.archive, &locked, packages.epoch)?;
            }
            Op::Bytecode(Bytecode { of: Sources::Wheels(wheels), .. }) => downloads.extend(wheels.iter().map(download)),
            Op::Sdist(sdist) => downloads.extend([&sdist.sdist].into_iter().chain(&sdist.requires).map(download)),
            Op::Own(_) | Op::Files { .. } | Op::Bytecode(_) | Op::Given(_) | Op::Image(_) => {}
        }
    }
    Ok(fetch_all(capabilities.client, capabilities.store, &downloads, connections, capabilities.events)?)
}

fn download(wheel: &LockedWheel) -> Download {
    Download {
        urls: vec![wheel.url.clone()],
        digest: wheel.digest,
        size: Some(wheel.size),
        what: format!("{} {}", wheel.name, wheel.version),
    }
}

/// What a layer is made with, beside its step.
pub struct Means<'a> {
    /// The step's inputs.
    pub below: Vec<&'a Made>,
    /// Sources of its inputs that are not seen.
    pub hidden: &'a [Conflict],
    /// For bytecode.
    pub workshop: Option<&'a Workshop>,
    /// How the layer becomes a blob.
    pub encoding: Encoding,
}

/// Makes the layer of a step.
pub fn make_layer(
    op: &Op,
    means: &Means<'_>,
    capabilities: &Capabilities<'_>,
    batch: &Batch<'_>,
) -> Result<(Made, LayerIndex), Report> {
    let sink = BufWriter::with_capacity(BUFFER, batch.blob()?);
    let encoding = &means.encoding;
    match op {
        Op::Wheels(wheels) => wheel_layer(wheels, capabilities, encoding, sink),
        Op::Sdist(sdist) => sdist_layer(sdist, means, capabilities, batch, sink),
        Op::Own(own) => own_layer(own, capabilities, encoding, sink),
        Op::Packages(added) => {
            let (sink, written, installed) = packages::write(added, capabilities, encoding, sink)?;
            finish(sink, written, encoding, installed)
        }
        Op::Debs(debs) => {
            let (sink, written, installed) = base::write(debs, capabilities, encoding, sink)?;
            finish(sink, written, encoding, installed)
        }
        Op::Files { files } => {
            let read = |path: &LayerPath| read_below(path, &means.below, capabilities);
            let (sink, written) = files::write(files, &read, encoding.writer(sink, MTIME))?;
            finish(sink, written, encoding, Vec::new())
        }
        Op::App(app) => {
            let (sink, written) = app::write(app, encoding.writer(sink, MTIME))?;
            finish(sink, written, encoding, Vec::new())
        }
        Op::Bytecode(of) => {
            let workshop = means.workshop.ok_or_else(|| Failure::bug("nothing to compile with was unpacked"))?;
            let (sink, written, report) = bytecode::write(of, means.hidden, workshop, capabilities, encoding, sink)?;
            let (made, index) = finish(sink, written, encoding, Vec::new())?;
            Ok((Made { is_empty: report.files == 0, ..made }, index))
        }
        Op::Given(_) => Err(Failure::bug("a layer that is there is not made").into()),
        Op::Image(_) => Err(Failure::bug("an image is no layer").into()),
    }
}

type Sink<'batch> = BufWriter<BlobWriter<'batch>>;

fn finish(
    sink: Sink<'_>,
    written: Written,
    encoding: &Encoding,
    installed: Vec<Installed>,
) -> Result<(Made, LayerIndex), Report> {
    let blob = sink.into_inner().map_err(|error| files::unwritten(error.error()))?;
    let (digest, size) = blob.finish()?;
    let annotations = written.annotations();
    let media_type = encoding.compression.media_type();
    let made = Made {
        blob: Descriptor { annotations, ..Descriptor::new(&media_type.0, digest, size) },
        diff_id: written.diff_id,
        tar_size: written.tar_size,
        installed,
        set_id: SetId::all(&written.index),
        conflicts: Vec::new(),
        is_empty: false,
        reused: false,
    };
    Ok((made, written.index))
}

fn wheel_layer(
    wheels: &Wheels,
    capabilities: &Capabilities<'_>,
    encoding: &Encoding,
    sink: Sink<'_>,
) -> Result<(Made, LayerIndex), Report> {
    let sources = wheels.wheels.iter().map(|wheel| source(wheel, capabilities.store)).collect::<Result<Vec<_>, _>>()?;
    let target = InstallTarget { prefix: wheels.prefix.clone(), python: wheels.python.version };
    let (sink, written, reports) = convert_into(&sources, &target, encoding.writer(sink, MTIME))?;
    for report in &reports {
        tell(report, capabilities.events);
    }
    let installed = wheels.wheels.iter().zip(&reports).map(|(wheel, report)| installed(report, wheel.digest)).collect();
    let (made, index) = finish(sink, written, encoding, installed)?;
    let conflicts = reports.into_iter().flat_map(|report| report.conflicts).collect();
    Ok((Made { conflicts, ..made }, index))
}

fn own_layer(
    own: &OwnWheels,
    capabilities: &Capabilities<'_>,
    encoding: &Encoding,
    sink: Sink<'_>,
) -> Result<(Made, LayerIndex), Report> {
    let scratch = capabilities.store.scratch_folder()?;
    let (sink, written, packed) = own::write(own, scratch.path(), encoding.writer(sink, MTIME))?;
    for (report, _) in &packed {
        tell(report, capabilities.events);
    }
    let installed = packed.iter().map(|(report, digest)| installed(report, *digest)).collect();
    let (made, index) = finish(sink, written, encoding, installed)?;
    let conflicts = packed.into_iter().flat_map(|(report, _)| report.conflicts).collect();
    Ok((Made { conflicts, ..made }, index))
}

fn sdist_layer(
    sdist: &Sdist,
    means: &Means<'_>,
    capabilities: &Capabilities<'_>,
    batch: &Batch<'_>,
    sink: Sink<'_>,
) -> Result<(Made, LayerIndex), Report> {
    let sdist::Wheel { file, digest, version } = sdist::build(sdist, &means.below, capabilities, batch)?;
    let name = PackageName::new(&sdist.sdist.name).map_err(|error| Failure::input(error.to_string()))?;
    let wheel = WheelSource {
        name: sdist.sdist.name.clone(),
        purl: Purl::pypi(&name, &version).to_string(),
        version,
        file,
        direct_url: sdist.sdist.direct_url.clone(),
    };
    let target = InstallTarget { prefix: sdist.prefix.clone(), python: sdist.python.version };
    let (sink, written, reports) = convert_into(&[wheel], &target, means.encoding.writer(sink, MTIME))?;
    let installed = reports.iter().map(|report| installed(report, digest)).collect();
    finish(sink, written, &means.encoding, installed)
}

/// A wheel of the store.
pub fn source(wheel: &LockedWheel, store: &Store) -> Result<WheelSource, Report> {
    let name = PackageName::new(&wheel.name).map_err(|error| Failure::input(error.to_string()))?;
    Ok(WheelSource {
        name: wheel.name.clone(),
        version: wheel.version.clone(),
        purl: Purl::pypi(&name, &wheel.version).to_string(),
        file: store.file(&wheel.digest)?,
        direct_url: wheel.direct_url.clone(),
    })
}

fn tell(report: &WheelReport, events: &dyn Events) {
    for note in &report.notes {
        events.emit(Event::Note { text: &format!("{} {}: {note}", report.name, report.version) });
    }
    for conflict in &report.conflicts {
        let text = format!("/{}: the bytes of {} hide those of {}", conflict.path, conflict.winner, conflict.loser);
        events.warning(&text);
    }
}

fn installed(report: &WheelReport, digest: Digest) -> Installed {
    let metadata = &report.metadata;
    let classifiers: Vec<&str> = metadata.classifiers.iter().map(String::as_str).collect();
    let stated = Stated {
        expression: metadata.license_expression.as_deref(),
        text: metadata.license.as_deref(),
        classifiers: &classifiers,
    };
    Installed {
        purl: report.purl.clone(),
        name: report.name.clone(),
        version: report.version.clone(),
        licence: licence::normalise(&stated),
        requires: metadata.requires_dist.clone(),
        digest: Some(digest),
    }
}

/// A small file of the layers below, the topmost that has it.
fn read_below(path: &LayerPath, below: &[&Made], capabilities: &Capabilities<'_>) -> Result<Vec<u8>, Report> {
    for made in below.iter().rev() {
        let index = capabilities.store.layer_index(&made.diff_id)?.unwrap_or_default();
        let found = index.entries.into_iter().find(|entry| entry.path == *path && entry.kind == Kind::File);
        let Some(entry) = found else { continue };
        (capabilities.bring)(std::slice::from_ref(&made.blob), &format!("reading /{path}"))?;
        let read = read_from(&entry, made, capabilities.store);
        return Ok(read.map_err(|error| Failure::world(format!("reading /{path} of layer {}: {error}", made.diff_id)))?);
    }
    Err(Failure::bug(format!("no layer below has /{path}")).into())
}

fn read_from(entry: &Entry, made: &Made, store: &Store) -> std::io::Result<Vec<u8>> {
    let other = std::io::Error::other::<corten_store::StoreError>;
    let blob = store.read(&made.blob.digest).map_err(other)?;
    let mut tar = corten_layer::gzip::reader(&made.blob.media_type, blob)?;
    std::io::copy(&mut tar.by_ref().take(entry.offset), &mut std::io::sink())?;
    let mut bytes = Vec::new();
    tar.take(entry.size).read_to_end(&mut bytes)?;
    Ok(bytes)
}
