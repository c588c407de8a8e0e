//! What a build's output says that it lacks, and which package of Debian has it: the usual ones by a table, the others by
//! the archive's list of files.

use corten_install::debian::contents::Sought;

/// Which package has a file, by the archive; none where it has none or does not answer.
pub type PackageOf<'a> = dyn Fn(&Sought) -> Option<String> + Sync + 'a;

/// Programs, with the packages that are wanted with them.
const PROGRAMS: [(&str, &str); 12] = [
    ("gcc", "build-essential"),
    ("g++", "build-essential"),
    ("cc", "build-essential"),
    ("c++", "build-essential"),
    ("cc1plus", "build-essential"),
    ("make", "build-essential"),
    ("x86_64-linux-gnu-gcc", "build-essential"),
    ("x86_64-linux-gnu-g++", "build-essential"),
    ("aarch64-linux-gnu-gcc", "build-essential"),
    ("aarch64-linux-gnu-g++", "build-essential"),
    ("pkg-config", "pkg-config"),
    ("pg_config", "libpq-dev"),
];

/// Headers that several packages have, with the one that is meant.
const HEADERS: [(&str, &str); 6] = [
    ("Python.h", "python3-dev"),
    ("linux/", "linux-libc-dev"),
    ("mysql.h", "default-libmysqlclient-dev"),
    ("jpeglib.h", "libjpeg-dev"),
    ("stdio.h", "build-essential"),
    ("stdlib.h", "build-essential"),
];

/// What a build lacks and the package that has it; none where its output says nothing of the kind.
pub fn package(output: &str, package_of: &PackageOf<'_>) -> Option<(Sought, String)> {
    let sought = sought(output)?;
    let package = known(&sought).map(str::to_owned).or_else(|| package_of(&sought))?;
    Some((sought, package))
}

fn known(sought: &Sought) -> Option<&'static str> {
    match sought {
        Sought::Program(name) => PROGRAMS.iter().find(|(program, _)| program == name).map(|(_, deb)| *deb),
        Sought::Header(name) => {
            let is_it = |begin: &str| name == begin || begin.ends_with('/') && name.starts_with(begin);
            HEADERS.iter().find(|(begin, _)| is_it(begin)).map(|(_, deb)| *deb)
        }
        Sought::Module(_) | Sought::Library(_) => None,
    }
}

/// What was looked for in vain. A header ends a compiler, so the last one counts; else the last of what was told: builds look
/// for much that they can do without.
fn sought(output: &str) -> Option<Sought> {
    let lines = || output.lines().rev();
    lines()
        .find_map(header)
        .or_else(|| lines().find_map(|line| library(line).or_else(|| module(line)).or_else(|| program(line))))
}

/// `x.c:1:10: fatal error: Python.h: No such file or directory`, and clang's `'Python.h' file not found`.
fn header(line: &str) -> Option<Sought> {
    let rest = line.split_once("fatal error: ")?.1;
    let name =
        rest.split_once(": No such file").map(|(name, _)| name).or_else(|| rest.strip_suffix(" file not found"))?;
    // Of a compiler that lacks a part of itself: `cannot execute 'cc1plus': …: No such file or directory`.
    match name.split_once("cannot execute ") {
        Some((_, part)) => word(part).map(Sought::Program),
        None => Some(Sought::Header(name.trim_matches(QUOTES).to_owned())),
    }
}

/// `ld: cannot find -lz: No such file or directory`.
fn library(line: &str) -> Option<Sought> {
    word(line.split_once("cannot find -l")?.1).map(Sought::Library)
}

/// `No package 'icu-i18n' found`, `Package icu-i18n was not found in the pkg-config search path`, meson's
/// `Dependency "x" not found`.
fn module(line: &str) -> Option<Sought> {
    if let Some(called) = called(line) {
        return Some(Sought::Module(called));
    }
    let (begin, end) = [
        ("No package '", "' found"),
        ("Package ", " was not found in the pkg-config"),
        ("Package '", "' not found"),
        ("Dependency \"", "\" not found"),
    ]
    .into_iter()
    .find(|(begin, end)| line.split_once(begin).is_some_and(|(_, rest)| rest.contains(end)))?;
    let name = line.split_once(begin)?.1.split_once(end)?.0;
    word(name).filter(|word| word == name).map(Sought::Module)
}

/// `Command '['pkg-config', '--modversion', 'icu-i18n']' returned non-zero exit status 1.`
fn called(line: &str) -> Option<String> {
    let call = line.split_once("pkg-config', ")?.1.split_once("' returned non-zero")?.0;
    let words = call.split(", ").map(|word| word.trim_matches(['\'', '[', ']', '(', ')']));
    words.filter(|word| !word.is_empty() && !word.starts_with('-')).last().map(str::to_owned)
}

/// `error: command 'gcc' failed: No such file or directory`, `sh: 1: cmake: not found`, `[Errno 2] … 'pkg-config'`,
/// `pg_config executable not found`, meson's `Program 'swig' not found`.
fn program(line: &str) -> Option<Sought> {
    let between = |begin: &str, end: &str| Some(line.split_once(begin)?.1.split_once(end)?.0);
    let before = |end: &str| line.split_once(end).map(|(before, _)| before.rsplit(' ').next().unwrap_or(before));
    let name = between("command '", "' failed: No such file")
        .or_else(|| between("No such file or directory: '", "'"))
        .or_else(|| between("Program '", "' not found"))
        .or_else(|| before(": not found"))
        .or_else(|| before(": command not found"))
        .or_else(|| before(" executable not found"))?;
    let is_name = |name: &&str| {
        let odd = |letter: char| !letter.is_ascii_alphanumeric() && !"+-_".contains(letter);
        !name.is_empty() && !name.contains(odd) && name.contains(|letter: char| letter.is_ascii_lowercase())
    };
    let name = name.trim_matches(QUOTES).trim_end_matches(':');
    Some(name).filter(is_name).map(|name| Sought::Program(name.to_owned()))
}

const QUOTES: [char; 5] = ['\'', '"', '`', '‘', '’'];

/// The first word, without quotes.
fn word(text: &str) -> Option<String> {
    let ends = |letter: char| letter.is_whitespace() || letter == ':' || letter == ',';
    let word = text.trim_start_matches(QUOTES).split(ends).next()?.trim_matches(QUOTES);
    (!word.is_empty()).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> Option<Sought> {
        Some(Sought::Program(name.into()))
    }

    #[test]
    fn what_real_builds_say() {
        let header = |name: &str| Some(Sought::Header(name.into()));
        let module = |name: &str| Some(Sought::Module(name.into()));
        let cases = [
            ("error: command 'gcc' failed: No such file or directory", program("gcc")),
            (
                "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory",
                program("x86_64-linux-gnu-gcc"),
            ),
            ("src/cbor.c:1:10: fatal error: Python.h: No such file or directory", header("Python.h")),
            ("common.h:35:10: fatal error: unicode/utypes.h: No such file or directory", header("unicode/utypes.h")),
            ("x.c:1:10: fatal error: 'ffi.h' file not found", header("ffi.h")),
            ("gcc: fatal error: cannot execute ‘cc1plus’: execvp: No such file or directory", program("cc1plus")),
            ("/bin/sh: 1: cmake: not found", program("cmake")),
            ("bash: line 1: swig: command not found", program("swig")),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'pkg-config'", program("pkg-config")),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'README.md'", None),
            ("FileNotFoundError: [Errno 2] No such file or directory: '/etc/x'", None),
            ("Error: pg_config executable not found.", program("pg_config")),
            ("meson.build:3:0: ERROR: Program 'cython' not found or not executable", program("cython")),
            ("meson.build:2:0: ERROR: Dependency \"openblas\" not found, tried pkgconfig", module("openblas")),
            ("No package 'icu-i18n' found", module("icu-i18n")),
            (
                "subprocess.CalledProcessError: Command '('pkg-config', '--modversion', 'icu-i18n')' returned non-zero exit status 1.",
                module("icu-i18n"),
            ),
            ("Command '['pkg-config', '--libs']' returned non-zero exit status 1.", None),
            ("Package icu-i18n was not found in the pkg-config search path.", module("icu-i18n")),
            ("Package 'icu-i18n', required by 'virtual:world', not found", None),
            ("/usr/bin/ld: cannot find -lpq: No such file or directory", Some(Sought::Library("pq".into()))),
            ("gcc -c x.c", None),
            ("404: not found", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(sought(line), expected, "{line}");
        }
        let both = "x.c:1:1: fatal error: a.h: No such file or directory\nerror: command 'gcc' failed: No such file or directory\n";
        assert_eq!(sought(both), header("a.h"), "the compiler is there");
        assert_eq!(sought("sh: 1: a: not found\nsh: 1: b: not found\n"), program("b"), "the last one ended it");
    }

    #[test]
    fn the_archive_is_asked_about_what_no_table_has() {
        let asked = |output: &str, answer: Option<&str>| {
            package(output, &|_| answer.map(str::to_owned)).map(|(_, package)| package)
        };
        let gcc = "error: command 'gcc' failed: No such file or directory";
        assert_eq!(asked(gcc, None).as_deref(), Some("build-essential"));
        assert_eq!(asked("x.c:1:1: fatal error: linux/input.h: No such file", None).as_deref(), Some("linux-libc-dev"));
        assert_eq!(asked("x.c:1:1: fatal error: a.h: No such file", Some("liba-dev")).as_deref(), Some("liba-dev"));
        assert_eq!(asked("x.c:1:1: fatal error: a.h: No such file", None), None);
    }
}
