//! Is it the wheel that it should be? Checked before a single member is placed.

use std::collections::BTreeSet;
use std::fs::File;

use corten_layer::zip::{Archive, Member};
use corten_package::PackageName;
use corten_package::pep440::Version;

use super::WheelSource;
use super::metadata::headers;
use super::wheel::Problem;

/// More content than this, and more than [`BOMB_RATIO`] times the wheel's size, is a bomb. CUDA wheels hold 2 GB.
const BOMB_SIZE: u64 = 4 << 30;
const BOMB_RATIO: u64 = 100;

pub(super) fn check_bomb(archive: &Archive<&File>, file: &File) -> Result<(), Problem> {
    let content = archive.members().iter().fold(0u64, |sum, member| sum.saturating_add(member.size));
    if content > BOMB_SIZE.max(file.metadata()?.len().saturating_mul(BOMB_RATIO)) {
        return Err(Problem::Refused(format!("{content} bytes of content: it looks like a zip bomb")));
    }
    Ok(())
}

/// The one dist-info folder, which must be that of the wheel.
pub(super) fn dist_info(members: &[Member], source: &WheelSource) -> Result<String, Problem> {
    let folders: BTreeSet<&str> = members
        .iter()
        .filter_map(|member| member.name.split_once('/').map(|(folder, _)| folder))
        .filter(|folder| folder.ends_with(".dist-info"))
        .collect();
    let mut folders = folders.into_iter();
    let (Some(folder), None) = (folders.next(), folders.next()) else {
        return Err(Problem::Refused("a wheel has exactly one dist-info folder, this has none or several".to_owned()));
    };
    let stem = folder.trim_end_matches(".dist-info");
    let (name, version) = stem.rsplit_once('-').ok_or_else(|| format!("{folder} has no version"))?;
    check_identity(folder, name, version, source)?;
    Ok(folder.to_owned())
}

pub(super) fn check_identity(place: &str, name: &str, version: &str, source: &WheelSource) -> Result<(), Problem> {
    let same_name = PackageName::new(name).is_ok_and(|name| name.as_str() == source.name);
    if same_name && same_version(version, &source.version) {
        return Ok(());
    }
    Err(Problem::Refused(format!("{place} is about {} {}", name.escape_debug(), version.escape_debug())))
}

fn same_version(one: &str, other: &str) -> bool {
    one == other || one.parse::<Version>().is_ok_and(|one| other.parse::<Version>().is_ok_and(|other| one == other))
}

/// `Wheel-Version` 1.x (a newer minor version is noted) and `Root-Is-Purelib`, which must be there.
pub(super) fn check_wheel(text: &str) -> Result<Vec<String>, Problem> {
    let headers = headers(text);
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let version = header("wheel-version").ok_or_else(|| "WHEEL has no Wheel-Version".to_owned())?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    if major != "1" {
        return Err(Problem::Refused(format!("it is of wheel version '{version}', only 1.0 is known")));
    }
    match header("root-is-purelib").map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "false") => {}
        _ => return Err(Problem::Refused("WHEEL does not say whether Root-Is-Purelib".to_owned())),
    }
    let newer = minor != "0";
    Ok(if newer { vec![format!("is of wheel version {version}, newer than 1.0")] } else { Vec::new() })
}

/// A text of dist-info.
pub(super) fn text(archive: &mut Archive<&File>, folder: &str, name: &str, limit: u64) -> Result<String, Problem> {
    let path = format!("{folder}/{name}");
    let member = archive.members().iter().find(|member| member.name == path).cloned();
    let member = member.ok_or_else(|| format!("there is no {path}"))?;
    let bytes = archive.content(&member, limit)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if name == "METADATA" => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        Err(_) => Err(Problem::Refused(format!("{path} is not UTF-8"))),
    }
}
