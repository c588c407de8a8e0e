//! METADATA of a wheel (PyPA core metadata 1.0 to 2.5; headers as in e-mail, RFC 822), and whether all that wheels
//! require of each other is there.

use std::collections::{BTreeMap, BTreeSet};

use corten_package::marker::{Asked, Environment};
use corten_package::pep440::Version;
use corten_package::{PackageName, Requirement, Source};

/// What METADATA says that a bill of materials and the requirement check need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// As written.
    pub name: String,
    /// As written.
    pub version: String,
    /// `Summary`.
    pub summary: Option<String>,
    /// `License-Expression` (PEP 639).
    pub license_expression: Option<String>,
    /// `License`: a name, or the whole text.
    pub license: Option<String>,
    /// `License-File`, all of them.
    pub license_files: Vec<String>,
    /// `Classifier`, all of them.
    pub classifiers: Vec<String>,
    /// `Requires-Dist`, all of them, as written.
    pub requires_dist: Vec<String>,
    /// `Requires-Python`, as written.
    pub requires_python: Option<String>,
    /// `Home-page`, or the homepage, source or repository of `Project-URL`.
    pub home_page: Option<String>,
    /// `Author`, else `Author-email`.
    pub author: Option<String>,
}

/// Why METADATA cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("METADATA {0}")]
pub struct MetadataError(pub String);

impl Metadata {
    /// Reads the headers; the description below them is not kept.
    pub fn parse(text: &str) -> Result<Self, MetadataError> {
        let mut metadata = Self::default();
        let mut email = None;
        for (name, value) in headers(text) {
            let known = !value.is_empty() && value != "UNKNOWN";
            let some = known.then(|| value.clone());
            match name.as_str() {
                "metadata-version" if value.split('.').next().is_none_or(|major| !matches!(major, "1" | "2")) => {
                    return Err(MetadataError(format!("has version '{value}', which is not known")));
                }
                "name" => metadata.name = value,
                "version" => metadata.version = value,
                "summary" => metadata.summary = some,
                "license-expression" => metadata.license_expression = some,
                "license" => metadata.license = some,
                "license-file" => metadata.license_files.push(value),
                "classifier" => metadata.classifiers.push(value),
                "requires-dist" => metadata.requires_dist.push(value),
                "requires-python" => metadata.requires_python = some,
                "home-page" => metadata.home_page = some,
                "project-url" if metadata.home_page.is_none() => metadata.home_page = home_page(&value),
                "author" => metadata.author = some,
                "author-email" => email = some,
                _ => {}
            }
        }
        metadata.author = metadata.author.or(email);
        match (metadata.name.is_empty(), metadata.version.is_empty()) {
            (true, _) => Err(MetadataError("has no Name".to_owned())),
            (_, true) => Err(MetadataError("has no Version".to_owned())),
            _ => Ok(metadata),
        }
    }
}

fn home_page(project_url: &str) -> Option<String> {
    let (label, url) = project_url.split_once(',')?;
    let label = label.trim().to_ascii_lowercase();
    matches!(label.as_str(), "homepage" | "home" | "source" | "source code" | "repository")
        .then(|| url.trim().to_owned())
}

/// Names in lower case and values, continued lines joined; ends at the first empty line.
pub(super) fn headers(text: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push('\n');
                value.push_str(line.trim_start_matches([' ', '\t']).trim_start_matches('|'));
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    headers
}

/// A requirement that nothing installed meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Who requires (normalised name).
    pub by: String,
    /// What, as written; `python …` for `Requires-Python`.
    pub requirement: String,
    /// The version that is there instead, if any; or why the requirement cannot be read.
    pub found: Option<String>,
}

/// What of the `installed` packages' requirements is not there, sorted. `environment` is the image's; extras count as
/// far as one installed package asks another for them.
pub fn requirements_met(installed: &[Metadata], environment: &Environment) -> Vec<Unmet> {
    let versions: BTreeMap<String, &str> =
        installed.iter().map(|metadata| (normal(&metadata.name), metadata.version.as_str())).collect();
    let mut extras: BTreeMap<String, BTreeSet<PackageName>> = BTreeMap::new();
    loop {
        let mut unmet = Vec::new();
        let mut grown = false;
        for metadata in installed {
            let by = normal(&metadata.name);
            unmet.extend(python_unmet(metadata, environment));
            let asked = Asked { extras: extras.get(&by).cloned().unwrap_or_default(), ..Asked::default() };
            for text in &metadata.requires_dist {
                let found = |found: Option<String>| Unmet { by: by.clone(), requirement: text.clone(), found };
                let requirement = match text.parse::<Requirement>() {
                    Ok(requirement) => requirement,
                    Err(error) => {
                        unmet.push(found(Some(error.to_string())));
                        continue;
                    }
                };
                if requirement.marker.as_ref().is_some_and(|marker| !marker.evaluate(environment, &asked)) {
                    continue;
                }
                let name = requirement.name.as_str().to_owned();
                if !versions.get(&name).is_some_and(|version| meets(&requirement, version)) {
                    unmet.push(found(versions.get(&name).map(|version| (*version).to_owned())));
                }
                let wanted = extras.entry(name).or_default();
                for extra in requirement.extras {
                    grown |= wanted.insert(extra);
                }
            }
        }
        if !grown {
            unmet.sort_by(|one, other| (&one.by, &one.requirement).cmp(&(&other.by, &other.requirement)));
            unmet.dedup();
            return unmet;
        }
    }
}

/// A pre-release that was locked was wanted, so it counts.
fn meets(requirement: &Requirement, version: &str) -> bool {
    match &requirement.source {
        Source::Url(_) => true,
        Source::Versions(specifiers) => {
            version.parse::<Version>().is_ok_and(|version| specifiers.contains_prerelease(&version))
        }
    }
}

fn python_unmet(metadata: &Metadata, environment: &Environment) -> Option<Unmet> {
    let wanted = metadata.requires_python.as_deref()?;
    let specifiers = wanted.parse::<corten_package::pep440::Specifiers>().ok()?;
    let python = environment.python_full_version.parse::<Version>().ok()?;
    let found = Some(environment.python_full_version.clone());
    let requirement = format!("python {wanted}");
    (!specifiers.contains_prerelease(&python)).then(|| Unmet { by: normal(&metadata.name), requirement, found })
}

/// A name that cannot be normalised stays as it is: it meets nothing.
fn normal(name: &str) -> String {
    PackageName::new(name).map_or_else(|_| name.to_owned(), |name| name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use corten_oci::Architecture;

    use super::*;

    fn package(name: &str, version: &str, requires: &[&str]) -> Metadata {
        let requires_dist = requires.iter().map(|&text| text.to_owned()).collect();
        Metadata { name: name.to_owned(), version: version.to_owned(), requires_dist, ..Metadata::default() }
    }

    fn environment() -> Environment {
        Environment::new("3.11.2", Architecture::Amd64)
    }

    #[test]
    fn headers_are_read_and_the_description_is_not() {
        let text = "Metadata-Version: 2.4\nName: My.Pkg\nVersion: 1.0\nLicense: MIT\n        and more\nLicense-Expression: MIT\nClassifier: A\nClassifier: B\nRequires-Dist: numpy>=2\nProject-URL: Source, https://example.org\nAuthor: UNKNOWN\nAuthor-email: a@b\nHome-page:\n\nName: not me\n";
        let metadata = Metadata::parse(text).unwrap();
        assert_eq!((metadata.name.as_str(), metadata.version.as_str()), ("My.Pkg", "1.0"));
        assert_eq!(metadata.license.as_deref(), Some("MIT\nand more"));
        assert_eq!(metadata.classifiers, ["A", "B"]);
        assert_eq!(metadata.requires_dist, ["numpy>=2"]);
        assert_eq!(metadata.author.as_deref(), Some("a@b"));
        assert!(Metadata::parse("Version: 1\n").is_err() && Metadata::parse("Name: x\n").is_err());
        assert!(Metadata::parse("Metadata-Version: 3.0\nName: x\nVersion: 1\n").is_err());
    }

    #[test]
    fn what_is_missing_or_too_old_is_told() {
        let installed = [
            package("a", "1", &["B_b>=2", "c; python_version < '3'", "d", "e; extra == 'x'"]),
            package("b.b", "1.5", &[]),
        ];
        let unmet = requirements_met(&installed, &environment());
        let shown: Vec<_> = unmet.iter().map(|unmet| (unmet.requirement.as_str(), unmet.found.as_deref())).collect();
        assert_eq!(shown, [("B_b>=2", Some("1.5")), ("d", None)]);
    }

    #[test]
    fn extras_count_when_one_package_asks_another_for_them() {
        let b = package("b", "1", &["c; extra == 'fast'", "d[more]; extra == 'fast'"]);
        let d = package("d", "1", &["e; extra == 'more'"]);
        assert_eq!(requirements_met(&[package("a", "1", &["b"]), b.clone(), d.clone()], &environment()), []);
        let unmet = requirements_met(&[package("a", "1", &["b[fast]"]), b, d], &environment());
        let shown: Vec<_> = unmet.iter().map(|unmet| unmet.requirement.as_str()).collect();
        assert_eq!(shown, ["c; extra == 'fast'", "e; extra == 'more'"]);
    }

    #[test]
    fn a_package_for_another_python_is_told() {
        let newer = Metadata { requires_python: Some(">=3.12".to_owned()), ..package("a", "1", &[]) };
        assert_eq!(requirements_met(&[newer], &environment())[0].requirement, "python >=3.12");
    }
}
