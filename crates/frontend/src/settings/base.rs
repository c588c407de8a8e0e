//! What an image stands on, as the settings name it.

use corten_oci::Digest;

const EXPECTED: &str = "an archive's suite such as \"debian:bookworm\", or an image such as \"oci-layout:FOLDER\"";

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
    /// Folder or file, below the project's folder unless absolute; of the store, its repository and tag.
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
}

impl ImageKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OciLayout, Self::OciArchive, Self::DockerArchive, Self::Store];

    /// As it stands before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::OciLayout => "oci-layout",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::Store => "store",
        }
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let image = match self {
            Self::Debian { suite } => return write!(f, "debian:{suite}"),
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

/// Reads what the settings say.
pub(super) fn parse(text: &str) -> Result<Base, String> {
    let kind = |kind: &ImageKind| Some((*kind, text.strip_prefix(kind.name())?.strip_prefix(':')?));
    if let Some((kind, rest)) = ImageKind::ALL.iter().find_map(kind) {
        return image(kind, rest).map(Base::Image).map_err(|why| format!("is '{text}', {why}"));
    }
    let suite = text.strip_prefix("debian:").filter(|suite| !suite.is_empty());
    let suite = suite.filter(|suite| suite.bytes().all(|byte| byte.is_ascii_lowercase()));
    suite
        .map(|suite| Base::Debian { suite: suite.to_owned() })
        .ok_or_else(|| format!("is '{text}', expected {EXPECTED}"))
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
