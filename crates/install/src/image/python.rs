//! An image's Python: the program, its version, its standard library.

use corten_elf::{Elf, Machine};
use corten_layer::tree::Node;
use corten_oci::{Architecture, DiffId};

use super::packages::Package;
use super::{Files, Image, ImageError, LARGEST_PROGRAM, LARGEST_TEXT};

/// Where Docker looks for programs when an image does not say.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Folders of a PATH that are looked into.
const MOST_FOLDERS: usize = 64;
/// Minor versions of Python 3 that a program may be named by, newest first.
const MINORS: std::ops::RangeInclusive<u32> = 9..=19;

/// An interpreter of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Absolute, no link: `/usr/local/bin/python3.12`.
    pub path: String,
    /// Major and minor.
    pub version: (u32, u32),
    /// In full: `3.12.4`.
    pub full_version: String,
}

/// The first whole Python of the image's PATH.
pub(super) fn find(
    image: &Image<'_>,
    files: &Files<'_>,
    packages: &[(DiffId, Package)],
) -> Result<Interpreter, ImageError> {
    let path = image.environment.iter().find_map(|variable| variable.strip_prefix("PATH="));
    let path = path.unwrap_or(USUAL_PATH);
    let mut why = Vec::new();
    for folder in path.split(':').filter(|folder| folder.starts_with('/')).take(MOST_FOLDERS) {
        let names = ["python3".to_owned(), "python".to_owned()].into_iter();
        for name in names.chain(MINORS.rev().map(|minor| format!("python3.{minor}"))) {
            let Some(node) = files.node(&format!("{folder}/{name}")) else { continue };
            match interpreter(node, image.architecture, files, packages)? {
                Ok(found) => return Ok(found),
                Err(reason) if why.contains(&reason) => {}
                Err(reason) => why.push(reason),
            }
        }
    }
    match why.as_slice() {
        [] => Err(ImageError::NoPython { why: format!("none of the folders of its PATH ({path}) has a python3") }),
        _ => Err(ImageError::NoPython { why: why.join("; ") }),
    }
}

/// Why a program is no Python to stand on, in words.
type Usable = Result<Interpreter, String>;

fn interpreter(
    node: &Node,
    architecture: Architecture,
    files: &Files<'_>,
    packages: &[(DiffId, Package)],
) -> Result<Usable, ImageError> {
    let path = node.entry.path.to_string();
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let prefix = folder.rsplit_once('/').map_or("", |(prefix, _)| prefix);
    let library = |minor: u32| format!("{prefix}/lib/python3.{minor}").trim_start_matches('/').to_owned();
    let has_library = |minor: &u32| files.node(&format!("{}/os.py", library(*minor))).is_some();
    let named = name.strip_prefix("python3.").and_then(|minor| minor.parse::<u32>().ok());
    let minor = match named {
        Some(minor) => Some(minor).filter(has_library),
        None if name.starts_with("python3.") => {
            return Ok(Err(format!("/{path} is built without the GIL, or for debugging")));
        }
        None => MINORS.rev().find(|minor| has_library(minor)),
    };
    let Some(minor) = minor else {
        return Ok(Err(format!("/{path} has no standard library in /{prefix}/lib")));
    };
    if !MINORS.contains(&minor) {
        return Ok(Err(format!("/{path} is older than Python 3.9")));
    }
    let program = files.content(node, LARGEST_PROGRAM)?;
    if let Err(why) = is_for(&program, architecture) {
        return Ok(Err(format!("/{path} {why}")));
    }
    let debian = packages.iter().find(|(_, package)| package.name == format!("python3.{minor}-minimal"));
    let debian = debian.filter(|_| folder == "usr/bin").and_then(|(_, package)| upstream(&package.version, minor));
    let full_version = match debian {
        Some(version) => Some(version),
        None => match stated(files, &format!("{prefix}/include/python3.{minor}/patchlevel.h"), minor)? {
            Some(version) => Some(version),
            None => match literal(&program, minor) {
                Some(version) => Some(version),
                None => shared(files, prefix, architecture, minor)?,
            },
        },
    };
    Ok(match full_version {
        Some(full_version) => Ok(Interpreter { path: format!("/{path}"), version: (3, minor), full_version }),
        None => Err(format!("/{path} does not say which Python 3.{minor} it is")),
    })
}

fn is_for(program: &[u8], architecture: Architecture) -> Result<(), String> {
    let elf = Elf::read(program).map_err(|error| format!("is {error}"))?;
    let wanted = match architecture {
        Architecture::Amd64 => Machine::X86_64,
        Architecture::Arm64 => Machine::Aarch64,
    };
    match elf.machine == wanted {
        true => Ok(()),
        false => Err(format!("is for another processor than {architecture}")),
    }
}

/// `3.11.2-6+deb12u6` → `3.11.2`.
fn upstream(version: &str, minor: u32) -> Option<String> {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let end = version.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(version.len());
    full(version.get(..end)?.trim_end_matches('.'), minor)
}

/// `#define PY_VERSION "3.12.4"`.
fn stated(files: &Files<'_>, header: &str, minor: u32) -> Result<Option<String>, ImageError> {
    let Some(bytes) = files.bytes(header, LARGEST_TEXT)? else { return Ok(None) };
    let version = after(&bytes, b"#define PY_VERSION").and_then(|rest| rest.split('"').nth(1));
    Ok(version.and_then(|version| full(version, minor)))
}

/// The version as `Py_GetVersion` has it: a text of its own in the program's data.
fn literal(program: &[u8], minor: u32) -> Option<String> {
    let begin = format!("\x003.{minor}.").into_bytes();
    let places = memchr::memmem::find_iter(program, &begin);
    places
        .filter_map(|at| {
            let rest = program.get(at + 1..at.checked_add(32)?.min(program.len()))?;
            let end = rest.iter().position(|byte| *byte == 0)?;
            full(std::str::from_utf8(rest.get(..end)?).ok()?, minor)
        })
        .next()
}

/// The same in the library, where the program is linked with one.
fn shared(
    files: &Files<'_>,
    prefix: &str,
    architecture: Architecture,
    minor: u32,
) -> Result<Option<String>, ImageError> {
    for folder in ["lib".to_owned(), format!("lib/{}", architecture.triplet()), "lib64".to_owned()] {
        let path = format!("{prefix}/{folder}/libpython3.{minor}.so.1.0");
        if let Some(bytes) = files.bytes(&path, LARGEST_PROGRAM)? {
            return Ok(literal(&bytes, minor));
        }
    }
    Ok(None)
}

/// A full version of this minor: `3.12.4`, `3.13.0rc1`.
fn full(text: &str, minor: u32) -> Option<String> {
    let rest = text.strip_prefix(&format!("3.{minor}."))?;
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (patch, more) = rest.split_at(digits);
    let good = !patch.is_empty()
        && patch.len() < 4
        && more.len() < 6
        && (more.is_empty() || more.starts_with(['a', 'b', 'r']))
        && more.bytes().all(|byte| byte.is_ascii_alphanumeric());
    good.then(|| text.to_owned())
}

/// The text behind the first place of some bytes, at most 64 bytes of it.
pub(super) fn after<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<&'a str> {
    let at = memchr::memmem::find(bytes, mark)?.checked_add(mark.len())?;
    let rest = bytes.get(at..at.saturating_add(64).min(bytes.len()))?;
    let end = rest.iter().position(|byte| !byte.is_ascii() || *byte == 0 || *byte == b'\n').unwrap_or(rest.len());
    std::str::from_utf8(rest.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_they_are_written() {
        assert_eq!(upstream("3.11.2-6+deb12u6", 11).as_deref(), Some("3.11.2"));
        assert_eq!(upstream("1:3.13.5-2", 13).as_deref(), Some("3.13.5"));
        assert_eq!(upstream("3.11.2-6", 12), None);
        let program = b"\x003.12.x\x003.12.4 (main, now)\x003.12.4\x00more";
        assert_eq!(literal(program, 12).as_deref(), Some("3.12.4"));
        assert_eq!(literal(b"\x003.13.0rc1\x00", 13).as_deref(), Some("3.13.0rc1"));
        assert_eq!(literal(b"\x003.12.4", 12), None);
        assert_eq!(full("3.12.99999", 12), None);
    }
}
