//! Licences and bans of every crate in the lock file, also of those that only other platforms build; and a line in
//! ARCHITECTURE.md for each that one of our crates asks for.

use std::collections::BTreeSet;
use std::fs;

use spdx::{Expression, ParseMode};

use crate::shell::root;
use crate::workspace::{self, Package};

/// Licences that may go into an Apache-2.0 program without asking anybody.
const LICENCES: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0", // Mozilla's list of roots (webpki-roots): data
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
    "bzip2-1.0.6",
];

/// The one exception (of Apache-2.0) that we take.
const EXCEPTION: &str = "LLVM-exception";

/// Crates that must not come in, and what to take instead.
const BANNED: [(&str, &str); 11] = [
    ("aws-lc-sys", "rustls with ring: one crypto library, and no cmake"),
    ("async-std", "threads; tokio in serve and buildkit"),
    ("chrono", "jiff"),
    ("cmake", "a crate that cc alone can build"),
    ("libz-ng-sys", "flate2 with zlib-rs"),
    ("native-tls", "rustls"),
    ("openssl-sys", "rustls"),
    ("reqwest", "corten-net"),
    ("serde_yaml", "serde-saphyr: it is kept up"),
    ("serde_yml", "serde-saphyr"),
    ("tar", "corten-layer: one strict reader"),
];

/// Crates in the lock file. Raise it in the commit that brings more, with the reason.
const COUNT_LIMIT: usize = 320;

/// What is wrong with the dependencies, one line each.
///
/// # Errors
/// When `cargo metadata` fails.
pub fn violations() -> Result<Vec<String>, String> {
    let packages = workspace::everything()?;
    let mut violations: Vec<_> = packages.iter().filter_map(|package| licence_violation(package).err()).collect();
    for package in &packages {
        if let Some((name, instead)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            violations.push(format!("{name} is banned; use {instead}"));
        }
    }
    if packages.len() > COUNT_LIMIT {
        violations.push(format!("{} crates in Cargo.lock are more than the limit of {COUNT_LIMIT}", packages.len()));
    }
    violations.extend(unexplained()?);
    Ok(violations)
}

/// Direct dependencies without a line in ARCHITECTURE.md, and lines without a dependency.
fn unexplained() -> Result<Vec<String>, String> {
    let path = root().join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let ours = workspace::ours()?;
    let names: BTreeSet<&str> = ours.iter().map(|package| package.name.as_str()).collect();
    let asked = ours.iter().flat_map(|package| &package.dependencies).map(|dependency| dependency.name.as_str());
    let asked: BTreeSet<&str> = asked.filter(|name| !names.contains(name)).collect();
    let explained = explained(&text);
    let without = asked.difference(&explained).map(|name| format!("{name} has no line in ARCHITECTURE.md"));
    let unused = explained.difference(&asked).map(|name| format!("{name} of ARCHITECTURE.md is used by no crate"));
    Ok(without.chain(unused).collect())
}

/// The crates of the table under "Dependencies": the words before the first bar, less what is said after "with".
fn explained(text: &str) -> BTreeSet<&str> {
    let (_, section) = text.split_once("\n## Dependencies\n").unwrap_or_default();
    let rows = section.lines().take_while(|line| !line.starts_with("## ")).filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" |").next()).filter(|cell| *cell != "crate");
    cells.flat_map(|cell| cell.split(" with ").next().unwrap_or_default().split(", ")).collect()
}

fn licence_violation(package: &Package) -> Result<(), String> {
    let name = format!("{} {}", package.name, package.version);
    let licence = package.licence.as_deref().ok_or_else(|| format!("{name} states no licence"))?;
    let expression = Expression::parse_mode(licence, ParseMode::LAX)
        .map_err(|error| format!("{name} has the licence '{licence}', which is no SPDX expression: {error}"))?;
    let is_fine = expression.evaluate(|requirement| {
        let id = requirement.license.id().map(|id| id.name);
        let exception = requirement.addition.as_ref().map(ToString::to_string);
        let exception_is_fine = exception.is_none_or(|exception| exception == EXCEPTION);
        exception_is_fine && id.is_some_and(|id| LICENCES.contains(&id))
    });
    if is_fine { Ok(()) } else { Err(format!("{name} has the licence '{licence}', which is not in the list")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dependency_may_be_used() {
        let violations = violations().unwrap();
        assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    }

    #[test]
    fn the_table_of_dependencies_is_read() {
        let text = "# A\n## Dependencies\n\n| crate | what for |\n|---|---|\n| serde, toml | documents |\n\
                    | flate2 with zlib-rs | inflate |\n## Other\n| no | crate |\n";
        assert_eq!(explained(text), BTreeSet::from(["serde", "toml", "flate2"]));
    }

    fn licensed(licence: &str) -> bool {
        let licence = (!licence.is_empty()).then(|| licence.to_owned());
        let package = Package {
            name: "x".into(),
            version: "1".into(),
            licence,
            manifest: String::new(),
            dependencies: Vec::new(),
        };
        licence_violation(&package).is_ok()
    }

    #[test]
    fn licences_are_judged_as_expressions() {
        for fine in
            ["MIT", "MIT/Apache-2.0", "Apache-2.0 / MIT", "GPL-3.0-only OR MIT", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(licensed(fine), "{fine}");
        }
        for bad in
            ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "MPL-2.0", "Apache-2.0 WITH Classpath-exception-2.0", "what"]
        {
            assert!(!licensed(bad), "{bad}");
        }
    }
}
