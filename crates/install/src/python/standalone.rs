//! Pythons that bring all they need, as python-build-standalone makes them (`install_only`, gzip): the archive becomes a layer.
//!
//! ```text
//! python/bin/python3.12              → usr/local/bin/python3.12
//! python/lib/libpython3.12.so.1.0    → usr/local/lib/…
//! python/lib/python3.12/…            → usr/local/lib/python3.12/…
//! python/include, python/share       left out, but for the header that names the version
//! ```
//!
//! Owners are root, modes 0644 or 0755. Left out beside that: tests, IDLE, static libraries, and the packages that it
//! brings (pip): what is installed lies in the virtual environment.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use corten_diagnostic::{Diagnose, Fault};
use corten_layer::gzip;
use corten_layer::tar::{TarError, TarReader};
use corten_layer::write::{LayerWriter, Written};
use corten_oci::{Entry, Kind, LayerPath, MediaType};

/// Where it lies in an image.
pub const PREFIX: &str = "usr/local";
/// Raised when other bytes come out for the same archive.
pub const FORMAT: u32 = 1;

/// Files that an archive may have; those of 2026 have 5,000.
const MOST_FILES: usize = 100_000;
/// Bytes of all of them; those of 2026 have 150 MB.
const MOST_BYTES: u64 = 4 << 30;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StandaloneError(String);

impl Diagnose for StandaloneError {
    fn fault(&self) -> Fault {
        Fault::Input
    }

    fn hints(&self) -> Vec<String> {
        vec!["an archive of python-build-standalone whose name ends with install_only.tar.gz is expected".into()]
    }
}

impl From<io::Error> for StandaloneError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Writes the layer of an archive, in the archive's order.
///
/// # Errors
/// What is no gzip or tar, lies outside `python/`, leads out of it, is twice there, or is beyond the limits.
pub fn convert<W: Write>(archive: impl Read, mut layer: LayerWriter<W>) -> Result<(W, Written), StandaloneError> {
    let tar = gzip::reader(&MediaType::LAYER_GZIP.into(), archive)?;
    let mut reader = TarReader::new(io::BufReader::with_capacity(1 << 17, tar));
    let mut made = BTreeSet::new();
    let mut bytes: u64 = 0;
    while let Some(entry) = reader.next_entry().map_err(refused)? {
        let Some(below) = below(&entry.path)? else { continue };
        if entry.kind == Kind::Directory || is_left_out(&below) {
            continue;
        }
        bytes = bytes.saturating_add(entry.size);
        if made.len() > MOST_FILES || bytes > MOST_BYTES {
            return Err(StandaloneError(format!("it has more than {MOST_FILES} files or {MOST_BYTES} bytes")));
        }
        let path = path(&format!("{PREFIX}/{below}"))?;
        let kind = kind(&entry, &below)?;
        for parent in path.ancestors() {
            if made.insert(parent.clone()) {
                layer.bare(of_root(parent, Kind::Directory, 0o755))?;
            }
        }
        if !made.insert(path.clone()) {
            return Err(StandaloneError(format!("{} is there twice", entry.path)));
        }
        let mode = if entry.mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let written = Entry { size: entry.size, ..of_root(path, kind, mode) };
        match written.kind {
            Kind::File => layer.file(written, &mut reader.content())?,
            _ => layer.bare(Entry { size: 0, mode: 0o777, ..written })?,
        }
    }
    if made.is_empty() {
        return Err(StandaloneError("it has nothing in python/".to_owned()));
    }
    Ok(layer.finish()?)
}

fn refused(error: TarError) -> StandaloneError {
    StandaloneError(error.to_string())
}

fn path(text: &str) -> Result<LayerPath, StandaloneError> {
    LayerPath::new(text).map_err(|error| StandaloneError(error.to_string()))
}

/// The path below `python/`; none for the folder itself.
fn below(path: &LayerPath) -> Result<Option<String>, StandaloneError> {
    let text = path.as_str().ok_or_else(|| StandaloneError(format!("{path} is no name in UTF-8")))?;
    match text.split_once('/') {
        None if text == "python" || text.is_empty() => Ok(None),
        Some(("python", below)) => Ok(Some(below.to_owned())),
        _ => Err(StandaloneError(format!("{path} is not in python/"))),
    }
}

/// What nothing that runs has a use for.
fn is_left_out(below: &str) -> bool {
    let mut parts = below.split('/');
    let (top, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let name = below.rsplit('/').next().unwrap_or_default();
    match top {
        "include" => name != "patchlevel.h",
        "share" => true,
        "lib" if second == "pkgconfig" || name.ends_with(".a") => true,
        "lib" if second.starts_with("python3.") => {
            let third = parts.next().unwrap_or_default();
            ["test", "idlelib", "turtledemo", "ensurepip", "site-packages"].contains(&third)
                || third.starts_with("config-")
        }
        "bin" => {
            name.starts_with("pip")
                || name.starts_with("idle")
                || name.starts_with("pydoc")
                || name.ends_with("-config")
        }
        _ => false,
    }
}

fn kind(entry: &Entry, below: &str) -> Result<Kind, StandaloneError> {
    let outside = |to: &str| StandaloneError(format!("{} is a link to {to}, outside python/", entry.path));
    match &entry.kind {
        Kind::File => Ok(Kind::File),
        Kind::Symlink(to) => match stays_inside(below, to) {
            true => Ok(Kind::Symlink(to.clone())),
            false => Err(outside(to)),
        },
        Kind::HardLink(to) => match self::below(to)? {
            Some(to) => Ok(Kind::HardLink(path(&format!("{PREFIX}/{to}"))?)),
            None => Err(outside("python")),
        },
        _ => Err(StandaloneError(format!("{} is neither file, folder nor link", entry.path))),
    }
}

/// Does a link of the file at `below` end within the archive's folder, at every step?
fn stays_inside(below: &str, to: &str) -> bool {
    let mut depth = below.split('/').count() - 1;
    !to.starts_with('/')
        && to.split('/').all(|part| match part {
            "" | "." => true,
            ".." => match depth.checked_sub(1) {
                Some(up) => {
                    depth = up;
                    true
                }
                None => false,
            },
            _ => {
                depth += 1;
                true
            }
        })
}

fn of_root(path: LayerPath, kind: Kind, mode: u32) -> Entry {
    Entry { path, kind, mode, uid: 0, gid: 0, size: 0, crc32: None, offset: 0, package: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_within_the_archive() {
        assert!(stays_inside("bin/python3", "python3.12"));
        assert!(stays_inside("lib/libpython3.12.so", "../lib/x"));
        assert!(stays_inside("lib/a/b", "../../bin/c"));
        assert!(!stays_inside("bin/a", "../../etc/passwd"));
        assert!(!stays_inside("bin/a", "x/../../../etc"));
        assert!(!stays_inside("bin/a", "/etc/passwd"));
    }

    #[test]
    fn what_no_service_needs_stays_out() {
        for out in [
            "share/man/man1/x",
            "include/python3.12/Python.h",
            "lib/libpython3.12.a",
            "lib/python3.12/test/a.py",
            "bin/pip3",
        ] {
            assert!(is_left_out(out), "{out}");
        }
        for stays in
            ["bin/python3.12", "include/python3.12/patchlevel.h", "lib/python3.12/os.py", "lib/libpython3.12.so.1.0"]
        {
            assert!(!is_left_out(stays), "{stays}");
        }
    }
}
