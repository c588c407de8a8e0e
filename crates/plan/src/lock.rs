//! `corten.lock`: what no other lock of the project holds.
//!
//! ```toml
//! version = 1
//!
//! [lock]                          # the Python lock that this file was made with
//! file = "uv.lock"
//! digest = "sha256:…"
//!
//! [[base]]                        # one for each processor
//! reference = "debian:bookworm"
//! variant = "distroless"
//! architecture = "amd64"
//! python = "3.11.2"
//! glibc = "2.36"
//! seeds = ["python3.11-minimal"]
//!
//! [base.archive]
//! suite = "bookworm"
//! epoch = 1763596800              # the newest Date of its Release files, seconds since 1970
//!
//! [[base.deb]]
//! name = "libc6"
//! version = "2.36-9+deb12u14"
//! architecture = "amd64"
//! mirror = "main"                 # or security
//! path = "pool/main/g/glibc/libc6_2.36-9+deb12u14_amd64.deb"
//! size = 2757012
//! digest = "sha256:…"
//!
//! [[base]]                        # or an image that is there already
//! reference = "oci-layout:../ml-base"
//! architecture = "amd64"
//! python = "3.12.4"
//! glibc = "2.39"
//!
//! [base.image]
//! digest = "sha256:…"             # of its manifest; of a docker archive, of its config
//! interpreter = "/usr/local/bin/python3.12"
//! suite = "bookworm"              # where it is Debian
//! epoch = 1763596800              # when it was made, seconds since 1970; 0 where it does not say
//! repository = "docker.io/library/python"   # of an image of a registry: where
//! tag = "3.12-slim"               # as it was called then: memory, never looked up
//! index = "sha256:…"              # of the index that has its manifest, where there is one
//!
//! [base.interpreter]              # where the settings name one in place of Debian's Python
//! url = "https://…/cpython-3.12.7-…-install_only.tar.gz"
//! digest = "sha256:…"
//! path = "/usr/local/bin/python3.12"
//!
//! [base.packages]                 # what `packages` of the settings adds to the base
//! asked = ["libgl1"]
//! epoch = 1763596800
//!
//! [[base.packages.deb]]           # as base.deb
//!
//! [[weights]]                     # weights that are fetched
//! url = "https://example.org/model.onnx"
//! digest = "sha256:…"
//! size = 2757012
//!
//! [build.base]                    # what source distributions are built in: as [base]
//! [[build.sdist]]                 # each of them, with the wheels that its build needs
//! name = "docopt"
//! digest = "sha256:…"
//! [[build.sdist.requires]]
//! name = "setuptools"             # version, file, url, digest, size
//! ```

use std::fmt;

use corten_oci::{Architecture, Digest, Repository, Tag};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{LockedWheel, Variant};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CortenLock {
    /// Always 1.
    #[serde(deserialize_with = "known_version")]
    pub version: u32,
    /// The Python lock that this file was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockedLock>,
    /// The base, once for each processor that the image was ever built for; sorted by processor.
    #[serde(rename = "base", deserialize_with = "one_or_many")]
    pub bases: Vec<LockedBase>,
    /// Weights that are fetched, in the order of their addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<LockedWeight>,
    /// What building packages from source needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<LockedBuilds>,
}

/// Weights of an address, by content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedWeight {
    /// As the settings have it.
    pub url: String,
    /// Of the file: as the settings say, else as it was first fetched.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// What building packages from source needs; none of it is in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBuilds {
    /// What they are built in.
    pub base: LockedBase,
    /// Each package, sorted by name.
    #[serde(rename = "sdist")]
    pub sdists: Vec<LockedBuild>,
}

/// A package that is built from source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBuild {
    /// Normalised (PEP 503).
    pub name: String,
    /// Of the source distribution.
    pub digest: Digest,
    /// The wheels that its build needs, sorted by name.
    #[serde(default)]
    pub requires: Vec<LockedWheel>,
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        1 => Ok(1),
        other => Err(D::Error::custom(format!("version {other} of corten.lock is not known, 1 is"))),
    }
}

/// A table `[base]` or several `[[base]]`.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LockedBase>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<LockedBase>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a base, or an array of bases")
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
            LockedBase::deserialize(MapAccessDeserializer::new(map)).map(|base| vec![base])
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<Self::Value, S::Error> {
            let mut bases: Vec<LockedBase> = Vec::new();
            while let Some(base) = sequence.next_element::<LockedBase>()? {
                if bases.iter().any(|other| other.architecture == base.architecture) {
                    return Err(S::Error::custom(format!("there are two bases for {}", base.architecture)));
                }
                bases.push(base);
            }
            match bases.is_empty() {
                true => Err(S::Error::custom("there is no base")),
                false => Ok(bases),
            }
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

/// A lock of another tool, by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedLock {
    /// Its name below the project.
    pub file: String,
    /// Of its bytes.
    pub digest: Digest,
    /// Hashes of wheels that the lock names without one: recorded when first fetched.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub recorded: std::collections::BTreeMap<String, Digest>,
}

/// A base: made from an archive, or an image that is there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenBase", into = "WrittenBase")]
pub struct LockedBase {
    /// As written in the settings.
    pub reference: String,
    /// Which variant; of an image the default.
    pub variant: Variant,
    /// For which processor.
    pub architecture: Architecture,
    /// Full version of its Python.
    pub python: String,
    /// Version of its C library.
    pub glibc: String,
    /// The packages that were asked for.
    pub seeds: Vec<String>,
    /// State of the archive; of an image, which suite it says to be of (empty: none) and when it was made.
    pub archive: ArchiveState,
    /// Every package, sorted by name; of an image none.
    pub debs: Vec<LockedDeb>,
    /// Debian packages beside those of the base, if any were asked for.
    pub packages: Option<LockedPackages>,
    /// The image, where it is one.
    pub image: Option<LockedImage>,
    /// The interpreter in place of Debian's Python, if the settings name one.
    pub interpreter: Option<LockedInterpreter>,
}

/// An interpreter that brings all it needs, by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedInterpreter {
    /// As the settings have it.
    pub url: String,
    /// Of the archive.
    pub digest: Digest,
    /// The program, absolute.
    pub path: String,
}

impl LockedBase {
    /// For people: `debian:bookworm distroless`, `oci-layout:../ml-base`.
    pub fn name(&self) -> String {
        match &self.image {
            Some(_) => self.reference.clone(),
            None => format!("{} {}", self.reference, self.variant.name()),
        }
    }

    /// For programs: of an image of a registry with host and tag (image specification, "Annotations").
    pub fn whole_name(&self) -> String {
        let place = self.image.as_ref().and_then(|image| image.place.as_ref());
        match place.map(|place| (&place.repository, &place.tag)) {
            Some((repository, Some(tag))) => format!("{repository}:{tag}"),
            Some((repository, None)) => repository.to_string(),
            None => self.reference.clone(),
        }
    }
}

/// An image that is a base, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// Of its manifest; of a docker archive, of its config, as docker names images.
    pub digest: Digest,
    /// Its Python, absolute, no link.
    pub interpreter: String,
    /// Where it is, if that is a registry.
    pub place: Option<LockedPlace>,
}

/// Where a registry has an image, and as what it was found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPlace {
    /// With its host.
    pub repository: Repository,
    /// As it was called when it was pinned.
    pub tag: Option<Tag>,
    /// The index of all platforms that has it, where there is one.
    pub index: Option<Digest>,
}

/// A base as corten.lock has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBase {
    reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<Variant>,
    architecture: Architecture,
    python: String,
    glibc: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seeds: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archive: Option<ArchiveState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<WrittenImage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interpreter: Option<LockedInterpreter>,
    #[serde(rename = "deb", default, skip_serializing_if = "Option::is_none")]
    debs: Option<Vec<LockedDeb>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    packages: Option<LockedPackages>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenImage {
    digest: Digest,
    interpreter: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    suite: String,
    #[serde(default)]
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repository: Option<Repository>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<Tag>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<Digest>,
}

impl WrittenImage {
    fn place(&self) -> Result<Option<LockedPlace>, String> {
        let (tag, index) = (self.tag.clone(), self.index);
        match &self.repository {
            Some(repository) => Ok(Some(LockedPlace { repository: repository.clone(), tag, index })),
            None if tag.is_some() || index.is_some() => {
                Err("an image has a tag or index, and no repository".to_owned())
            }
            None => Ok(None),
        }
    }
}

impl TryFrom<WrittenBase> for LockedBase {
    type Error = String;

    fn try_from(written: WrittenBase) -> Result<Self, String> {
        let WrittenBase { reference, variant, architecture, python, glibc, seeds, archive, .. } = written;
        let WrittenBase { image, interpreter, debs, packages, .. } = written;
        let bare = Self {
            reference,
            variant: variant.unwrap_or_default(),
            architecture,
            python,
            glibc,
            seeds: seeds.clone().unwrap_or_default(),
            archive: ArchiveState { suite: String::new(), epoch: 0 },
            debs: Vec::new(),
            packages,
            image: None,
            interpreter,
        };
        let Some(image) = image else {
            let missing = |field: &str| format!("missing field `{field}`");
            variant.ok_or_else(|| missing("variant"))?;
            seeds.ok_or_else(|| missing("seeds"))?;
            let archive = archive.ok_or_else(|| missing("archive"))?;
            return Ok(Self { archive, debs: debs.ok_or_else(|| missing("deb"))?, ..bare });
        };
        if bare.interpreter.is_some() || variant.is_some() || seeds.is_some() || archive.is_some() || debs.is_some() {
            return Err("an image has no interpreter, variant, seeds, archive or deb".to_owned());
        }
        let place = image.place()?;
        let archive = ArchiveState { suite: image.suite, epoch: image.epoch };
        let image = LockedImage { digest: image.digest, interpreter: image.interpreter, place };
        Ok(Self { archive, image: Some(image), ..bare })
    }
}

impl From<LockedBase> for WrittenBase {
    fn from(base: LockedBase) -> Self {
        let LockedBase { reference, variant, architecture, python, glibc, seeds, archive, .. } = base;
        let LockedBase { debs, packages, image, interpreter, .. } = base;
        let bare = Self {
            reference,
            variant: None,
            architecture,
            python,
            glibc,
            seeds: None,
            archive: None,
            image: None,
            interpreter,
            debs: None,
            packages,
        };
        match image {
            Some(LockedImage { digest, interpreter, place }) => {
                let ArchiveState { suite, epoch } = archive;
                let (repository, tag, index) = match place {
                    Some(place) => (Some(place.repository), place.tag, place.index),
                    None => (None, None, None),
                };
                Self { image: Some(WrittenImage { digest, interpreter, suite, epoch, repository, tag, index }), ..bare }
            }
            None => {
                Self { variant: Some(variant), seeds: Some(seeds), archive: Some(archive), debs: Some(debs), ..bare }
            }
        }
    }
}

/// Debian packages that are added to a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackages {
    /// As the settings name them, sorted.
    pub asked: Vec<String>,
    /// The newest `Date` of the archive's Release files when they were locked, seconds since 1970.
    pub epoch: u64,
    /// They and what they need beside the base, sorted by name.
    #[serde(default, rename = "deb")]
    pub debs: Vec<LockedDeb>,
}

/// How an archive stood when the base was locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveState {
    /// `bookworm`.
    pub suite: String,
    /// The newest `Date` of its Release files, seconds since 1970.
    pub epoch: u64,
}

/// Which archive a package comes from; its URL is a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mirror {
    /// Main and updates.
    Main,
    /// Security.
    Security,
}

/// One Debian package, by content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDeb {
    /// Binary package.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// Which archive.
    pub mirror: Mirror,
    /// Below the archive's root.
    pub path: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Of the .deb.
    pub digest: Digest,
}

impl CortenLock {
    /// The base for a processor.
    pub fn base(&self, architecture: Architecture) -> Option<&LockedBase> {
        self.bases.iter().find(|base| base.architecture == architecture)
    }

    /// Reads the file's text. The error gives the byte range in the text, where there is one.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The file's text.
    pub fn text(&self) -> Result<String, toml::ser::Error> {
        const HEAD: &str = "# Written by corten: what no other lock of this project holds. Commit it.\n\
                            # `corten lock` renews it; a build only adds what it lacks.\n\n";
        Ok(format!("{HEAD}{}", toml::to_string(self)?))
    }
}
