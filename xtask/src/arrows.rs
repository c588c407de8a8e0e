//! Who may use whom. The compiler keeps a crate's promises only while its manifest does.
//!
//! The tables below are the rule; ARCHITECTURE.md explains it. A new crate gets a line here first.

use std::path::{Path, PathBuf};

use crate::workspace::{self, Package};

/// A crate and which of ours it may use, all without the prefix `corten-`. Tests may also use `testkit` and `xtask`, the
/// program's tests all of them.
const ARROWS: [(&str, &[&str]); 20] = [
    ("oci", &[]),
    ("elf", &[]),
    ("package", &["oci"]),
    ("diagnostic", &["oci", "package"]),
    ("plan", &["oci", "package", "diagnostic"]),
    ("frontend", &["oci", "package", "diagnostic", "plan"]),
    ("check", &["oci", "package", "diagnostic", "plan", "frontend", "elf"]),
    ("layer", &["oci", "diagnostic"]),
    ("net", &["oci", "diagnostic"]),
    ("sandbox", &["oci", "diagnostic"]),
    ("store", &["oci", "diagnostic", "layer"]),
    ("registry", &["oci", "diagnostic", "net"]),
    ("serve", &["oci", "diagnostic", "store"]),
    ("install", &["oci", "elf", "package", "diagnostic", "layer", "store", "net"]),
    ("attest", &["oci", "elf", "package", "diagnostic", "plan", "layer", "net"]),
    ("engine", &["oci", "package", "diagnostic", "plan", "layer", "store", "net", "install", "sandbox"]),
    ("buildkit", &["oci", "diagnostic", "plan", "layer", "net"]),
    ("run", &["oci", "diagnostic", "plan", "layer", "store", "sandbox"]),
    ("flow", EVERY_LIBRARY),
    ("corten", &["flow", "oci", "elf", "package", "diagnostic", "plan", "frontend", "check"]),
];

const EVERY_LIBRARY: &[&str] = &[
    "oci",
    "elf",
    "package",
    "diagnostic",
    "plan",
    "frontend",
    "check",
    "layer",
    "net",
    "sandbox",
    "store",
    "registry",
    "serve",
    "install",
    "attest",
    "engine",
    "buildkit",
    "run",
];

/// These may use anything of ours, and nothing but tests may use them.
const TOOLS: [&str; 2] = ["testkit", "xtask"];

/// No I/O: these give the same answer for the same arguments, on every machine, at any time.
const PURE: [&str; 7] = ["oci", "package", "elf", "diagnostic", "plan", "frontend", "check"];

/// Words that have no business in the source of a pure crate.
const IMPURE: [&str; 7] =
    ["std::fs", "std::net", "std::env", "std::process", "std::thread", "SystemTime::now", "Instant::now"];

/// Heavy crates of others, and the only ones of ours that carry them.
const CARRIERS: [(&str, &[&str]); 12] = [
    ("clap", &["corten"]),
    ("indicatif", &["corten"]),
    ("annotate-snippets", &["corten"]),
    ("ureq", &["net"]),
    ("rustls", &["net", "serve"]),
    ("pgp", &["install"]),
    ("liblzma", &["layer"]),
    ("zstd", &["layer"]),
    ("libdeflater", &["layer"]),
    ("tokio", &["serve", "buildkit"]),
    ("hyper", &["serve"]),
    ("rustix", &["store", "sandbox", "engine", "flow", "run"]),
];

/// What is wrong with the workspace, one line each.
///
/// # Errors
/// When `cargo metadata` fails or a source cannot be read.
pub fn violations() -> Result<Vec<String>, String> {
    let packages = workspace::ours()?;
    let mut violations: Vec<String> = packages.iter().flat_map(violations_of).collect();
    for package in packages.iter().filter(|package| PURE.contains(&short(&package.name))) {
        let folder = Path::new(&package.manifest).with_file_name("src");
        find_impure(&folder, &mut violations).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    }
    Ok(violations)
}

fn violations_of(package: &Package) -> Vec<String> {
    let name = short(&package.name);
    if TOOLS.contains(&name) {
        return Vec::new();
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return vec![format!("{name}: it has no line in xtask/src/arrows.rs")];
    };
    let mut violations = Vec::new();
    for dependency in &package.dependencies {
        let target = short(&dependency.name);
        if is_ours(&dependency.name) {
            let allowed = allowed.contains(&target) || (dependency.only_tests && may_test_with(name, target));
            if !allowed {
                violations.push(format!("{name} uses {target}, which no arrow allows"));
            }
        } else if !dependency.only_tests && CARRIERS.iter().any(|(heavy, by)| *heavy == target && !by.contains(&name)) {
            violations.push(format!("{name} uses {target}, which others carry"));
        }
    }
    violations
}

/// The program's tests make worlds for it: archives, images, stores.
fn may_test_with(name: &str, target: &str) -> bool {
    TOOLS.contains(&target) || name == "corten"
}

fn is_ours(name: &str) -> bool {
    name.starts_with("corten") || name == "xtask"
}

fn short(name: &str) -> &str {
    name.strip_prefix("corten-").unwrap_or(name)
}

/// Reads a crate's sources; modules that only tests have are left out.
fn find_impure(folder: &Path, violations: &mut Vec<String>) -> std::io::Result<()> {
    let mut sources = Vec::new();
    read_sources(folder, &mut sources)?;
    let codes: Vec<_> = sources.iter().map(|(path, text)| (path, Code::of(text))).collect();
    let only_tests: Vec<_> = codes.iter().flat_map(|(_, code)| &code.test_modules).collect();
    for (path, code) in &codes {
        let within = path.strip_prefix(folder).unwrap_or(path).with_extension("");
        let is_test = within.iter().any(|part| only_tests.iter().any(|module| part == module.as_str()));
        if !is_test {
            let found = code.impure_words();
            violations.extend(found.map(|word| format!("{} is pure and says {word}", path.display())));
        }
    }
    Ok(())
}

fn read_sources(folder: &Path, sources: &mut Vec<(PathBuf, String)>) -> std::io::Result<()> {
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        if path.is_dir() {
            read_sources(&path, sources)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path)?;
            sources.push((path, text));
        }
    }
    Ok(())
}

/// A source without its comments and without the tests at its end.
struct Code<'a> {
    lines: Vec<&'a str>,
    /// Names of the modules in other files that only tests have.
    test_modules: Vec<String>,
}

impl<'a> Code<'a> {
    fn of(text: &'a str) -> Self {
        let mut code = Self { lines: Vec::new(), test_modules: Vec::new() };
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//")).peekable();
        while let Some(line) = lines.next() {
            let next = lines.peek().copied().unwrap_or_default();
            let module = next.split_once("mod ").map(|(_, name)| name.trim());
            match module.filter(|_| line.trim() == "#[cfg(test)]") {
                Some(module) if module.ends_with('{') => break,
                Some(module) => code.test_modules.push(module.trim_end_matches(';').to_owned()),
                None => code.lines.push(line),
            }
        }
        code
    }

    fn impure_words(&self) -> impl Iterator<Item = &'static str> {
        IMPURE.into_iter().filter(|word| self.lines.iter().any(|line| line.contains(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    #[test]
    fn the_workspace_keeps_its_arrows() {
        let violations = violations().unwrap();
        assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    }

    fn package(name: &str, dependency: &str, only_tests: bool) -> Package {
        Package {
            name: name.into(),
            version: String::new(),
            licence: None,
            manifest: String::new(),
            dependencies: vec![Dependency { name: dependency.into(), only_tests }],
        }
    }

    #[test]
    fn arrows_that_point_up_are_found() {
        for (name, dependency, only_tests, expected) in [
            ("corten-oci", "corten-layer", false, 1),
            ("corten-store", "corten-layer", false, 0),
            ("corten-store", "corten-plan", false, 1),
            ("corten-store", "corten-testkit", true, 0),
            ("corten-store", "corten-testkit", false, 1),
            ("corten-testkit", "corten-flow", false, 0),
            ("corten-attest", "clap", false, 1),
            ("corten", "clap", false, 0),
            ("corten", "corten-store", false, 1),
            ("corten-new", "serde", false, 1),
        ] {
            let found = violations_of(&package(name, dependency, only_tests));
            assert_eq!(found.len(), expected, "{name} → {dependency}: {found:?}");
        }
    }

    #[test]
    fn impure_code_is_found_but_not_in_comments_or_tests() {
        let text =
            "// std::fs\n#[cfg(test)]\nmod fixtures;\nuse std::env;\n#[cfg(test)]\nmod tests {\n use std::net; }\n";
        let code = Code::of(text);
        assert_eq!(code.impure_words().collect::<Vec<_>>(), ["std::env"]);
        assert_eq!(code.test_modules, ["fixtures"]);
    }

    #[test]
    fn arrows_point_to_lines_above() {
        for (at, (name, uses)) in ARROWS.iter().enumerate() {
            for used in *uses {
                let is_above = ARROWS[..at].iter().any(|(known, _)| known == used);
                assert!(is_above, "{name} uses {used}, which does not stand above it");
            }
        }
    }
}
