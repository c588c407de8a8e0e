//! The layer of Debian packages beside those of the base: what they add to it and change in it.

use std::collections::HashMap;
use std::io::Write;

use corten_diagnostic::Report;
use corten_install::debian::base::{ExtraOptions, add_packages};
use corten_layer::write::Written;
use corten_plan::{Installed, LockedDeb, Packages};

use crate::base;
use crate::convert::Encoding;
use crate::files::written;
use crate::make::Capabilities;

/// Writes the layer. The base is made again in memory: its layer may be remembered alone, and of a layer nothing says
/// which script a package had.
pub fn write<W: Write>(
    packages: &Packages,
    capabilities: &Capabilities<'_>,
    encoding: &Encoding,
    sink: W,
) -> Result<(W, Written, Vec<Installed>), Report> {
    let scratch = capabilities.store.scratch_folder()?;
    let options = base::options(&packages.base, capabilities, scratch.path());
    let base = base::unpack(&packages.base, capabilities, &options)?;
    let files: Vec<_> = packages.packages.iter().map(|deb| base::file(deb, capabilities.store)).collect();
    let extra = ExtraOptions { asked: &packages.asked, unconfigured: &packages.unconfigured };
    let added = add_packages(base, &files, &options, &extra)?;
    let mut layer = encoding.writer(sink, packages.epoch);
    written(added.write_layer(&mut layer))?;
    let (sink, finished) = written(layer.finish())?;
    let locked: HashMap<&str, &LockedDeb> = packages.packages.iter().map(|deb| (deb.name.as_str(), deb)).collect();
    Ok((sink, finished, base::installed(&locked, &added)))
}
