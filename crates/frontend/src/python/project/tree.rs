//! The project's files as a backend sees them: links followed, nothing outside the project.
//!
//! A link to a file is that file under another name; a link to a folder shows the folder's content once more. What
//! cannot be followed (out of the project, in a circle, to nothing) stays in the tree as an entry that refuses when it is
//! shipped: `data -> /mnt/data` at the root of a project hurts nobody who does not package it.
//!
//! Never in the tree: `.git`, and a folder that is a virtual environment (it has a `pyvenv.cfg`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::folder::{Kind, Listed};
use super::refusal::{Outcome, Refusal};

/// Files of one project, with what links show again. PyPI's largest sdists have some ten thousand.
const MOST_FILES: usize = 200_000;
/// Linux's longest path.
const LONGEST_PATH: usize = 4096;
/// Folders above one file, with what links show again.
const DEEPEST: usize = 128;
/// As the kernel: links to links.
const MOST_HOPS: usize = 40;

/// A file as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub source: Source,
    pub executable: bool,
    /// Is there a link to a folder on its path?
    pub through_link: bool,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A regular file of the listing.
    File(String),
    /// Written by a rule that was computed.
    Text(Arc<str>),
    /// Shipping it is an error.
    Bad(String),
}

#[derive(Debug, Default, Clone)]
struct Children {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

/// The files of a project by path.
#[derive(Debug, Default, Clone)]
pub(super) struct Tree {
    files: BTreeMap<String, Entry>,
    folders: BTreeMap<String, Children>,
    /// Folders that were left out because they are virtual environments.
    pub environments: Vec<String>,
    /// Files that it may have.
    most: usize,
}

impl Tree {
    pub fn new(listed: Vec<Listed>) -> Outcome<Self> {
        Self::bounded(listed, MOST_FILES)
    }

    fn bounded(listed: Vec<Listed>, most: usize) -> Outcome<Self> {
        let raw = Raw::new(listed)?;
        let mut tree = Self { most, ..Self::default() };
        tree.folders.entry(String::new()).or_default();
        tree.show(&raw, "", "", &mut Vec::new(), false)?;
        Ok(tree)
    }

    /// A computed file. What stands there is replaced.
    pub fn write(&mut self, path: &str, text: &str) -> Outcome<()> {
        check_path(path).map_err(|why| Refusal::broken(format!("cannot write '{path}': {why}")))?;
        let entry = Entry { source: Source::Text(Arc::from(text)), executable: false, through_link: false };
        self.add(path, entry)
    }

    pub fn file(&self, path: &str) -> Option<&Entry> {
        self.files.get(path)
    }

    pub fn is_folder(&self, path: &str) -> bool {
        self.folders.contains_key(path)
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.files.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Everything below a folder, in byte order of paths.
    pub fn below(&self, folder: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = self.files.range(prefix.clone()..);
        from.take_while(move |(path, _)| path.starts_with(&prefix)).map(|(path, entry)| (path.as_str(), entry))
    }

    /// Names of the files directly in a folder.
    pub fn names(&self, folder: &str) -> impl Iterator<Item = &str> {
        self.folders.get(folder).into_iter().flat_map(|children| children.files.iter().map(String::as_str))
    }

    /// Names of the folders directly in a folder.
    pub fn folders_in(&self, folder: &str) -> impl Iterator<Item = &str> {
        self.folders.get(folder).into_iter().flat_map(|children| children.folders.iter().map(String::as_str))
    }

    /// All folders but the root.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.keys().map(String::as_str).filter(|path| !path.is_empty())
    }

    fn add(&mut self, path: &str, entry: Entry) -> Outcome<()> {
        if self.files.len() >= self.most {
            return Err(Refusal::broken(format!("its folder has more than {} files", self.most))
                .hint("keep data and caches out with .dockerignore"));
        }
        self.add_folder(parent(path));
        self.folders.entry(parent(path).to_owned()).or_default().files.insert(name(path).to_owned());
        self.files.insert(path.to_owned(), entry);
        Ok(())
    }

    fn add_folder(&mut self, path: &str) {
        let mut path = path;
        while !path.is_empty() && !self.folders.contains_key(path) {
            self.folders.insert(path.to_owned(), Children::default());
            self.folders.entry(parent(path).to_owned()).or_default().folders.insert(name(path).to_owned());
            path = parent(path);
        }
    }

    /// Shows the real folder `real` as `shown`; `above` are the real folders that it is shown in.
    fn show(&mut self, raw: &Raw, real: &str, shown: &str, above: &mut Vec<String>, link: bool) -> Outcome<()> {
        let Some(children) = raw.folders.get(real) else { return Ok(()) };
        if children.contains("pyvenv.cfg") && !shown.is_empty() {
            self.environments.push(shown.to_owned());
            return Ok(());
        }
        above.push(real.to_owned());
        if !shown.is_empty() {
            self.add_folder(shown);
        }
        for child in children.iter().filter(|child| *child != ".git") {
            self.show_child(raw, &join(real, child), &join(shown, child), above, link)?;
        }
        above.pop();
        Ok(())
    }

    fn show_child(&mut self, raw: &Raw, real: &str, shown: &str, above: &mut Vec<String>, link: bool) -> Outcome<()> {
        let bad = |why: &str| Entry { source: Source::Bad(why.to_owned()), executable: false, through_link: link };
        if let Err(why) = check_path(shown) {
            return self.add(shown, bad(why));
        }
        let (target, by_link) = match raw.follow(real) {
            Ok(target) => (target, raw.links.contains_key(real)),
            Err(why) => return self.add(shown, bad(why)),
        };
        if let Some(executable) = raw.files.get(&target) {
            let entry = Entry { source: Source::File(target), executable: *executable, through_link: link };
            return self.add(shown, entry);
        }
        if above.contains(&target) {
            return self.add(shown, bad("it is a link that leads in a circle"));
        }
        if !raw.folders.contains_key(&target) {
            return self.add(shown, bad("it is a link to nothing"));
        }
        self.show(raw, &target, shown, above, link || by_link)
    }
}

/// The listing by path, as it lies on the disk.
struct Raw {
    files: BTreeMap<String, bool>,
    links: BTreeMap<String, String>,
    folders: BTreeMap<String, BTreeSet<String>>,
}

impl Raw {
    fn new(listed: Vec<Listed>) -> Outcome<Self> {
        if listed.len() > 2 * MOST_FILES {
            return Err(Refusal::broken(format!("its folder has more than {} entries", 2 * MOST_FILES)));
        }
        let mut raw = Self { files: BTreeMap::new(), links: BTreeMap::new(), folders: BTreeMap::new() };
        raw.folders.insert(String::new(), BTreeSet::new());
        for Listed { path, kind } in listed {
            if !is_relative(&path) {
                return Err(Refusal::broken(format!("'{}' is no path below the project", path.escape_debug())));
            }
            raw.add_name(&path);
            match kind {
                Kind::File { executable } => drop(raw.files.insert(path, executable)),
                Kind::Folder => drop(raw.folders.entry(path).or_default()),
                Kind::Link { to } => drop(raw.links.insert(path, to)),
            }
        }
        Ok(raw)
    }

    fn add_name(&mut self, path: &str) {
        let mut path = path;
        while !path.is_empty() {
            let known = self.folders.contains_key(parent(path));
            self.folders.entry(parent(path).to_owned()).or_default().insert(name(path).to_owned());
            if known {
                return;
            }
            path = parent(path);
        }
    }

    /// The real path behind a path, or why there is none.
    fn follow(&self, path: &str) -> Result<String, &'static str> {
        let mut todo: VecDeque<&str> = path.split('/').collect();
        let (mut done, mut hops) = (String::new(), 0);
        while let Some(part) = todo.pop_front() {
            match part {
                "" | "." => continue,
                ".." if done.is_empty() => return Err("it is a link that leaves the project"),
                ".." => done.truncate(parent(&done).len()),
                part => done = join(&done, part),
            }
            let Some(to) = self.links.get(&done) else { continue };
            hops += 1;
            if hops > MOST_HOPS || to.len() > LONGEST_PATH {
                return Err("it is a link that leads in a circle");
            }
            if to.starts_with('/') {
                return Err("it is a link that leaves the project");
            }
            done.truncate(parent(&done).len());
            to.rsplit('/').for_each(|part| todo.push_front(part));
        }
        Ok(done)
    }
}

/// May a wheel hold it?
pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    if !is_relative(path) {
        return Err("it is no path below the wheel");
    }
    if path.chars().any(|letter| letter.is_control() || letter == '\\' || letter == '\u{fffd}') {
        return Err("its name has a control character, a backslash or no UTF-8");
    }
    if path.matches('/').count() > DEEPEST {
        return Err("it lies too deep");
    }
    Ok(())
}

fn is_relative(path: &str) -> bool {
    path.len() <= LONGEST_PATH && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The folder of a path; empty for the root.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last part of a path.
pub(super) fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

pub(super) fn join(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        (false, false) => format!("{folder}/{name}"),
    }
}

/// A path as people write it in settings (`./src/`, `a//b`), or none if it leaves the project.
pub(super) fn clean(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!path.starts_with('/')).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Listed {
        Listed { path: path.to_owned(), kind: Kind::File { executable: false } }
    }

    fn link(path: &str, to: &str) -> Listed {
        Listed { path: path.to_owned(), kind: Kind::Link { to: to.to_owned() } }
    }

    fn shown(tree: &Tree) -> Vec<String> {
        let show = |(path, entry): (&str, &Entry)| match &entry.source {
            Source::File(source) if source == path => path.to_owned(),
            Source::File(source) => format!("{path} = {source}"),
            Source::Text(_) => format!("{path} written"),
            Source::Bad(why) => format!("{path}: {why}"),
        };
        tree.files().map(show).collect()
    }

    #[test]
    fn links_show_files_again_and_never_leave_the_project() {
        let listed = vec![
            file("a/b.py"),
            file("c.py"),
            link("a/c.py", "../c.py"),
            link("d", "a"),
            link("out", "/etc/passwd"),
            link("up", "a/../../x"),
            link("nowhere", "gone"),
            link("round", "round"),
            link("a/back", "."),
        ];
        let circle = "it is a link that leads in a circle";
        let leaves = "it is a link that leaves the project";
        let expected = [
            "a/b.py".to_owned(),
            format!("a/back: {circle}"),
            "a/c.py = c.py".to_owned(),
            "c.py".to_owned(),
            "d/b.py = a/b.py".to_owned(),
            format!("d/back: {circle}"),
            "d/c.py = c.py".to_owned(),
            "nowhere: it is a link to nothing".to_owned(),
            format!("out: {leaves}"),
            format!("round: {circle}"),
            format!("up: {leaves}"),
        ];
        assert_eq!(shown(&Tree::new(listed).unwrap()), expected);
    }

    #[test]
    fn paths_that_climb_are_refused() {
        for path in ["../x", "a/../../x", "/etc/passwd", "a//b", "", "a/./b"] {
            assert!(Tree::new(vec![file(path)]).is_err(), "{path:?}");
        }
    }

    #[test]
    fn links_that_multiply_files_are_bounded() {
        // 20 folders, each with ten links to the next: 10^20 files.
        let mut listed = vec![file("f20/x")];
        for at in 0..20 {
            listed.extend((0..10).map(|arm| link(&format!("f{at}/l{arm}"), &format!("../f{}", at + 1))));
        }
        assert!(Tree::bounded(listed, 1000).unwrap_err().to_string().contains("more than 1000 files"));
    }

    #[test]
    fn environments_and_git_are_left_out() {
        let tree =
            Tree::new(vec![file("env/pyvenv.cfg"), file("env/lib/x.py"), file(".git/config"), file("a")]).unwrap();
        assert_eq!(shown(&tree), ["a"]);
        assert_eq!(tree.environments, ["env"]);
    }

    #[test]
    fn names_that_no_wheel_can_hold_are_marked() {
        let tree = Tree::new(vec![file("a\nb"), file("c\\d")]).unwrap();
        assert!(tree.files().all(|(_, entry)| matches!(entry.source, Source::Bad(_))));
    }
}
