//! Names of zip members: which may be files below a root, and which can lie beside each other.

use std::collections::HashSet;

use super::ZipError;
use super::directory::Record;

/// Bytes of a whole name, and of one component (Linux: PATH_MAX and NAME_MAX).
const LONGEST: usize = 4095;
const LONGEST_COMPONENT: usize = 255;

/// The name as text, without a folder's trailing slash, and whether it had one.
pub(super) fn parse(bytes: &[u8], utf8: bool) -> Result<(String, bool), ZipError> {
    let Ok(name) = std::str::from_utf8(bytes) else {
        return ZipError::member(&String::from_utf8_lossy(bytes), "its name is not UTF-8");
    };
    if let Some(why) = refusal(name, utf8) {
        return ZipError::member(name, why);
    }
    match name.strip_suffix('/') {
        Some(folder) => Ok((folder.to_owned(), true)),
        None => Ok((name.to_owned(), false)),
    }
}

fn refusal(name: &str, utf8: bool) -> Option<&'static str> {
    if name.is_empty() {
        return Some("its name is empty");
    }
    if name.starts_with('/') {
        return Some("its name is absolute");
    }
    if name.contains('\0') {
        return Some("its name has a NUL byte");
    }
    if name.contains('\\') {
        return Some("its name has a backslash");
    }
    if name.chars().any(char::is_control) {
        return Some("its name has a control character");
    }
    if !utf8 && !name.is_ascii() {
        return Some("its name is not ASCII and not marked as UTF-8");
    }
    let path = name.strip_suffix('/').unwrap_or(name);
    if path.split('/').any(|component| component == "..") {
        return Some("its name climbs out of the archive ('..')");
    }
    if path.split('/').any(|component| component.is_empty() || component == ".") {
        return Some("its name has an empty or '.' component");
    }
    let mut start = path.bytes();
    if start.next().is_some_and(|byte| byte.is_ascii_alphabetic()) && start.next() == Some(b':') {
        return Some("its name begins with a drive");
    }
    let long = path.len() > LONGEST || path.split('/').any(|component| component.len() > LONGEST_COMPONENT);
    long.then_some("its name is too long")
}

/// No two members of one name; no file where another member needs a folder.
pub(super) fn check_together(records: &[Record]) -> Result<(), ZipError> {
    let mut names = HashSet::with_capacity(records.len());
    for record in records {
        if !names.insert(record.name.as_str()) {
            return ZipError::member(&record.name, "its name is there twice");
        }
    }
    let files: HashSet<&str> =
        records.iter().filter(|record| !record.folder).map(|record| record.name.as_str()).collect();
    let mut folders = HashSet::new();
    for record in records {
        let mut path = record.name.as_str();
        while let Some((folder, _)) = path.rsplit_once('/') {
            if files.contains(folder) {
                return ZipError::member(
                    &record.name,
                    format_args!("'{}' is a file, not a folder", folder.escape_debug()),
                );
            }
            if !folders.insert(folder) {
                break;
            }
            path = folder;
        }
    }
    Ok(())
}
