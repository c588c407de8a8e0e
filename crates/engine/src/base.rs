//! The base layer: .debs of the store, unpacked in memory, with what their scripts would have done.

use std::collections::HashMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use corten_diagnostic::Report;
use corten_install::debian::base::{Base, BaseOptions, Compiler, ForDockerfiles, build_base};
use corten_install::debian::bytecode::{Invocation, OwnInterpreter};
use corten_install::debian::deb::DebFile;
use corten_layer::write::Written;
use corten_plan::{Debs, Installed, LockedDeb};
use corten_store::Store;

use crate::convert::{self, Encoding};
use crate::files::written;
use crate::make::Capabilities;

/// Starts a program of the base's tree (its Python, to compile its standard library); gives its standard output.
pub type RunProgram = dyn Fn(&Invocation) -> io::Result<Vec<u8>> + Sync;

/// Writes the layer.
pub fn write<W: Write>(
    debs: &Debs,
    capabilities: &Capabilities<'_>,
    encoding: &Encoding,
    sink: W,
) -> Result<(W, Written, Vec<Installed>), Report> {
    // For the interpreter, which has to lie on a disk.
    let scratch = capabilities.store.scratch_folder()?;
    let base = build(debs, capabilities, scratch.path())?;
    let mut layer = encoding.writer(sink, debs.archive.epoch);
    written(base.write_layer(&mut layer))?;
    let (sink, finished) = written(layer.finish())?;
    let locked = debs.packages.iter().map(|deb| (deb.name.as_str(), deb)).collect();
    Ok((sink, finished, installed(&locked, &base)))
}

fn build(debs: &Debs, capabilities: &Capabilities<'_>, scratch: &Path) -> Result<Base, Report> {
    let compiler = debs.compiler.iter().flat_map(|compiler| &compiler.packages);
    let compiler: Vec<DebFile> = compiler.map(|deb| file(deb, capabilities.store)).collect();
    let compiler =
        debs.compiler.as_ref().map(|foreign| Compiler { architecture: foreign.architecture, debs: &compiler });
    let interpreter = OwnInterpreter {
        architecture: compiler.map_or(debs.architecture, |compiler| compiler.architecture),
        python: python(debs).unwrap_or_default(),
        run: |invocation: &Invocation| (capabilities.run_program)(invocation),
    };
    let options = BaseOptions { bytecode: Some(&interpreter), compiler, ..options(debs, capabilities, scratch) };
    unpack(debs, capabilities, &options)
}

/// The files of a base.
pub fn unpack(debs: &Debs, capabilities: &Capabilities<'_>, options: &BaseOptions<'_>) -> Result<Base, Report> {
    let files: Vec<DebFile> = debs.packages.iter().map(|deb| file(deb, capabilities.store)).collect();
    Ok(build_base(&files, options)?)
}

/// A package's .deb in the store.
pub fn file(deb: &LockedDeb, store: &Store) -> DebFile {
    DebFile {
        name: deb.name.clone(),
        version: deb.version.clone(),
        architecture: deb.architecture.clone(),
        path: store.blob_path(&deb.digest),
    }
}

/// How a base is made, all but its bytecode.
pub fn options<'a>(debs: &'a Debs, capabilities: &Capabilities<'_>, scratch: &'a Path) -> BaseOptions<'a> {
    BaseOptions {
        suite: &debs.suite,
        variant: convert::variant(debs.variant),
        architecture: debs.architecture,
        epoch: debs.archive.epoch,
        seeds: &debs.seeds,
        python: python(debs),
        bytecode: None,
        compiler: None,
        dockerfiles: debs.dockerfiles.as_ref().map(|headers| ForDockerfiles { headers }),
        scratch,
        jobs: NonZeroUsize::new(capabilities.jobs).unwrap_or(NonZeroUsize::MIN),
    }
}

/// The minor version of the base's Python, from the name of its package.
fn python(debs: &Debs) -> Option<(u32, u32)> {
    debs.packages.iter().find_map(|deb| {
        let version = deb.name.strip_prefix("python")?.strip_suffix("-minimal")?;
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

/// What a layer's packages say of themselves; `locked`: by name.
pub fn installed(locked: &HashMap<&str, &LockedDeb>, base: &Base) -> Vec<Installed> {
    let package = |package: &corten_install::debian::base::Package| {
        let name = package.control.package();
        let deb = locked.get(name)?;
        Some(Installed {
            purl: package.purl.to_string(),
            name: name.to_owned(),
            version: deb.version.clone(),
            licence: None,
            requires: Vec::new(),
            digest: Some(deb.digest),
        })
    };
    base.packages.iter().filter_map(package).collect()
}
