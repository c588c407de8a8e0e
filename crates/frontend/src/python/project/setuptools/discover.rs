//! Which packages and modules setuptools finds, and in which folders they lie.

use std::collections::BTreeMap;

use super::settings::{Find, Packages, Settings};
use crate::python::project::glob::Glob;
use crate::python::project::refusal::{Outcome, Refusal};
use crate::python::project::tree::{Tree, clean, join};

/// What is shipped.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Dotted names, in the order in which they were found.
    pub packages: Vec<String>,
    pub modules: Vec<String>,
    pub package_dir: BTreeMap<String, String>,
}

const RESERVED_FOLDERS: [&str; 35] = [
    "ci",
    "bin",
    "debian",
    "doc",
    "docs",
    "documentation",
    "manpages",
    "news",
    "newsfragments",
    "changelog",
    "test",
    "tests",
    "unit_test",
    "unit_tests",
    "example",
    "examples",
    "scripts",
    "tools",
    "util",
    "utils",
    "python",
    "build",
    "dist",
    "venv",
    "env",
    "requirements",
    "tasks",
    "fabfile",
    "site_scons",
    "benchmark",
    "benchmarks",
    "exercise",
    "exercises",
    "htmlcov",
    "[._]*",
];
const RESERVED_MODULES: [&str; 21] = [
    "setup",
    "conftest",
    "test",
    "tests",
    "example",
    "examples",
    "build",
    "toxfile",
    "noxfile",
    "pavement",
    "dodo",
    "tasks",
    "fabfile",
    "[Ss][Cc]onstruct",
    "conanfile",
    "manage",
    "benchmark",
    "benchmarks",
    "exercise",
    "exercises",
    "[._]*",
];

/// As given, else discovered.
pub(super) fn discover(tree: &Tree, settings: &Settings) -> Outcome<Found> {
    let mut found = Found { package_dir: folders_of(settings)?, ..Found::default() };
    match (&settings.packages, &settings.modules) {
        (None, None) => found.discover(tree)?,
        (packages, modules) => {
            found.modules = modules.clone().unwrap_or_default();
            match packages {
                Some(Packages::These(names)) => found.packages.clone_from(names),
                Some(Packages::Find(find)) => found.find(tree, find)?,
                None => {}
            }
        }
    }
    Ok(found)
}

fn folders_of(settings: &Settings) -> Outcome<BTreeMap<String, String>> {
    let folder = |(package, path): (&String, &String)| {
        let leaves = || Refusal::broken(format!("package-dir '{path}' leaves the project"));
        Ok((package.clone(), clean(path).ok_or_else(leaves)?))
    };
    settings.package_dir.iter().map(folder).collect()
}

impl Found {
    /// The folder of a package: the longest prefix that package-dir knows, then the root's.
    pub fn folder(&self, package: &str) -> String {
        let mut tail: Vec<&str> = Vec::new();
        let mut head = package;
        loop {
            if let Some(folder) = self.package_dir.get(head).filter(|_| !head.is_empty()) {
                tail.reverse();
                return join(folder, &tail.join("/"));
            }
            match head.rsplit_once('.') {
                Some((before, last)) => {
                    tail.push(last);
                    head = before;
                }
                None => break,
            }
        }
        join(self.package_dir.get("").map_or("", String::as_str), &package.replace('.', "/"))
    }

    fn discover(&mut self, tree: &Tree) -> Outcome<()> {
        let named: Vec<(String, String)> = self
            .package_dir
            .iter()
            .filter(|(package, _)| !package.is_empty())
            .map(|(p, f)| (p.clone(), f.clone()))
            .collect();
        if !named.is_empty() {
            for (package, folder) in named {
                let below = walk(tree, &folder, &any_folder, &Filter::all());
                self.packages.push(package.clone());
                self.packages.extend(below.into_iter().map(|inner| format!("{package}.{inner}")));
            }
            return Ok(());
        }
        let src = self.package_dir.get("").cloned().unwrap_or_else(|| "src".to_owned());
        if tree.is_folder(&src) && !src.is_empty() {
            self.packages = walk(tree, &src, &any_folder, &Filter::all());
            self.modules = modules(tree, &src, &[]);
            self.package_dir.entry(String::new()).or_insert(src);
            return Ok(());
        }
        self.discover_flat(tree)
    }

    fn discover_flat(&mut self, tree: &Tree) -> Outcome<()> {
        let reserved = RESERVED_FOLDERS.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.*")]);
        let filter = Filter::new(&["*".to_owned()], &reserved.collect::<Vec<_>>());
        let valid = |_: &str, package: &str| {
            let mut names = package.split('.');
            names.next().is_some_and(|top| is_identifier(top) || top.ends_with("-stubs")) && names.all(is_identifier)
        };
        self.packages = walk(tree, "", &valid, &filter);
        let top = self.packages.iter().filter(|package| !package.contains('.') && !package.ends_with("-stubs"));
        let top: Vec<&str> = top.map(String::as_str).collect();
        if !top.is_empty() {
            return alone(&top, "packages");
        }
        self.modules = modules(tree, "", &RESERVED_MODULES);
        alone(&self.modules.iter().map(String::as_str).collect::<Vec<_>>(), "modules")
    }

    fn find(&mut self, tree: &Tree, find: &Find) -> Outcome<()> {
        let filter = Filter::new(&find.include, &find.exclude);
        let package = |folder: &str, _: &str| find.namespaces || tree.file(&join(folder, "__init__.py")).is_some();
        let several = find.places.len() > 1;
        for place in &find.places {
            let root = clean(place).ok_or_else(|| Refusal::broken(format!("find's '{place}' leaves the project")))?;
            let found = walk(tree, &root, &package, &filter);
            if several {
                let top = found.iter().filter(|package| !has_parent(package, &found));
                self.package_dir.extend(top.map(|package| (package.clone(), join(&root, &package.replace('.', "/")))));
            } else if !root.is_empty() {
                self.package_dir.entry(String::new()).or_insert(root);
            }
            self.packages.extend(found);
        }
        Ok(())
    }
}

fn has_parent(package: &str, all: &[String]) -> bool {
    package.match_indices('.').any(|(at, _)| all.iter().any(|other| *other == package[..at]))
}

fn alone(found: &[&str], what: &str) -> Outcome<()> {
    let [first, _, ..] = found else { return Ok(()) };
    let why = format!(
        "setuptools finds several top-level {what} ({}) in a flat layout and refuses to guess",
        found.join(", ")
    );
    let key = if what == "packages" { "packages" } else { "py-modules" };
    Err(Refusal::broken(why).hint(format!("[tool.setuptools] {key} = [\"{first}\"]")))
}

/// Patterns of dotted names.
struct Filter {
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    /// Excludes as written.
    written: Vec<String>,
}

impl Filter {
    fn new(include: &[String], exclude: &[String]) -> Self {
        let own = ["ez_setup".to_owned(), "*__pycache__".to_owned()];
        let written: Vec<String> = exclude.iter().cloned().chain(own).collect();
        let compile = |patterns: &[String]| patterns.iter().map(|pattern| Glob::shell(pattern)).collect();
        Self { include: compile(include), exclude: compile(&written), written }
    }

    fn all() -> Self {
        Self::new(&["*".to_owned()], &[])
    }

    fn takes(&self, package: &str) -> bool {
        let any = |patterns: &[Glob]| patterns.iter().any(|pattern| pattern.matches(package));
        any(&self.include) && !any(&self.exclude)
    }

    /// Only what is literally an exclude stops the walk.
    fn prunes(&self, package: &str) -> bool {
        self.written.iter().any(|pattern| pattern.strip_prefix(package).is_some_and(|rest| matches!(rest, "*" | ".*")))
    }
}

fn any_folder(_: &str, _: &str) -> bool {
    true
}

/// Dotted names of the folders below `root` that look like packages.
fn walk(tree: &Tree, root: &str, looks_right: &dyn Fn(&str, &str) -> bool, filter: &Filter) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo: Vec<(String, String)> = vec![(root.to_owned(), String::new())];
    while let Some((folder, package)) = todo.pop() {
        let mut inner = Vec::new();
        for name in tree.folders_in(&folder).filter(|name| !name.contains('.')) {
            let path = join(&folder, name);
            let package = if package.is_empty() { name.to_owned() } else { format!("{package}.{name}") };
            if !looks_right(&path, &package) {
                continue;
            }
            if filter.takes(&package) {
                found.push(package.clone());
            }
            if !filter.prunes(&package) {
                inner.push((path, package));
            }
        }
        todo.extend(inner.into_iter().rev());
    }
    found
}

fn modules(tree: &Tree, folder: &str, reserved: &[&str]) -> Vec<String> {
    let stem = |name: &str| name.strip_suffix(".py").filter(|stem| is_identifier(stem)).map(str::to_owned);
    let free = |stem: &String| !reserved.iter().any(|pattern| Glob::shell(pattern).matches(stem));
    tree.names(folder).filter_map(stem).filter(free).collect()
}

pub(super) fn is_identifier(name: &str) -> bool {
    name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}
