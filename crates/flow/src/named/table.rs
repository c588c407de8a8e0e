//! The bases that can be made by the names that Docker's registry has for others, and what is said of those that cannot.

use corten_diagnostic::Failure;
use corten_oci::{Reference, Repository};

/// A base that Dockerfiles name.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedBase {
    /// What it is called, the usual name first.
    pub names: &'static [&'static str],
    /// Of Debian.
    pub suite: &'static str,
    /// Its Python; none of one without.
    pub python: Option<NamedPython>,
}

/// The Python of a base, with what Dockerfiles count on beside it.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedPython {
    /// Debian packages beside those of every slim base.
    pub packages: &'static [&'static str],
    /// Debian packages of which only the headers are taken.
    pub headers: &'static [&'static str],
    /// What is in `/usr/local`, sorted by name.
    pub wheels: &'static [PinnedWheel],
}

/// A wheel of PyPI, by content.
#[derive(Debug, PartialEq, Eq)]
pub struct PinnedWheel {
    /// Normalised (PEP 503).
    pub name: &'static str,
    /// Which version.
    pub version: &'static str,
    /// Where PyPI has it.
    pub url: &'static str,
    /// SHA-256, hexadecimal.
    pub sha256: &'static str,
    /// Bytes.
    pub size: u64,
}

const SETUPTOOLS: PinnedWheel = PinnedWheel {
    name: "setuptools",
    version: "79.0.1",
    url: "https://files.pythonhosted.org/packages/0d/6d/b4752b044bf94cb802d88a888dc7d288baaf77d7910b7dedda74b5ceea0c/setuptools-79.0.1-py3-none-any.whl",
    sha256: "e147c0549f27767ba362f9da434eab9c5dc0045d5304feb602a0af001089fc51",
    size: 1_256_281,
};

const WHEEL: PinnedWheel = PinnedWheel {
    name: "wheel",
    version: "0.45.1",
    url: "https://files.pythonhosted.org/packages/0b/2c/87f3254fd8ffd29e4c02732eee68a83a1d3c346ae39bc6822dcbcb697f2b/wheel-0.45.1-py3-none-any.whl",
    sha256: "708e7481cc80179af0e556bbf0cc00b8444c7321e2700b8d8580231d13017248",
    size: 72_494,
};

/// The bases. What Docker's images of these names have beside pip (setuptools and wheel up to Python 3.11) is there, too.
pub const NAMED: [NamedBase; 4] = [
    NamedBase {
        names: &["python:3.11-slim", "python:3.11-slim-bookworm"],
        suite: "bookworm",
        python: Some(NamedPython {
            packages: &["python3-distutils", "python3.11-venv"],
            headers: &["libpython3.11-dev"],
            wheels: &[
                PinnedWheel {
                    name: "pip",
                    version: "24.0",
                    url: "https://files.pythonhosted.org/packages/8a/6a/19e9fe04fca059ccf770861c7d5721ab4c2aebc539889e97c7977528a53b/pip-24.0-py3-none-any.whl",
                    sha256: "ba0d021a166865d2265246961bec0152ff124de910c5cc39f1156ce3fa7c69dc",
                    size: 2_110_226,
                },
                SETUPTOOLS,
                WHEEL,
            ],
        }),
    },
    NamedBase {
        names: &["python:3.13-slim", "python:3.13-slim-trixie"],
        suite: "trixie",
        python: Some(NamedPython {
            packages: &["python3.13-venv"],
            headers: &["libpython3.13-dev"],
            wheels: &[PinnedWheel {
                name: "pip",
                version: "25.3",
                url: "https://files.pythonhosted.org/packages/44/3c/d717024885424591d5376220b5e836c2d5293ce2011523c9de23ff7bf068/pip-25.3-py3-none-any.whl",
                sha256: "9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd",
                size: 1_778_622,
            }],
        }),
    },
    NamedBase { names: &["debian:bookworm-slim", "debian:12-slim"], suite: "bookworm", python: None },
    NamedBase { names: &["debian:trixie-slim", "debian:13-slim"], suite: "trixie", python: None },
];

/// The base of a name.
///
/// # Errors
/// Usage: why there is none of that name, and which there are.
pub fn find(name: &Reference) -> Result<&'static NamedBase, Failure> {
    let wrong = |why: &str| Err(Failure::usage(format!("no base {name} can be made: {why}")).hint(all()));
    if name.digest.is_some() {
        return wrong("its digest is that of an image that others made");
    }
    match known(name) {
        Some(base) => Ok(base),
        None => wrong(reason(name)),
    }
}

/// The base of a name, if there is one.
pub fn known(name: &Reference) -> Option<&'static NamedBase> {
    let names =
        |base: &NamedBase| base.names.iter().filter_map(|known| known.parse::<Reference>().ok()).collect::<Vec<_>>();
    NAMED.iter().find(|base| name.digest.is_none() && names(base).iter().any(|known| is_same(known, name)))
}

fn is_same(one: &Reference, other: &Reference) -> bool {
    one.repository.normalised() == other.repository.normalised() && one.tag == other.tag
}

/// The last part of one of Docker's own repositories: `python`.
fn official(repository: &Repository) -> Option<String> {
    let whole = repository.normalised().to_string();
    whole.strip_prefix("docker.io/library/").map(str::to_owned)
}

fn reason(name: &Reference) -> &'static str {
    let tag = name.tag.as_ref().map_or("latest", |tag| tag.as_str());
    match official(&name.repository).as_deref() {
        Some("python") if tag.contains("alpine") => "Alpine's packages are not Debian's",
        Some("python") if !tag.contains("slim") => {
            "only slim ones are made; `apt-get install build-essential` adds compilers"
        }
        Some("python") => "Debian's stable releases have Python 3.11 (bookworm) and 3.13 (trixie) alone",
        Some("debian") if tag.contains("slim") => "bases are made of Debian's bookworm and trixie",
        Some("debian") => "documentation and translations are left out, so only slim ones are made",
        Some("ubuntu") => "Ubuntu's packages are not Debian's, and others sign them",
        Some("alpine") => "Alpine's packages are not Debian's",
        _ => "it is not one of Debian's packages alone",
    }
}

/// What can be made, for people.
fn all() -> String {
    let names: Vec<&str> = NAMED.iter().filter_map(|base| base.names.first().copied()).collect();
    format!("these can be made: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_found_as_docker_writes_them() {
        for (name, suite) in [
            ("python:3.11-slim", "bookworm"),
            ("docker.io/library/python:3.11-slim", "bookworm"),
            ("library/debian:trixie-slim", "trixie"),
            ("debian:12-slim", "bookworm"),
        ] {
            assert_eq!(find(&reference(name)).unwrap().suite, suite, "{name}");
        }
        for other in ["quay.io/python:3.11-slim", "me/python:3.11-slim", "python", "python:3.11-slim-bullseye"] {
            assert!(known(&reference(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn wheels_are_pinned_by_whole_hashes() {
        for wheel in NAMED.iter().filter_map(|base| base.python.as_ref()).flat_map(|python| python.wheels) {
            assert!(format!("sha256:{}", wheel.sha256).parse::<corten_oci::Digest>().is_ok(), "{wheel:?}");
            assert!(wheel.url.ends_with(&format!("/{}-{}-py3-none-any.whl", wheel.name, wheel.version)), "{wheel:?}");
        }
    }
}
