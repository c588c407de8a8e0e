//! What a backend gives, and the wheel made of it.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use corten_package::PackageName;
use corten_package::pep440::{Specifiers, Version};

use super::core::Core;
use super::folder::TEXT_LIMIT;
use super::glob::Glob;
use super::refusal::{Outcome, Refusal};
use super::tree::{Entry, Source, check_path, name};
use super::{Backend, Context, write};

/// A project's own wheel. What it lacks is `RECORD`, which installing makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWheel {
    /// In its normal form.
    pub name: PackageName,
    /// In its normal form.
    pub version: String,
    /// The name a wheel file would have: `demo_app-1.2.3-py3-none-any.whl`.
    pub file_name: String,
    /// `demo_app-1.2.3.dist-info`.
    pub dist_info: String,
    /// Whose rules were followed.
    pub backend: Backend,
    /// Every member but `RECORD`, sorted by path in bytes; METADATA, WHEEL and entry_points.txt are among them.
    pub files: Vec<WheelFile>,
    /// Members whose names look like secrets: to be refused unless the user allows them by name.
    pub secrets: Vec<String>,
    /// Files in the packages' folders that the backend leaves out, where that surprises people (setuptools' data).
    pub left_out: Vec<String>,
    /// What was decided, for the plan.
    pub notes: Vec<String>,
}

/// A member of the wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelFile {
    /// In the wheel, `N-V.data/scripts/…` and the like included.
    pub path: String,
    /// Its bytes.
    pub content: Content,
    /// Mode 0755 instead of 0644.
    pub executable: bool,
}

/// Bytes of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file of the listing, by its path there.
    File(String),
    /// These.
    Text(String),
}

impl OwnWheel {
    /// The project's files that it holds, by their path in the listing: what `/app` need not hold again.
    pub fn sources(&self) -> BTreeSet<&str> {
        let contents = self.files.iter().map(|file| &file.content);
        let source = contents.filter_map(|content| match content {
            Content::File(source) => Some(source.as_str()),
            Content::Text(_) => None,
        });
        source.collect()
    }

    /// A text of the dist-info folder: `METADATA`, `WHEEL`, `entry_points.txt`, `top_level.txt`.
    pub fn info(&self, name: &str) -> Option<&str> {
        let path = format!("{}/{name}", self.dist_info);
        let file = self.files.iter().find(|file| file.path == path)?;
        match &file.content {
            Content::Text(text) => Some(text),
            Content::File(_) => None,
        }
    }
}

/// Where a file goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Site(String),
    /// `.data/<scheme>/<path>`.
    Data(&'static str, String),
    /// `.dist-info/<path>`.
    Info(String),
}

/// Files of a wheel so far.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<Place, (Content, bool)>);

impl Files {
    /// Adds a file of the tree.
    pub fn add(&mut self, place: Place, shown: &str, entry: &Entry) -> Outcome<()> {
        let content = match &entry.source {
            Source::File(source) => Content::File(source.clone()),
            Source::Text(text) => Content::Text(text.to_string()),
            Source::Bad(why) => {
                let refusal = Refusal::broken(format!("'{}' cannot be packaged: {why}", shown.escape_debug()));
                return Err(refusal.hint("leave it out with .dockerignore, or put a file in its place"));
            }
        };
        self.put(place, content, entry.executable)
    }

    pub fn add_site(&mut self, path: &str, shown: &str, entry: &Entry) -> Outcome<()> {
        self.add(Place::Site(path.to_owned()), shown, entry)
    }

    pub fn put(&mut self, place: Place, content: Content, executable: bool) -> Outcome<()> {
        match self.0.entry(place) {
            Slot::Vacant(slot) => drop(slot.insert((content, executable))),
            Slot::Occupied(slot) if slot.get().0 == content => {}
            Slot::Occupied(slot) => {
                let (place, (before, _)) = (slot.key(), slot.get());
                let (before, new) = (source_of(before), source_of(&content));
                return Err(Refusal::broken(format!("two sources for {}: {before} and {new}", place.shown())));
            }
        }
        Ok(())
    }

    pub fn has_site(&self, path: &str) -> bool {
        self.0.contains_key(&Place::Site(path.to_owned()))
    }

    /// The project's files that are in the wheel.
    pub fn sources(&self) -> BTreeSet<String> {
        let source = |(content, _): &(Content, bool)| match content {
            Content::File(source) => Some(source.clone()),
            Content::Text(_) => None,
        };
        self.0.values().filter_map(source).collect()
    }

    /// A script whose first line names some Python gets the environment's one when it is installed.
    pub fn add_script(&mut self, context: &Context<'_>, path: &str, shown: &str, entry: &Entry) -> Outcome<()> {
        let place = Place::Data("scripts", path.to_owned());
        let Source::File(source) = &entry.source else { return self.add(place, shown, entry) };
        let read = context.project.folder.read(source, 4 * TEXT_LIMIT);
        let bytes = read.map_err(|failure| Refusal::unreadable(&failure))?;
        match String::from_utf8(bytes).ok().and_then(|text| for_any_python(&text)) {
            Some(text) => self.put(place, Content::Text(text), entry.executable),
            None => self.add(place, shown, entry),
        }
    }
}

/// `#!/usr/bin/env python3 -u` → `#!python -u`; none where nothing changes.
fn for_any_python(text: &str) -> Option<String> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let command = first.strip_prefix("#!")?.trim();
    let at = command.find("python")?;
    let behind = command.get(at..)?.find(char::is_whitespace).map_or("", |blank| command[at + blank..].trim());
    let first = if behind.is_empty() { "#!python".to_owned() } else { format!("#!python {behind}") };
    Some(format!("{first}\n{rest}"))
}

fn source_of(content: &Content) -> String {
    match content {
        Content::File(source) => format!("'{source}'"),
        Content::Text(_) => "a generated file".to_owned(),
    }
}

impl Place {
    fn shown(&self) -> String {
        match self {
            Self::Site(path) => path.clone(),
            Self::Data(scheme, path) => format!(".data/{scheme}/{path}"),
            Self::Info(path) => format!(".dist-info/{path}"),
        }
    }

    fn path(&self, stem: &str) -> String {
        match self {
            Self::Site(path) => path.clone(),
            Self::Data(scheme, path) => format!("{stem}.data/{scheme}/{path}"),
            Self::Info(path) => format!("{stem}.dist-info/{path}"),
        }
    }
}

/// Which Pythons a wheel says it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Python3,
    Python2And3,
}

impl Tag {
    /// Most backends: Python 2 too, unless `requires-python` keeps it out.
    pub fn admitted(requires_python: Option<&str>) -> Self {
        let Some(Ok(wanted)) = requires_python.map(str::parse::<Specifiers>) else { return Self::Python2And3 };
        let two = |minor: u32| format!("2.{minor}").parse::<Version>().is_ok_and(|version| wanted.contains(&version));
        if (0..100).any(two) { Self::Python2And3 } else { Self::Python3 }
    }

    fn texts(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Python3 => ("py3", &["py3-none-any"]),
            Self::Python2And3 => ("py2.py3", &["py2-none-any", "py3-none-any"]),
        }
    }
}

/// What a backend's function gives.
#[derive(Debug)]
pub(super) struct Payload {
    pub core: Core,
    pub files: Files,
    pub tag: Tag,
    /// Licence files, by their path in the project.
    pub licences: Vec<String>,
    /// Further texts of the dist-info folder.
    pub info: Vec<(&'static str, String)>,
    pub left_out: Vec<String>,
    pub notes: Vec<String>,
}

impl Payload {
    pub fn new(core: Core, files: Files, tag: Tag) -> Self {
        Self { core, files, tag, licences: Vec::new(), info: Vec::new(), left_out: Vec::new(), notes: Vec::new() }
    }

    pub fn finish(mut self, backend: Backend, context: &Context<'_>) -> Outcome<OwnWheel> {
        self.add_info(context)?;
        let name = PackageName::new(&self.core.name).map_err(|error| Refusal::broken(error.to_string()))?;
        let stem = format!("{}-{}", name.underscored(), self.core.version);
        let files = members(self.files, &stem)?;
        let (package, version) = backend.emulated();
        let mut notes = vec![format!("computed by the rules of {package} {version}")];
        notes.extend(self.notes);
        notes.extend(context.tree.environments.iter().map(|path| format!("{path} is a virtual environment: left out")));
        Ok(OwnWheel {
            file_name: format!("{stem}-{}-none-any.whl", self.tag.texts().0),
            dist_info: format!("{stem}.dist-info"),
            secrets: files.iter().filter(|file| is_secret(&file.path)).map(|file| file.path.clone()).collect(),
            version: self.core.version,
            left_out: self.left_out,
            name,
            backend,
            files,
            notes,
        })
    }

    fn add_info(&mut self, context: &Context<'_>) -> Outcome<()> {
        self.licences.sort();
        for path in &self.licences {
            let Some(entry) = context.tree.file(path) else { continue };
            self.files.add(Place::Info(format!("licenses/{path}")), path, entry)?;
        }
        let mut texts = std::mem::take(&mut self.info);
        texts.push(("METADATA", write::metadata(&self.core, &self.licences)));
        texts.push(("WHEEL", write::wheel(self.tag.texts().1)));
        let entry_points = write::entry_points(&self.core.entry_points);
        if !entry_points.is_empty() || backend_writes_empty(&texts) {
            texts.retain(|(name, _)| *name != "entry_points.txt");
            texts.push(("entry_points.txt", entry_points));
        }
        for (name, text) in texts {
            self.files.put(Place::Info(name.to_owned()), Content::Text(text), false)?;
        }
        Ok(())
    }
}

fn backend_writes_empty(texts: &[(&str, String)]) -> bool {
    texts.iter().any(|(name, _)| *name == "entry_points.txt")
}

fn members(files: Files, stem: &str) -> Outcome<Vec<WheelFile>> {
    let mut members = Vec::with_capacity(files.0.len());
    for (place, (content, executable)) in files.0 {
        let path = place.path(stem);
        check_path(&path).map_err(|why| Refusal::broken(format!("'{}': {why}", path.escape_debug())))?;
        members.push(WheelFile { path, content, executable });
    }
    members.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(members)
}

/// Names under which people keep secrets.
fn is_secret(path: &str) -> bool {
    const NAMES: [&str; 8] = [".env*", "*.pem", "*.key", "id_rsa*", ".netrc", "credentials*.json", ".npmrc", ".pypirc"];
    let example = [".example", ".sample", ".template", ".dist"].iter().any(|ending| path.ends_with(ending));
    !example && NAMES.iter().any(|pattern| Glob::name(pattern).matches(name(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_lose_their_python() {
        assert_eq!(for_any_python("#!/usr/bin/env python3\nx\ny").unwrap(), "#!python\nx\ny");
        assert_eq!(for_any_python("#! /usr/bin/python2.7 -u\n").unwrap(), "#!python -u\n");
        assert_eq!(for_any_python("#!/bin/sh\npython"), None);
        assert_eq!(for_any_python("python"), None);
    }

    #[test]
    fn tags_follow_requires_python() {
        for (requires, tag) in [
            (None, Tag::Python2And3),
            (Some(">=3.9"), Tag::Python3),
            (Some(">=2.7,!=3.0.*"), Tag::Python2And3),
            (Some("~=3.9"), Tag::Python3),
        ] {
            assert_eq!(Tag::admitted(requires), tag, "{requires:?}");
        }
    }

    #[test]
    fn secrets_by_name() {
        assert!([".env", "a/.env.prod", "a/b.pem", "id_rsa.pub", "x/credentials-dev.json"].into_iter().all(is_secret));
        assert!(!["a/.env.example", "environment.py", "keys.py", "a.env"].into_iter().any(is_secret));
    }
}
