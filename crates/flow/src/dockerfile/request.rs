//! What is asked of a build from a Dockerfile, in the words of `docker buildx build`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corten_diagnostic::Failure;
use corten_frontend::settings::{ImageBase, ImageKind};
use corten_oci::{Architecture, Reference};

use super::source;
use crate::registry::RegistryOptions;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A folder, `-` for standard input, or an address.
    pub context: String,
    /// `--file`: a path, `-` for standard input, or an address.
    pub file: Option<String>,
    /// `--target`.
    pub target: Option<String>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--build-context`: what names stand for.
    pub contexts: BTreeMap<String, ContextPlace>,
    /// `--platform`.
    pub architecture: Architecture,
    /// `--pull`: names are asked for at their registries, also where the store has them.
    pub pull: bool,
    /// How registries are reached.
    pub registry: RegistryOptions,
}

/// What a name of `--build-context` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPlace {
    /// A folder.
    Folder(PathBuf),
    /// An image in a layout, an archive or the store.
    Image(ImageBase),
    /// An image by another name.
    Named(Reference),
    /// A repository or archive at an address.
    Remote(String),
}

impl ContextPlace {
    /// Reads `NAME=VALUE`.
    ///
    /// # Errors
    /// Usage, with what may stand there.
    pub fn parse(text: &str) -> Result<(String, Self), Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!("--build-context {text}: {why}")).hint(
                "write NAME=FOLDER, NAME=oci-layout://FOLDER[:TAG|@DIGEST], NAME=docker-image://REFERENCE or an address",
            )
        };
        let (name, value) = text.split_once('=').ok_or_else(|| wrong("it gives no name"))?;
        if name.is_empty() || value.is_empty() {
            return Err(wrong("name and value must not be empty"));
        }
        let place = if let Some(place) = value.strip_prefix("oci-layout://") {
            Self::Image(layout(place).map_err(|why| wrong(&why))?)
        } else if let Some(reference) = value.strip_prefix("docker-image://") {
            Self::Named(reference.parse().map_err(|error| wrong(&format!("{error}")))?)
        } else if value.starts_with("target:") || value.starts_with("input:") {
            return Err(wrong("targets of bake files are not known here"));
        } else if let Some(image) = ours(value) {
            Self::Image(image)
        } else if source::is_remote(value) {
            Self::Remote(value.to_owned())
        } else {
            Self::Folder(value.into())
        };
        Ok((name.to_owned(), place))
    }
}

/// `FOLDER[:TAG][@DIGEST]`.
fn layout(text: &str) -> Result<ImageBase, String> {
    let (rest, digest) = match text.split_once("@sha256:") {
        None => (text, None),
        Some((rest, hex)) => {
            (rest, Some(format!("sha256:{hex}").parse().map_err(|_| "its digest is none".to_owned())?))
        }
    };
    let (path, name) = match rest.rsplit_once(':') {
        Some((path, name)) if !name.contains('/') => (path, Some(name.to_owned())),
        _ => (rest, None),
    };
    if path.is_empty() {
        return Err("it names no folder".to_owned());
    }
    Ok(ImageBase { kind: ImageKind::OciLayout, path: path.to_owned(), name, digest })
}

/// As the setting `base` names images: `store:NAME`, `oci-archive:FILE`, `docker-archive:FILE`.
fn ours(text: &str) -> Option<ImageBase> {
    let kinds = [ImageKind::OciArchive, ImageKind::DockerArchive, ImageKind::Store];
    let kind =
        kinds.into_iter().find(|kind| text.strip_prefix(kind.name()).is_some_and(|rest| rest.starts_with(':')))?;
    let path = text.split_once(':')?.1.to_owned();
    Some(ImageBase { kind, path, name: None, digest: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Docker's page of `--build-context` writes them.
    #[test]
    fn contexts_are_read_as_buildx_has_them() {
        let parse = |text: &str| ContextPlace::parse(text).map(|(_, place)| place);
        let digest = format!("sha256:{}", "a".repeat(64));
        let of = |path: &str, name: Option<&str>, digest: Option<&str>| {
            ContextPlace::Image(ImageBase {
                kind: ImageKind::OciLayout,
                path: path.to_owned(),
                name: name.map(str::to_owned),
                digest: digest.map(|digest| digest.parse().unwrap()),
            })
        };
        assert_eq!(parse("docs=./docs").unwrap(), ContextPlace::Folder("./docs".into()));
        assert_eq!(parse("a=oci-layout:///x/y").unwrap(), of("/x/y", None, None));
        assert_eq!(parse("a=oci-layout://./y:tag").unwrap(), of("./y", Some("tag"), None));
        assert_eq!(parse(&format!("a=oci-layout://y@{digest}")).unwrap(), of("y", None, Some(&digest)));
        assert_eq!(
            parse("alpine=docker-image://alpine:3.20").unwrap(),
            ContextPlace::Named("alpine:3.20".parse().unwrap())
        );
        let git = "https://example.org/x.git#main:docs";
        assert_eq!(parse(&format!("x={git}")).unwrap(), ContextPlace::Remote(git.to_owned()));
        for wrong in ["docs", "=x", "docs=", "a=target:base", "a=oci-layout://", "a=docker-image://UP"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
