//! What an image stands on, as the settings name it.
//!
//! | text | is |
//! |---|---|
//! | `debian:SUITE`, the suite in lower-case letters | made from Debian's archive |
//! | `oci-layout:`, `oci-archive:`, `docker-archive:`, `store:` | an image on this machine |
//! | `docker://NAME` | an image of a registry, whatever the name looks like |
//! | any other name with a tag, a digest or a slash | an image of a registry, by Docker's rules |
//!
//! So no name means one thing today and another thing tomorrow: what is neither is an error, a lone word, too.

use corten_oci::{Digest, Reference};

const EXPECTED: &str = "an archive's suite such as \"debian:bookworm\", an image of a registry such as \"python:3.12-slim\", \
                        or one that is here such as \"oci-layout:FOLDER\"";
/// Before the name of an image of a registry, where it could be taken for something else.
const EXPLICIT: &str = "docker://";

/// What an image stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Packages of Debian's archive.
    Debian {
        /// `bookworm`.
        suite: String,
    },
    /// An image that is there already.
    Image(ImageBase),
}

/// An interpreter that brings all it needs, in place of Debian's Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterpreterSource {
    /// Of its archive; without user and password.
    pub url: String,
    /// Of the archive.
    pub sha256: Digest,
}

/// An image that is there already, as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBase {
    /// In which form.
    pub kind: ImageKind,
    /// Folder or file, below the project's folder unless absolute; of the store and of registries, repository and tag.
    pub path: String,
    /// Which image of several.
    pub name: Option<String>,
    /// Which image by content: then no name counts.
    pub digest: Option<Digest>,
}

/// In which form an image is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// A folder.
    OciLayout,
    /// An OCI layout in a tar.
    OciArchive,
    /// What `docker save` writes.
    DockerArchive,
    /// An image of the local store.
    Store,
    /// An image of a registry.
    Registry,
}

impl ImageKind {
    /// Those that are on this machine.
    pub const LOCAL: [Self; 4] = [Self::OciLayout, Self::OciArchive, Self::DockerArchive, Self::Store];

    /// As it stands before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::OciLayout => "oci-layout",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::Store => "store",
            Self::Registry => "docker",
        }
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let image = match self {
            Self::Debian { suite } => return write!(f, "debian:{suite}"),
            Self::Image(image) if image.kind == ImageKind::Registry => return f.write_str(&of_registry(image)),
            Self::Image(image) => image,
        };
        write!(f, "{}:{}", image.kind.name(), image.path)?;
        if let Some(name) = &image.name {
            write!(f, ":{name}")?;
        }
        match &image.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// The name, with `docker://` where it means something else without.
fn of_registry(image: &ImageBase) -> String {
    let name = match &image.digest {
        Some(digest) => format!("{}@{digest}", image.path),
        None => image.path.clone(),
    };
    match parse(&name) {
        Ok(Base::Image(other)) if other == *image => name,
        _ => format!("{EXPLICIT}{name}"),
    }
}

/// Reads what the settings say.
pub(super) fn parse(text: &str) -> Result<Base, String> {
    let kind = |kind: &ImageKind| Some((*kind, text.strip_prefix(kind.name())?.strip_prefix(':')?));
    if let Some(name) = text.strip_prefix(EXPLICIT) {
        let reference = name.parse::<Reference>().map_err(|error| format!("is '{text}': {error}"))?;
        return Ok(Base::Image(image_of(reference)));
    }
    if let Some((kind, rest)) = ImageKind::LOCAL.iter().find_map(kind) {
        return image(kind, rest).map(Base::Image).map_err(|why| format!("is '{text}', {why}"));
    }
    let expected = || format!("is '{text}', expected {EXPECTED}");
    if let Some(rest) = text.strip_prefix("debian").filter(|rest| rest.is_empty() || rest.starts_with([':', '@'])) {
        let suite = rest.strip_prefix(':').unwrap_or_default();
        return match !suite.is_empty() && suite.bytes().all(|byte| byte.is_ascii_lowercase()) {
            true => Ok(Base::Debian { suite: suite.to_owned() }),
            false if rest.is_empty() || rest == ":" => Err(expected()),
            false => Err(format!("{}; Docker Hub's image is \"{EXPLICIT}{text}\"", expected())),
        };
    }
    let reference = text.parse::<Reference>().map_err(|_| expected())?;
    let is_told = reference.tag.is_some() || reference.digest.is_some() || text.contains('/');
    if !is_told {
        return Err(format!("{}; an image of that name is \"{text}:latest\"", expected()));
    }
    match meant(&reference) {
        Some(kind) => Err(format!("is '{text}': is \"{}:…\" meant? Else it is \"{EXPLICIT}{text}\"", kind.name())),
        None => Ok(Base::Image(image_of(reference))),
    }
}

/// `oci-layuot:base`: nobody at Docker Hub is to be asked for that.
fn meant(reference: &Reference) -> Option<ImageKind> {
    let name = &reference.repository.path;
    let near = |kind: &&ImageKind| strsim::damerau_levenshtein(kind.name(), name) <= kind.name().len() / 4;
    ImageKind::LOCAL.iter().find(near).copied().filter(|_| reference.repository.host.is_none())
}

fn image_of(reference: Reference) -> ImageBase {
    let path = Reference { digest: None, ..reference.clone() }.to_string();
    ImageBase { kind: ImageKind::Registry, path, name: None, digest: reference.digest }
}

/// `PATH[:NAME][@DIGEST]`; of the store the name is the path.
fn image(kind: ImageKind, text: &str) -> Result<ImageBase, String> {
    let (rest, digest) = match text.split_once("@sha256:") {
        None => (text, None),
        Some((rest, hex)) => {
            let digest = format!("sha256:{hex}").parse::<Digest>();
            (rest, Some(digest.map_err(|_| "whose digest is not sha256: and 64 hexadecimal digits".to_owned())?))
        }
    };
    let (path, name) = match rest.split_once(':') {
        Some((path, name)) if kind != ImageKind::Store => (path, Some(name)),
        _ => (rest, None),
    };
    if path.is_empty() || name.is_some_and(str::is_empty) {
        return Err(format!("expected {}:PATH or {}:PATH:NAME", kind.name(), kind.name()));
    }
    if kind == ImageKind::Store {
        path.parse::<corten_oci::Reference>().map_err(|error| error.to_string())?;
    }
    if digest.is_some() && name.is_some() {
        return Err("which names the image by a tag and by a digest: one of them says it".to_owned());
    }
    Ok(ImageBase { kind, path: path.to_owned(), name: name.map(str::to_owned), digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> &'static str {
        match parse(text).unwrap() {
            Base::Debian { .. } => "debian",
            Base::Image(image) => image.kind.name(),
        }
    }

    #[test]
    fn a_name_means_one_thing() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("python:3.12-slim@{digest}");
        for name in [
            "python:3.12-slim",
            "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
            "gcr.io/distroless/python3-debian12",
            "localhost:5000/x/y:tag",
            "cgr.dev/chainguard/python",
            "docker://debian:12",
            "docker://store:1",
            "docker://python",
            &pinned,
        ] {
            assert_eq!(kind(name), "docker", "{name}");
            assert_eq!(parse(name).unwrap().to_string(), name);
        }
        assert_eq!(parse("docker://python:3.12").unwrap().to_string(), "python:3.12");
        assert_eq!(kind("debian:bookworm"), "debian");
        assert_eq!(kind("store:x:1"), "store");
        assert_eq!(kind("oci-layout:x"), "oci-layout");
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let says = |text: &str, why: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(&format!("is '{text}'")) && error.ends_with(why), "{error}");
        };
        says("debian:12", "; Docker Hub's image is \"docker://debian:12\"");
        says("debian:bookworm-slim", "; Docker Hub's image is \"docker://debian:bookworm-slim\"");
        says("debian", "\"oci-layout:FOLDER\"");
        says("debian:", "\"oci-layout:FOLDER\"");
        says("bookworm", "; an image of that name is \"bookworm:latest\"");
        says("oci-layuot:base", "is \"oci-layout:…\" meant? Else it is \"docker://oci-layuot:base\"");
        says("stroe:base", "is \"store:…\" meant? Else it is \"docker://stroe:base\"");
        for text in
            ["", "./base", "/srv/base", "Python:3", "python:", "https://x/y:1", "python:3@sha256:1", "docker://"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
