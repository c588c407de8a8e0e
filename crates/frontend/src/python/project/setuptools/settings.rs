//! What setup.py, setup.cfg and pyproject.toml say about files, in one shape.
//!
//! pyproject.toml beats setup.py, which beats setup.cfg.

use std::collections::BTreeMap;

use crate::python::project::Context;
use crate::python::project::config::At;
use crate::python::project::ini::{Ini, Item};
use crate::python::project::python::Literal;
use crate::python::project::refusal::{Outcome, Refusal};

/// Which packages.
#[derive(Debug, Clone)]
pub(super) enum Packages {
    These(Vec<String>),
    Find(Find),
}

/// `find:` and its relatives.
#[derive(Debug, Clone)]
pub(super) struct Find {
    pub places: Vec<String>,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub namespaces: bool,
}

/// Lists by package, or by target folder.
pub(super) type Lists = Vec<(String, Vec<String>)>;

/// What decides about files.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// None: discovered.
    pub packages: Option<Packages>,
    pub modules: Option<Vec<String>>,
    pub package_dir: BTreeMap<String, String>,
    pub include_package_data: Option<bool>,
    pub package_data: Lists,
    pub exclude_package_data: Lists,
    pub data_files: Lists,
    pub scripts: Vec<String>,
    pub license_files: Option<Vec<String>>,
    pub namespace_packages: Vec<String>,
    /// Files that `file:` names; the manifest has them.
    pub referenced: Vec<String>,
}

impl Settings {
    pub fn read(context: &Context<'_>, script: &[(String, Literal)], ini: Option<&Ini>) -> Outcome<Self> {
        let mut settings = Self::default();
        if let Some(ini) = ini {
            settings.read_ini(ini)?;
        }
        settings.read_script(script)?;
        settings.read_pyproject(&context.pyproject.path("tool.setuptools"))?;
        if settings.include_package_data.is_none() {
            let modern =
                context.pyproject.path("project").exists() || context.pyproject.path("tool.setuptools").exists();
            settings.include_package_data = Some(modern);
        }
        Ok(settings)
    }

    fn read_pyproject(&mut self, table: &At<'_>) -> Outcome<()> {
        for key in ["ext-modules", "cmdclass"] {
            if table.key(key).exists() {
                return Err(table.key(key).needs_build(if key == "cmdclass" { "is code" } else { "needs a compiler" }));
            }
        }
        let owned =
            |at: At<'_>| Outcome::Ok(at.texts()?.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>()));
        let packages = table.key("packages");
        if packages.is_table() {
            self.packages = Some(Packages::Find(find(&packages)?));
        } else if let Some(list) = owned(packages)? {
            self.packages = Some(Packages::These(list));
        }
        self.modules = owned(table.key("py-modules"))?.or(self.modules.take());
        if table.key("package-dir").exists() {
            let pairs = table.key("package-dir").text_entries()?;
            self.package_dir = pairs.into_iter().map(|(key, path)| (key.to_owned(), path.to_owned())).collect();
        }
        self.include_package_data = table.key("include-package-data").flag()?.or(self.include_package_data);
        replace(&mut self.package_data, &table.key("package-data"))?;
        replace(&mut self.exclude_package_data, &table.key("exclude-package-data"))?;
        replace(&mut self.data_files, &table.key("data-files"))?;
        self.scripts = owned(table.key("script-files"))?.unwrap_or(std::mem::take(&mut self.scripts));
        self.license_files = owned(table.key("license-files"))?.or(self.license_files.take());
        self.namespace_packages =
            owned(table.key("namespace-packages"))?.unwrap_or(std::mem::take(&mut self.namespace_packages));
        Ok(())
    }

    fn read_ini(&mut self, ini: &Ini) -> Outcome<()> {
        for key in ["setup_requires", "cmdclass"] {
            if let Some(item) = ini.get("options", key) {
                let refusal = Refusal::needs_build(format!("{}: {key} is code", ini.text.name()));
                return Err(refusal.at(Some(ini.text.line(item.line))));
            }
        }
        let list = |section, key| ini.get(section, key).map(Item::list);
        self.packages = match ini.get("options", "packages") {
            Some(item) if item.text().starts_with("find") => Some(Packages::Find(find_in_ini(ini, item.text()))),
            Some(item) => Some(Packages::These(item.list())),
            None => None,
        };
        self.modules = list("options", "py_modules");
        let pairs = list("options", "package_dir").unwrap_or_default();
        let pair =
            |text: String| text.split_once('=').map(|(key, path)| (key.trim().to_owned(), path.trim().to_owned()));
        self.package_dir = pairs.into_iter().filter_map(pair).collect();
        self.include_package_data = ini.get("options", "include_package_data").map(Item::flag);
        self.scripts = list("options", "scripts").unwrap_or_default();
        self.namespace_packages = list("options", "namespace_packages").unwrap_or_default();
        self.license_files = list("metadata", "license_files").or(list("metadata", "license_file"));
        let lists =
            |section: &str| ini.section(section).iter().map(|item| (item.written.clone(), item.list())).collect();
        self.package_data = lists("options.package_data");
        self.exclude_package_data = lists("options.exclude_package_data");
        self.data_files = lists("options.data_files");
        Ok(())
    }

    fn read_script(&mut self, script: &[(String, Literal)]) -> Outcome<()> {
        for (key, value) in script {
            let wrong = || Refusal::broken(format!("setup.py: {key} has a value of another kind"));
            let texts = || value.texts().ok_or_else(wrong);
            match key.as_str() {
                "packages" => {
                    self.packages = Some(match value {
                        Literal::Find { namespaces, arguments } => {
                            Packages::Find(find_in_script(*namespaces, arguments).ok_or_else(wrong)?)
                        }
                        _ => Packages::These(texts()?),
                    });
                }
                "py_modules" => self.modules = Some(texts()?),
                "scripts" => self.scripts = texts()?,
                "license_files" => self.license_files = Some(texts()?),
                "namespace_packages" => self.namespace_packages = texts()?,
                "include_package_data" => self.include_package_data = Some(*value == Literal::Flag(true)),
                "package_data" => self.package_data = lists(value).ok_or_else(wrong)?,
                "exclude_package_data" => self.exclude_package_data = lists(value).ok_or_else(wrong)?,
                "data_files" => self.data_files = lists(value).ok_or_else(wrong)?,
                "package_dir" => {
                    let pairs = lists(value).ok_or_else(wrong)?;
                    let pair = |(key, mut paths): (String, Vec<String>)| Some((key, paths.pop()?));
                    self.package_dir = pairs.into_iter().filter_map(pair).collect();
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn replace(lists: &mut Lists, at: &At<'_>) -> Outcome<()> {
    if at.exists() {
        let entries = at.list_entries()?;
        *lists = entries
            .into_iter()
            .map(|(key, list)| (key.to_owned(), list.into_iter().map(str::to_owned).collect()))
            .collect();
    }
    Ok(())
}

/// A dictionary of lists, or a list of pairs.
fn lists(value: &Literal) -> Option<Lists> {
    match value {
        Literal::Table(entries) => {
            entries.iter().map(|(key, list)| Some((key.text()?.to_owned(), list.texts()?))).collect()
        }
        Literal::List(pairs) => pairs
            .iter()
            .map(|pair| match pair {
                Literal::List(pair) => match &pair[..] {
                    [key, list] => Some((key.text()?.to_owned(), list.texts()?)),
                    _ => None,
                },
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// `[tool.setuptools.packages.find]`, `.find-namespace`.
fn find(packages: &At<'_>) -> Outcome<Find> {
    let (table, always) = match packages.key("find-namespace") {
        table if table.exists() => (table, true),
        _ => (packages.key("find"), false),
    };
    if !table.exists() {
        return Err(packages.wrong("has neither find nor a list"));
    }
    let list = |key: &str, default: &[&str]| {
        let written = table.key(key);
        let texts = if written.is_text() { written.text()?.map(|text| vec![text]) } else { written.texts()? };
        Outcome::Ok(texts.unwrap_or_else(|| default.to_vec()).into_iter().map(str::to_owned).collect())
    };
    Ok(Find {
        places: list("where", &["."])?,
        include: list("include", &["*"])?,
        exclude: list("exclude", &[])?,
        namespaces: always || table.key("namespaces").flag()?.unwrap_or(true),
    })
}

fn find_in_script(namespaces: bool, arguments: &[(String, Literal)]) -> Option<Find> {
    let list = |key: &str, default: &[&str]| match arguments.iter().find(|(own, _)| own == key) {
        Some((_, value)) => value.texts(),
        None => Some(default.iter().map(|text| (*text).to_owned()).collect()),
    };
    Some(Find {
        places: list("where", &["."])?,
        include: list("include", &["*"])?,
        exclude: list("exclude", &[])?,
        namespaces,
    })
}

fn find_in_ini(ini: &Ini, directive: &str) -> Find {
    let list = |key: &str, default: &str| {
        let item = ini.get("options.packages.find", key).map(Item::list).filter(|list| !list.is_empty());
        item.unwrap_or_else(|| if default.is_empty() { Vec::new() } else { vec![default.to_owned()] })
    };
    Find {
        places: list("where", "."),
        include: list("include", "*"),
        exclude: list("exclude", ""),
        namespaces: directive.starts_with("find_namespace"),
    }
}
