//! Names of wheels and the tags in them (binary distribution format, PEP 425, PEP 600).

use std::cmp::Reverse;
use std::fmt;

use corten_oci::Architecture;

use crate::PackageName;
use crate::pep440::Version;
use crate::text::abridged;

/// Longer than any file system lets a name be; guards the product of the tags.
const LONGEST: usize = 512;

/// `{name}-{version}[-{build}]-{python}-{abi}-{platform}.whl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    /// Normalised.
    pub name: PackageName,
    /// With local part.
    pub version: Version,
    /// Number and rest of the build tag, if there is one; the larger is preferred.
    pub build: Option<(u64, String)>,
    /// As `py2.py3`, each.
    pub pythons: Vec<String>,
    /// As `abi3`, each.
    pub abis: Vec<String>,
    /// As `manylinux_2_17_x86_64.manylinux2014_x86_64`, each.
    pub platforms: Vec<String>,
    text: String,
}

/// Why a text is no wheel's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not the name of a wheel: NAME-VERSION-PYTHON-ABI-PLATFORM.whl is", abridged(.0))]
pub struct WheelNameError(pub String);

impl WheelName {
    /// Reads a file name (not a path, not a URL).
    pub fn parse(text: &str) -> Result<Self, WheelNameError> {
        parse(text).ok_or_else(|| WheelNameError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<WheelName> {
    let stem = text.strip_suffix(".whl").filter(|_| text.len() <= LONGEST)?;
    let parts: Vec<&str> = stem.split('-').collect();
    let (name, version, build, [python, abi, platform]) = match *parts.as_slice() {
        [name, version, python, abi, platform] => (name, version, None, [python, abi, platform]),
        [name, version, build, python, abi, platform] => (name, version, Some(build), [python, abi, platform]),
        _ => return None,
    };
    Some(WheelName {
        name: PackageName::new(name).ok()?,
        version: version.parse().ok()?,
        build: build.map_or(Some(None), |build| parse_build(build).map(Some))?,
        pythons: split(python)?,
        abis: split(abi)?,
        platforms: split(platform)?,
        text: text.to_owned(),
    })
}

fn parse_build(text: &str) -> Option<(u64, String)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(length);
    Some((number.parse().ok()?, rest.to_owned()))
}

fn split(tags: &str) -> Option<Vec<String>> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let all: Vec<_> = tags.split('.').map(str::to_ascii_lowercase).collect();
    if all.iter().all(|tag| !tag.is_empty() && tag.bytes().all(good)) { Some(all) } else { None }
}

impl fmt::Display for WheelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a platform can install, best first: every [`Flavour`] with every platform (or with `any`).
#[derive(Debug, Clone)]
pub struct Tags {
    flavours: Vec<Flavour>,
    platforms: Vec<String>,
    target: String,
}

#[derive(Debug, Clone)]
struct Flavour {
    python: String,
    abi: String,
    anywhere: bool,
}

/// How good a wheel fits; the greatest wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    tag: Reverse<(usize, usize)>,
    build: Option<(u64, String)>,
}

impl Tags {
    /// CPython `python` (3, 11) on Linux with glibc (2, 36).
    pub fn new(python: (u32, u32), glibc: (u32, u32), architecture: Architecture) -> Self {
        let target =
            format!("Python {}.{} on linux/{architecture} with glibc {}.{}", python.0, python.1, glibc.0, glibc.1);
        Self { flavours: flavours(python), platforms: platforms(glibc, architecture), target }
    }

    /// For people: `Python 3.11 on linux/amd64 with glibc 2.36`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// How good `wheel` fits, `None` if not at all.
    pub fn priority(&self, wheel: &WheelName) -> Option<Priority> {
        let tag = self.flavours.iter().enumerate().find_map(|(rank, flavour)| {
            let fits = wheel.pythons.contains(&flavour.python) && wheel.abis.contains(&flavour.abi);
            let place = if fits { self.place(wheel, flavour.anywhere) } else { None };
            place.map(|place| (rank, place))
        })?;
        Some(Priority { tag: Reverse(tag), build: wheel.build.clone() })
    }

    fn place(&self, wheel: &WheelName, anywhere: bool) -> Option<usize> {
        if anywhere {
            return wheel.platforms.iter().any(|platform| platform == "any").then_some(0);
        }
        self.platforms.iter().position(|platform| wheel.platforms.contains(platform))
    }
}

/// As `packaging.tags` orders them for CPython: its own ABI, the stable one, none; older stable ones; then pure Python.
fn flavours((major, minor): (u32, u32)) -> Vec<Flavour> {
    let flavour = |python: String, abi: &str, anywhere| Flavour { python, abi: abi.to_owned(), anywhere };
    let own = format!("cp{major}{minor}");
    let stable = |minor: u32| flavour(format!("cp{major}{minor}"), "abi3", false);
    let pure = |anywhere| {
        let mut names = vec![format!("py{major}{minor}"), format!("py{major}")];
        names.extend((0..minor).rev().map(|minor| format!("py{major}{minor}")));
        names.into_iter().map(move |python| flavour(python, "none", anywhere))
    };
    let mut all = vec![flavour(own.clone(), &own, false), stable(minor), flavour(own.clone(), "none", false)];
    all.extend((2..minor).rev().map(stable));
    all.extend(pure(false));
    all.push(flavour(own, "none", true));
    all.extend(pure(true));
    all
}

/// Newest glibc first, with the names that were used before PEP 600; the plain tag last.
fn platforms((major, minor): (u32, u32), architecture: Architecture) -> Vec<String> {
    let machine = architecture.machine();
    let oldest = match architecture {
        Architecture::Amd64 => 5,
        Architecture::Arm64 => 17,
    };
    let mut all = Vec::new();
    for minor in (oldest..=minor).rev().filter(|_| major == 2) {
        all.push(format!("manylinux_{major}_{minor}_{machine}"));
        let old_name = match minor {
            17 => "manylinux2014",
            12 => "manylinux2010",
            5 => "manylinux1",
            _ => continue,
        };
        all.push(format!("{old_name}_{machine}"));
    }
    all.push(format!("linux_{machine}"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bookworm() -> Tags {
        Tags::new((3, 11), (2, 36), Architecture::Amd64)
    }

    fn priority(tags: &Tags, name: &str) -> Option<Priority> {
        tags.priority(&WheelName::parse(name).unwrap())
    }

    #[test]
    fn reads_names() {
        let wheel = WheelName::parse("Foo_Bar-1.0+cu126-1_x-py2.py3-none-any.whl").unwrap();
        assert_eq!((wheel.name.as_str(), wheel.version.to_string().as_str()), ("foo-bar", "1.0+cu126"));
        assert_eq!(wheel.build, Some((1, "_x".to_owned())));
        assert_eq!(wheel.pythons, ["py2", "py3"]);
        assert_eq!(wheel.to_string(), "Foo_Bar-1.0+cu126-1_x-py2.py3-none-any.whl");
    }

    #[test]
    fn refuses_what_is_no_wheel() {
        let long = format!("{}-1.0-py3-none-any.whl", "a".repeat(600));
        for name in [
            "a-1.0.tar.gz",
            "a-1.0-py3-none.whl",
            "a-1.0-x1-py3-none-any.whl",
            "a-b-c-1.0-py3-none-any.whl",
            "../a-1-py3-none-any.whl",
            "a-one-py3-none-any.whl",
            "a-1.0-py3-none-.whl",
            "a-1.0-py3--any.whl",
            "-1.0-py3-none-any.whl",
            &long,
        ] {
            assert!(WheelName::parse(name).is_err(), "{name}");
        }
    }

    /// In the order of `packaging.tags.sys_tags()` on such a machine.
    #[test]
    fn better_tags_win() {
        let tags = bookworm();
        let ordered = [
            "a-1-cp311-cp311-manylinux_2_36_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp311-cp311-manylinux2014_x86_64.whl",
            "a-1-cp311-cp311-manylinux1_x86_64.whl",
            "a-1-cp311-cp311-linux_x86_64.whl",
            "a-1-cp311-abi3-manylinux1_x86_64.whl",
            "a-1-cp311-none-manylinux_2_17_x86_64.whl",
            "a-1-cp39-abi3-manylinux_2_17_x86_64.whl",
            "a-1-cp37-abi3-manylinux_2_17_x86_64.whl",
            "a-1-py3-none-manylinux_2_17_x86_64.whl",
            "a-1-cp311-none-any.whl",
            "a-1-py311-none-any.whl",
            "a-1-2-py3-none-any.whl",
            "a-1-1-py3-none-any.whl",
            "a-1-py2.py3-none-any.whl",
            "a-1-py30-none-any.whl",
        ];
        let ranks: Vec<_> = ordered.iter().map(|name| priority(&tags, name).unwrap()).collect();
        assert!(ranks.windows(2).all(|pair| pair[0] > pair[1]), "{ranks:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (amd64, arm64) = (bookworm(), Tags::new((3, 9), (2, 31), Architecture::Arm64));
        for name in [
            "a-1-cp311-cp311-manylinux_2_37_x86_64.whl",
            "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_17_aarch64.whl",
            "a-1-cp312-cp312-manylinux1_x86_64.whl",
            "a-1-cp312-abi3-manylinux1_x86_64.whl",
            "a-1-cp311-cp311t-manylinux1_x86_64.whl",
            "a-1-py2-none-any.whl",
            "a-1-py312-none-any.whl",
            "a-1-cp311-cp311-macosx_11_0_arm64.whl",
            "a-1-cp310-none-any.whl",
        ] {
            assert_eq!(priority(&amd64, name), None, "{name}");
        }
        assert!(priority(&arm64, "a-1-cp39-cp39-manylinux_2_17_aarch64.whl").is_some());
        assert!(priority(&arm64, "a-1-cp39-cp39-manylinux_2_12_aarch64.whl").is_none());
        assert!(priority(&arm64, "a-1-cp39-cp39-manylinux_2_34_aarch64.whl").is_none());
    }
}
