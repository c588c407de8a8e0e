//! `[package.metadata]` of a uv.lock as a wheel's metadata would have it: the answer that the project's build backend gave
//! when it was locked.

use corten_diagnostic::Failure;
use corten_package::PackageName;

use super::super::project::LockedMetadata;
use super::super::{LockKind, LockText};
use super::format::{Metadata, MetadataRequirement};

/// What the lock says of the project that it calls `name`; none where it says nothing.
///
/// A requirement that `tool.uv.sources` has given another source stands there without its versions: the lock does not
/// keep them.
///
/// # Errors
/// The lock does not parse.
pub fn locked_metadata(lock: &LockText, name: &PackageName) -> Result<Option<LockedMetadata>, Failure> {
    if lock.kind != LockKind::Uv {
        return Ok(None);
    }
    lock.check_size()?;
    let parsed = super::parse(lock)?;
    let local =
        parsed.packages.iter().find(|package| package.name.get_ref() == name && package.source.folder().is_some());
    Ok(local.and_then(|package| package.metadata.as_ref()).map(in_words))
}

fn in_words(metadata: &Metadata) -> LockedMetadata {
    let requires = metadata.requires_dist.iter().map(requirement).collect();
    LockedMetadata { requires, extras: metadata.provides_extras.clone() }
}

/// PEP 508.
fn requirement(requirement: &MetadataRequirement) -> String {
    let mut text = requirement.name.to_string();
    if !requirement.extras.is_empty() {
        let extras: Vec<&str> = requirement.extras.iter().map(PackageName::as_str).collect();
        text.push_str(&format!("[{}]", extras.join(",")));
    }
    match (&requirement.url, &requirement.specifier) {
        (Some(url), _) => text.push_str(&format!(" @ {url}")),
        (None, Some(versions)) if versions != "*" => text.push_str(versions),
        (None, _) => {}
    }
    if let Some(marker) = &requirement.marker {
        let gap = if requirement.url.is_some() { " " } else { "" };
        text.push_str(&format!("{gap}; {marker}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_written_as_metadata_has_them() {
        let text = r#"version = 1
requires-python = ">=3.11"
[[package]]
name = "a"
source = { editable = "libs/a" }
[package.metadata]
requires-dist = [
    { name = "b", extras = ["x", "y"], specifier = ">=1,<2" },
    { name = "c", marker = "extra == 'gpu'", specifier = "==3" },
    { name = "d", url = "https://h.example/d-1-py3-none-any.whl", marker = "sys_platform == 'linux'" },
    { name = "e", git = "https://h.example/e" },
]
provides-extras = ["gpu"]
"#;
        let lock = LockText::new(LockKind::Uv, "uv.lock", text);
        let name = |text: &str| PackageName::new(text).unwrap();
        let found = locked_metadata(&lock, &name("a")).unwrap().unwrap();
        let d = "d @ https://h.example/d-1-py3-none-any.whl ; sys_platform == 'linux'";
        assert_eq!(found.requires, ["b[x,y]>=1,<2", "c==3; extra == 'gpu'", d, "e"]);
        assert_eq!(found.extras, [name("gpu")]);
        assert_eq!(locked_metadata(&lock, &name("b")).unwrap(), None);
    }
}
