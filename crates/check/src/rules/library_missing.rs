//! ML192 and ML193: a shared library that a file of the image needs is in none of its layers.

use corten_diagnostic::{RuleId, Severity};

use super::{Found, Initially, Rule, Run, place};
use crate::{CheckInput, LibraryFacts};

pub(super) const IMPORT: Rule = Rule {
    id: RuleId("ML192"),
    name: "library-missing",
    severity: Severity::Error,
    what: "A module of a wheel needs a shared library that is neither in the wheel nor in the system.",
    why: "Wheels count on some libraries of the system; where one is absent, the import fails when the container starts.",
    bad: "libraries = [{ library = 'libGL.so.1', breaks_import = true }]",
    good: "libraries = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(|input, found| run(input, true, found)),
};

pub(super) const OTHER: Rule = Rule {
    id: RuleId("ML193"),
    name: "plugin-library-missing",
    severity: Severity::Warning,
    what: "A program or a plugin needs a shared library that is not in the image.",
    why: "It fails if it is ever used; a package may work without, as optional parts of it are rarely all needed.",
    bad: "libraries = [{ library = 'libtiff.so.5', breaks_import = false }]",
    good: "libraries = []",
    aliases: &[],
    initially: Initially::On,
    run: Run::Image(|input, found| run(input, false, found)),
};

fn run(input: &CheckInput<'_>, breaks_import: bool, found: &mut Found) {
    let all = input.libraries.missing.iter().filter(|one| one.breaks_import == breaks_import);
    for one in all {
        found.add(place(input.libraries.at.as_ref()), message(one), help(one, &input.libraries.asked));
    }
}

fn message(one: &LibraryFacts) -> String {
    let of = one.package.as_ref().map(|package| format!(" of {package}")).unwrap_or_default();
    let more = match one.files {
        0 | 1 => String::new(),
        2 => "; so does one file more".to_owned(),
        files => format!("; so do {} files more", files - 1),
    };
    format!("{}{of} needs {}, which is not in the image{more}", one.file, one.library)
}

fn help(one: &LibraryFacts, asked: &[String]) -> String {
    match &one.deb {
        Some(deb) => {
            let all: Vec<String> = asked.iter().chain([deb]).map(|name| format!("\"{name}\"")).collect();
            format!("{deb} has it: packages = [{}]", all.join(", "))
        }
        None => "find the Debian package that has it, and name it in packages = […]".to_owned(),
    }
}
