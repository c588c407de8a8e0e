//! The base layer: .debs of the store, unpacked in memory, with what their scripts would have done.

use std::collections::HashMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use corten_diagnostic::Report;
use corten_install::debian::base::{Base, BaseOptions, Compiler, build_base};
use corten_install::debian::bytecode::{Invocation, OwnInterpreter};
use corten_install::debian::deb::DebFile;
use corten_layer::write::Written;
use corten_plan::{Debs, Installed, LockedDeb};

use crate::convert::{self, Encoding};
use crate::files::written;
use crate::make::Capabilities;

/// Starts a program of the base's tree (its Python, to compile its standard library); gives its standard output.
pub type RunProgram = dyn Fn(&Invocation) -> io::Result<Vec<u8>> + Sync;

/// Writes the layer.
pub fn write<W: Write>(
    debs: &Debs,
    capabilities: &Capabilities<'_>,
    encoding: Encoding,
    sink: W,
) -> Result<(W, Written, Vec<Installed>), Report> {
    // For the interpreter, which has to lie on a disk.
    let scratch = capabilities.store.scratch_folder()?;
    let base = build(debs, capabilities, scratch.path())?;
    let mut layer = encoding.writer(sink, debs.archive.epoch);
    written(base.write_layer(&mut layer))?;
    let (sink, finished) = written(layer.finish())?;
    Ok((sink, finished, installed(debs, &base)))
}

fn build(debs: &Debs, capabilities: &Capabilities<'_>, scratch: &Path) -> Result<Base, Report> {
    let file = |deb: &LockedDeb| DebFile {
        name: deb.name.clone(),
        version: deb.version.clone(),
        architecture: deb.architecture.clone(),
        path: capabilities.store.blob_path(&deb.digest),
    };
    let files: Vec<DebFile> = debs.packages.iter().map(file).collect();
    let compiler: Vec<DebFile> = debs.compiler.iter().flat_map(|compiler| &compiler.packages).map(file).collect();
    let compiler =
        debs.compiler.as_ref().map(|foreign| Compiler { architecture: foreign.architecture, debs: &compiler });
    let python = python(debs);
    let interpreter = OwnInterpreter {
        architecture: compiler.map_or(debs.architecture, |compiler| compiler.architecture),
        python: python.unwrap_or_default(),
        run: |invocation: &Invocation| (capabilities.run_program)(invocation),
    };
    let options = BaseOptions {
        suite: &debs.suite,
        variant: convert::variant(debs.variant),
        architecture: debs.architecture,
        epoch: debs.archive.epoch,
        seeds: &debs.seeds,
        python,
        bytecode: Some(&interpreter),
        compiler,
        scratch,
        jobs: NonZeroUsize::new(capabilities.jobs).unwrap_or(NonZeroUsize::MIN),
    };
    Ok(build_base(&files, &options)?)
}

/// The minor version of the base's Python, from the name of its package.
fn python(debs: &Debs) -> Option<(u32, u32)> {
    debs.packages.iter().find_map(|deb| {
        let version = deb.name.strip_prefix("python")?.strip_suffix("-minimal")?;
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

fn installed(debs: &Debs, base: &Base) -> Vec<Installed> {
    let locked: HashMap<&str, &LockedDeb> = debs.packages.iter().map(|deb| (deb.name.as_str(), deb)).collect();
    let package = |package: &corten_install::debian::base::Package| {
        let name = package.control.package();
        let deb = locked.get(name)?;
        Some(Installed {
            purl: package.purl.to_string(),
            name: name.to_owned(),
            version: deb.version.clone(),
            licence: None,
            requires: Vec::new(),
            digest: deb.digest,
        })
    };
    base.packages.iter().filter_map(package).collect()
}
