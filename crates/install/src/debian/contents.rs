//! Which package has what a build lacks, from the archive's `Contents`: a list of every file of every package, of 10 MB, which
//! is fetched only when somebody asks.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use corten_oci::Architecture;

use super::archive::{Archive, BaseRequest};
use super::error::ArchiveError;
use super::packages::{LONGEST_CONTENTS, LONGEST_LINE, contents};
use super::relation::is_name;

/// Something that a build looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// A program, by its name.
    Program(String),
    /// A header of C, as it is included: `unicode/utypes.h`.
    Header(String),
    /// What pkg-config is asked about: `icu-i18n`.
    Module(String),
    /// What a linker is asked for: `z` of `-lz`.
    Library(String),
}

impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(name) => write!(f, "the program {name}"),
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Module(name) => write!(f, "{name}.pc, which pkg-config reads"),
            Self::Library(name) => write!(f, "lib{name}.so"),
        }
    }
}

impl Sought {
    /// Could a file of a package be meant? The name comes from a build's output, and is only compared.
    fn is_plausible(&self) -> bool {
        let (Self::Program(name) | Self::Header(name) | Self::Module(name) | Self::Library(name)) = self;
        !name.is_empty() && name.len() < 200 && !name.starts_with('/') && !name.split('/').any(|part| part == "..")
    }

    /// How near a path is to the place where this is looked for first; none where it is not looked for.
    fn rank(&self, path: &str, triplet: &str) -> Option<usize> {
        let (folder, last) = path.rsplit_once('/')?;
        let is_in = |folders: &[String]| folders.iter().position(|known| known == folder);
        match self {
            Self::Program(name) if last == name => is_in(&["usr/bin", "bin", "usr/sbin", "sbin"].map(str::to_owned)),
            Self::Module(name) if last.strip_suffix(".pc") == Some(name) => is_in(&[
                format!("usr/lib/{triplet}/pkgconfig"),
                "usr/lib/pkgconfig".to_owned(),
                "usr/share/pkgconfig".to_owned(),
            ]),
            Self::Library(name) if last.strip_prefix("lib") == Some(&format!("{name}.so")) => {
                is_in(&[format!("usr/lib/{triplet}"), format!("lib/{triplet}"), "usr/lib".to_owned()])
            }
            Self::Header(name) => {
                let above = path.strip_suffix(name.as_str())?.strip_suffix('/')?;
                let below =
                    above.strip_prefix("usr/include").filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
                let below = below.strip_prefix(&format!("/{triplet}")).unwrap_or(below);
                Some(below.matches('/').count())
            }
            _ => None,
        }
    }
}

/// Which package of the main suite has it: the one that has it nearest to where it is looked for, then the first in the order
/// of the alphabet. `request.extra` is not looked at.
///
/// # Errors
/// When the archive cannot be reached, is not signed by a trusted key, or is not what it should be.
pub fn package_of(
    archive: &Archive<'_>,
    request: &BaseRequest<'_>,
    sought: &Sought,
) -> Result<Option<String>, ArchiveError> {
    if !sought.is_plausible() {
        return Ok(None);
    }
    let contents = BufReader::new(contents(archive, request)?.take(LONGEST_CONTENTS));
    search(contents, sought, request.architecture)
        .map_err(|source| ArchiveError::Index { suite: request.suite.to_owned(), source: source.into() })
}

/// Lines are `usr/include/zlib.h    libdevel/zlib1g-dev,…`: a path, blanks, sections with packages.
fn search(mut contents: impl BufRead, sought: &Sought, architecture: Architecture) -> std::io::Result<Option<String>> {
    let triplet = architecture.triplet();
    let mut found: Option<(usize, String)> = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if contents.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(found.map(|(_, package)| package));
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        let Some((path, packages)) = text.trim_end().rsplit_once([' ', '\t']) else { continue };
        let Some(rank) = sought.rank(path.trim_end(), triplet) else { continue };
        let packages = packages.split(',').filter_map(|package| package.rsplit('/').next());
        let best = packages.filter(|package| is_name(package)).map(|package| (rank, package.to_owned())).min();
        found = found.into_iter().chain(best).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of Debian 12's own file.
    const CONTENTS: &str = "\
bin/sed                                                 utils/sed
usr/aarch64-linux-gnu/include/unicode/utypes.h          libdevel/libicu-dev-arm64-cross
usr/bin/icu-config                                      libdevel/libicu-dev
usr/bin/pg_config                                       database/postgresql-common,libdevel/libpq-dev
usr/include/mozjs-102/unicode/utypes.h                  libdevel/libmozjs-102-dev
usr/include/unicode/utypes.h                            libdevel/libicu-dev
usr/include/x86_64-linux-gnu/ffi.h                      libdevel/libffi-dev
usr/lib/x86_64-linux-gnu/libz.so                        libdevel/zlib1g-dev
usr/lib/x86_64-linux-gnu/pkgconfig/icu-i18n.pc          libdevel/libicu-dev
usr/share/pkgconfig/bash-completion.pc                  shells/bash-completion
usr/share/doc/icu-config                                doc/no
usr/include/evil.h                                      libdevel/<script>
";

    #[test]
    fn what_builds_look_for_is_found_where_it_is_looked_for() {
        let program = |name: &str| Sought::Program(name.into());
        let header = |name: &str| Sought::Header(name.into());
        for (sought, expected) in [
            (program("icu-config"), Some("libicu-dev")),
            (program("sed"), Some("sed")),
            (program("pg_config"), Some("libpq-dev")),
            (header("unicode/utypes.h"), Some("libicu-dev")),
            (header("mozjs-102/unicode/utypes.h"), Some("libmozjs-102-dev")),
            (header("ffi.h"), Some("libffi-dev")),
            (header("types.h"), None),
            (header("evil.h"), None),
            (Sought::Module("icu-i18n".into()), Some("libicu-dev")),
            (Sought::Module("bash-completion".into()), Some("bash-completion")),
            (Sought::Library("z".into()), Some("zlib1g-dev")),
            (Sought::Library("y".into()), None),
        ] {
            let found = search(CONTENTS.as_bytes(), &sought, Architecture::Amd64).unwrap();
            assert_eq!(found.as_deref(), expected, "{sought}");
        }
        assert!(!header("../x.h").is_plausible() && !program("").is_plausible() && !header("/x.h").is_plausible());
    }
}
