//! `Pipfile.lock`, `pipfile-spec` 6: JSON, one table for each category (`default`, `develop`, …), with hashes but neither
//! names nor addresses of files.
//!
//! It is already resolved, each package with its marker. `index` names one of `_meta.sources`; without it the first one
//! is meant, and no other is asked. It was made on one machine: what only another platform needs may be missing without
//! a trace, a known limit of the tool.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use corten_diagnostic::Failure;
use corten_oci::Digest;
use corten_package::PackageName;
use corten_package::marker::{self, Environment};
use corten_package::pep440::{Specifiers, Version};
use serde::Deserialize;
use serde_json::Value;

use super::lock::named;
use super::resolved::{FileText, locked_file, sha256};
use super::{Asked, Files, GitSource, LocalProject, LockText, LockedFrom, Resolved, Wanted};

/// The file, parsed.
#[derive(Debug)]
pub(super) struct Lock {
    pub meta: Meta,
    pub categories: BTreeMap<String, BTreeMap<String, Entry>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Meta {
    #[serde(default)]
    pub hash: BTreeMap<String, String>,
    #[serde(rename = "pipfile-spec")]
    spec: Option<u64>,
    #[serde(default)]
    requires: BTreeMap<String, String>,
    #[serde(default)]
    sources: Vec<Source>,
}

#[derive(Debug, Deserialize)]
struct Source {
    name: Option<String>,
    url: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Entry {
    pub version: Option<String>,
    #[serde(default)]
    hashes: Vec<String>,
    markers: Option<String>,
    index: Option<String>,
    git: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    subdirectory: Option<String>,
    path: Option<String>,
    file: Option<String>,
}

/// Parses the file.
pub(super) fn parse(lock: &LockText) -> Result<Lock, Failure> {
    let broken = |error: serde_json::Error| {
        let at = place(&lock.text, error.line(), error.column());
        lock.failure(format!("broken JSON: {error}")).at(lock.span(at))
    };
    let mut tables: BTreeMap<String, Value> = serde_json::from_str(&lock.text).map_err(broken)?;
    let Some(meta) = tables.remove("_meta") else {
        return Err(lock.failure("it has no '_meta', so this is not a Pipfile.lock").at(lock.span(0..0)));
    };
    let meta: Meta = serde_json::from_value(meta).map_err(|error| lock.failure(format!("_meta: {error}")))?;
    match meta.spec {
        Some(6) => {}
        Some(other) => {
            let failure = lock.failure(format!("pipfile-spec {other} is not known, 6 is"));
            return Err(failure.at(find(lock, 0, "pipfile-spec")).hint("`pipenv lock` writes one that is"));
        }
        None => return Err(lock.failure("it does not say its 'pipfile-spec'").at(lock.span(0..0))),
    }
    let mut categories = BTreeMap::new();
    for (name, table) in tables {
        let table = serde_json::from_value(table)
            .map_err(|error| lock.failure(format!("the category '{name}': {error}")).at(find(lock, 0, &name)))?;
        categories.insert(name, table);
    }
    Ok(Lock { meta, categories })
}

/// Line and column from 1 → bytes of the text.
fn place(text: &str, line: usize, column: usize) -> Range<usize> {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let at = before.saturating_add(column.saturating_sub(1));
    at..at.saturating_add(1)
}

/// Where the key stands, from `start` on: JSON is read without places.
fn find(lock: &LockText, start: usize, key: &str) -> corten_diagnostic::Span {
    lock.span(Places::of(&lock.text).find(start, key))
}

/// Where each key of a JSON text stands.
struct Places<'a>(HashMap<&'a str, Vec<Range<usize>>>);

impl<'a> Places<'a> {
    /// In one pass: a text in quotes with a colon behind it is a key.
    fn of(text: &'a str) -> Self {
        let mut places: HashMap<&str, Vec<Range<usize>>> = HashMap::new();
        let bytes = text.as_bytes();
        let mut open: Option<usize> = None;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match (byte, open) {
                (b'\\', Some(_)) => at += 1,
                (b'"', None) => open = Some(at),
                (b'"', Some(start)) => {
                    open = None;
                    let behind = bytes.get(at + 1..).unwrap_or_default();
                    let is_key = behind.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                    if let (true, Some(key)) = (is_key, text.get(start + 1..at)) {
                        places.entry(key).or_default().push(start..at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Self(places)
    }

    /// The first from `start` on.
    fn find(&self, start: usize, key: &str) -> Range<usize> {
        let all = self.0.get(key).map(Vec::as_slice).unwrap_or_default();
        let first = all.partition_point(|place| place.start < start);
        all.get(first).cloned().unwrap_or(start..start)
    }
}

/// See [`super::read`].
pub(super) fn read(lock: &LockText, asked: &Asked, environment: &Environment) -> Result<Resolved, Failure> {
    let parsed = parse(lock)?;
    lock.refuse_member(asked)?;
    if let Some(extra) = asked.extras.first() {
        return Err(Failure::usage(format!("{}: it knows no extra '{extra}'", lock.path.display()))
            .hint("its categories of packages are dependency groups"));
    }
    let others = || parsed.categories.keys().filter(|name| *name != "default");
    let known: BTreeSet<PackageName> = others().filter_map(|name| PackageName::new(name).ok()).collect();
    let choice = named(lock, "dependency group", &renamed(&asked.groups), &known)?;
    let wanted = |name: &str| name == "default" || PackageName::new(name).is_ok_and(|name| choice.contains(&name));
    let mut resolved = Resolved::default();
    let mut seen: BTreeMap<PackageName, &Entry> = BTreeMap::new();
    let places = Places::of(&lock.text);
    for (category, entries) in parsed.categories.iter().filter(|(name, _)| wanted(name)) {
        let start = places.find(0, category).start;
        for (text, entry) in entries {
            let reader = Reader { lock, places: &places, meta: &parsed.meta, start, text, entry };
            let name = PackageName::new(text).map_err(|error| lock.failure(error).at(reader.at()))?;
            if !reader.holds(environment)? {
                continue;
            }
            match seen.insert(name.clone(), entry) {
                Some(other) if (&other.version, &other.git) == (&entry.version, &entry.git) => {}
                Some(other) => {
                    let version = |entry: &Entry| entry.version.clone().unwrap_or_else(|| "without version".into());
                    return Err(lock.twice(&name, [&version(other), &version(entry)], reader.at().range()));
                }
                None => reader.add(name, &mut resolved)?,
            }
        }
    }
    resolved.wanted.sort_by(|left, right| left.name.cmp(&right.name));
    resolved.groups_left_out = known.difference(&choice).map(PackageName::to_string).collect();
    resolved.groups = choice.iter().map(PackageName::to_string).collect();
    resolved.python_hint = python_hint(&parsed.meta);
    if let Some(python) = resolved.python_hint.as_ref().filter(|python| **python != environment.python_version()) {
        let base = &environment.python_full_version;
        resolved
            .warnings
            .push(format!("{}: it was locked for Python {python}, the base has {base}", lock.path.display()));
    }
    Ok(resolved)
}

/// `dev` and the Pipfile's own word for it mean `develop`.
fn renamed(groups: &[String]) -> Vec<String> {
    let rename = |group: &String| match group.as_str() {
        "dev" | "dev-packages" => "develop".to_owned(),
        _ => group.clone(),
    };
    groups.iter().map(rename).collect()
}

/// `3.9`; the patch of `python_full_version` is not insisted on.
fn python_hint(meta: &Meta) -> Option<String> {
    let full = meta.requires.get("python_version").or_else(|| meta.requires.get("python_full_version"))?;
    let mut numbers = full.split('.').take(2).map(str::parse::<u32>);
    Some(format!("{}.{}", numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// For choosing a Python before there is one.
pub(super) fn python(lock: &LockText) -> Result<Option<String>, Failure> {
    Ok(python_hint(&parse(lock)?.meta))
}

/// One entry where it stands.
struct Reader<'a> {
    lock: &'a LockText,
    places: &'a Places<'a>,
    meta: &'a Meta,
    /// Of its category.
    start: usize,
    text: &'a str,
    entry: &'a Entry,
}

impl Reader<'_> {
    fn at(&self) -> corten_diagnostic::Span {
        self.lock.span(self.places.find(self.start, self.text))
    }

    fn holds(&self, environment: &Environment) -> Result<bool, Failure> {
        let Some(text) = self.entry.markers.as_deref().filter(|text| !text.is_empty()) else { return Ok(true) };
        Ok(self.lock.marker(text, self.at().range())?.evaluate(environment, &marker::Asked::default()))
    }

    fn add(&self, name: PackageName, resolved: &mut Resolved) -> Result<(), Failure> {
        let entry = self.entry;
        let is_file = |path: &String| [".whl", ".tar.gz", ".zip"].iter().any(|ending| path.ends_with(ending));
        if let Some(path) = entry.path.as_ref().filter(|path| !is_file(path)) {
            let path = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
            let path = if path.is_empty() { "." } else { path }.to_owned();
            resolved.local.push(LocalProject { name, path, package: true, at: Some(self.at()) });
            return Ok(());
        }
        resolved.wanted.push(self.wanted(name)?);
        Ok(())
    }

    fn wanted(&self, name: PackageName) -> Result<Wanted, Failure> {
        let (entry, at) = (self.entry, self.at());
        let hashes: Vec<Digest> = entry.hashes.iter().filter_map(|hash| sha256(hash)).collect();
        let version = self.version()?;
        if let Some(url) = &entry.git {
            let commit = entry.reference.clone().unwrap_or_default();
            let url = url.strip_prefix("git+").unwrap_or(url).to_owned();
            let from = LockedFrom::Git(GitSource { url, commit, subdirectory: entry.subdirectory.clone() });
            return Ok(Wanted { name, version, files: Files::Known(Vec::new()), index: None, from, at });
        }
        if let Some(address) = entry.file.as_ref().or(entry.path.as_ref()) {
            let hash = hashes.first().map(Digest::to_string);
            let file = locked_file(&FileText { url: address, name: None, hash: hash.as_deref(), size: None });
            let from = if address.contains("://") {
                LockedFrom::Url(address.clone())
            } else {
                LockedFrom::File(address.clone())
            };
            return Ok(Wanted {
                name,
                version,
                files: Files::Known(file.into_iter().collect()),
                index: None,
                from,
                at,
            });
        }
        if version.is_none() {
            return Err(self.lock.failure(format!("'{name}' has neither a version nor another source")).at(at));
        }
        let index = self.index(&name)?;
        let hashes = (!entry.hashes.is_empty()).then_some(hashes);
        let files = Files::AskIndex { index: index.clone(), extra: Vec::new(), hashes };
        Ok(Wanted { name, version, files, index, from: LockedFrom::Registry, at })
    }

    /// `==1.0`.
    fn version(&self) -> Result<Option<Version>, Failure> {
        let Some(text) = self.entry.version.as_deref() else { return Ok(None) };
        let pin = text.parse::<Specifiers>().ok().and_then(|specifiers| specifiers.pinned().cloned());
        match pin {
            Some(version) => Ok(Some(version)),
            None => Err(self.lock.failure(format!("'{}' is not pinned: {text}", self.text)).at(self.at())),
        }
    }

    /// Of the source that the entry names, else of the first.
    fn index(&self, name: &PackageName) -> Result<Option<String>, Failure> {
        let sources = &self.meta.sources;
        let Some(wanted) = &self.entry.index else { return Ok(sources.first().map(|source| source.url.clone())) };
        match sources.iter().find(|source| source.name.as_ref() == Some(wanted)) {
            Some(source) => Ok(Some(source.url.clone())),
            None => {
                let what = format!("'{name}' is from the source '{wanted}', which '_meta' does not have");
                Err(self.lock.failure(what).at(self.at()))
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use corten_diagnostic::Diagnose;
    use corten_oci::Architecture;

    use super::super::LockKind;
    use super::*;

    pub(crate) const LOCK: &str = r#"{
    "_meta": {
        "hash": { "sha256": "00" }, "pipfile-spec": 6, "requires": { "python_version": "3.11" },
        "sources": [{ "name": "pypi", "url": "https://i.example/simple" }, { "name": "own", "url": "https://own.example" }]
    },
    "default": {
        "A_b": { "hashes": ["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"], "version": "==1.0", "index": "own" },
        "bare": { "version": "==2.0", "markers": "sys_platform == 'linux'" },
        "gone": { "version": "==2.0", "markers": "sys_platform == 'win32'" },
        "git": { "git": "https://g.example/x.git", "ref": "0123456789012345678901234567890123456789", "subdirectory": "py" },
        "here": { "path": "./lib/", "editable": true }
    },
    "develop": { "a-b": { "version": "==2.0" } },
    "docs": { "bare": { "version": "==2.0" } }
}"#;

    fn read_text(text: &str, groups: &[&str]) -> Result<Resolved, Failure> {
        let asked = Asked { groups: groups.iter().map(|group| (*group).to_owned()).collect(), ..Asked::default() };
        let lock = LockText::new(LockKind::Pipenv, "Pipfile.lock", text);
        read(&lock, &asked, &Environment::new("3.11.2", Architecture::Amd64))
    }

    #[test]
    fn each_package_has_its_own_index() {
        let resolved = read_text(LOCK, &["docs"]).unwrap();
        let names: Vec<_> =
            resolved.wanted.iter().map(|wanted| (wanted.name.as_str(), wanted.index.as_deref())).collect();
        let own = ("a-b", Some("https://own.example"));
        assert_eq!(names, [own, ("bare", Some("https://i.example/simple")), ("git", None)]);
        let hashes = |at: usize| match &resolved.wanted[at].files {
            Files::AskIndex { hashes, extra, .. } if extra.is_empty() => hashes.as_ref().map(Vec::len),
            other => panic!("{other:?}"),
        };
        assert_eq!((hashes(0), hashes(1)), (Some(1), None));
        assert_eq!(resolved.local[0].path, "lib");
        assert_eq!(resolved.wanted[0].at.position().0, 7);
        assert_eq!((resolved.groups, resolved.groups_left_out), (vec!["docs".into()], vec!["develop".to_owned()]));
        assert_eq!(resolved.python_hint.as_deref(), Some("3.11"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, says, line) in [
            ("\"index\": \"own\"", "\"index\": \"x\"", "'a-b' is from the source 'x', which '_meta' does not have", 7),
            ("==1.0", ">=1.0", "'A_b' is not pinned: >=1.0", 7),
            ("\"pipfile-spec\": 6", "\"pipfile-spec\": 7", "pipfile-spec 7 is not known, 6 is", 3),
            ("\"_meta\"", "\"meta\"", "it has no '_meta', so this is not a Pipfile.lock", 1),
            (
                "sys_platform == 'linux'",
                "nope",
                "'nope' is not an environment marker: 'nope' is not something to ask about",
                8,
            ),
            ("\"default\": {", "\"default\": [", "broken JSON: expected `,` or `]` at line 7 column 14", 7),
        ] {
            let failure = read_text(&LOCK.replacen(from, to, 1), &[]).unwrap_err();
            assert_eq!(failure.to_string(), format!("Pipfile.lock: {says}"), "{from}");
            assert_eq!(failure.span().unwrap().position().0, line, "{from}");
        }
        let both = read_text(LOCK, &["dev"]).unwrap_err().to_string();
        assert_eq!(both, "Pipfile.lock: two entries of 'a-b' apply at once: ==1.0 and ==2.0");
        assert!(read_text(LOCK, &["nope"]).unwrap_err().hints().concat().contains("develop"));
    }
}
