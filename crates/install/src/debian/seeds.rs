//! Which packages a base begins with, per release and variant; the solver adds what they need.

use super::lock::Variant;
use super::solver::Cut;

/// A release that bases can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debian {
    /// `bookworm`.
    pub codename: &'static str,
    /// Major and minor version of its Python: `3.11`.
    pub python: &'static str,
    distroless: &'static [&'static str],
    slim: &'static [&'static str],
}

/// The releases that bases can be made of, newest last.
pub const RELEASES: [Debian; 2] = [
    Debian {
        codename: "bookworm",
        python: "3.11",
        distroless: &["libssl3", "python3.11-minimal", "libpython3.11-stdlib"],
        // Without usr-is-merged, init-system-helpers takes usrmerge, and that Perl; netbase has /etc/services.
        slim: &["usr-is-merged", "netbase"],
    },
    Debian {
        codename: "trixie",
        python: "3.13",
        distroless: &["libssl3t64", "python3.13-minimal", "libpython3.13-stdlib"],
        slim: &["netbase"],
    },
];

/// In every distroless base. libc-bin brings ldconfig, which Python's `find_library` asks, and the C.UTF-8 locale;
/// libgomp1 and libstdc++6 are what wheels count on.
const DISTROLESS: [&str; 10] = [
    "base-files",
    "base-passwd",
    "ca-certificates",
    "libc-bin",
    "libc6",
    "libgomp1",
    "libstdc++6",
    "media-types",
    "netbase",
    "tzdata",
];

/// In every slim base, beside what is Essential.
const SLIM: [&str; 6] = ["apt", "ca-certificates", "libgomp1", "libstdc++6", "python3", "tzdata"];

/// In a distroless base `python3` and `python` are made by Corten, as links.
const MADE: [&str; 2] = ["python3", "python3-minimal"];

impl Debian {
    /// The release of a codename, if bases can be made of it.
    pub fn find(codename: &str) -> Option<&'static Self> {
        RELEASES.iter().find(|release| release.codename == codename)
    }

    /// The packages that a variant begins with, sorted. Slim has those that are Essential besides.
    pub fn seeds(&self, variant: Variant) -> Vec<&'static str> {
        let mut seeds = match variant {
            Variant::Distroless => [&DISTROLESS, self.distroless].concat(),
            Variant::Slim => [&SLIM, self.slim].concat(),
        };
        seeds.sort_unstable();
        seeds
    }

    /// The package whose upstream version is that of the interpreter.
    pub fn python_package(&self) -> String {
        format!("python{}-minimal", self.python)
    }
}

impl Variant {
    /// Which dependencies are dropped.
    pub fn cut(self) -> Cut {
        match self {
            Self::Distroless => Cut::Configuration,
            Self::Slim => Cut::Nothing,
        }
    }

    /// Which dependencies of packages beside the base are dropped.
    pub fn cut_of_added(self) -> Cut {
        match self {
            Self::Distroless => Cut::Scripts,
            Self::Slim => Cut::Nothing,
        }
    }

    /// Packages that count as there although they are not.
    pub fn met(self) -> &'static [&'static str] {
        match self {
            Self::Distroless => &MADE,
            Self::Slim => &[],
        }
    }
}
