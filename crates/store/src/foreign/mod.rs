//! Images that others made, in the forms they travel in: looked into, then taken into the store, every byte checked.
//!
//! | origin | what it is | its digest |
//! |---|---|---|
//! | [`Origin::Layout`] | a folder (image specification 1.1, "Image Layout") | of the manifest |
//! | [`Origin::Archive`] | the same as a tar | of the manifest |
//! | [`Origin::Docker`] | what `docker save` writes: `manifest.json`, config, layers | of the config: Docker's image id |
//! | [`Origin::Store`] | an image of the store itself | of the manifest |
//! | [`Origin::Pulled`] | one of a registry, whose documents and layers were brought to the store | of the manifest |
//!
//! Layers keep their bytes, compressed as they are. Plain tars of a docker archive are compressed by
//! [`Method::Gzip`](corten_layer::compress::Method::Gzip), whatever else an image is compressed with, so that a base is
//! the same for every project.
//!
//! Nothing of an image decides a path: blobs are found by their digests, members of a tar by offsets.

mod docker;
mod load;
mod members;
mod take;
mod walk;

use std::path::{Path, PathBuf};

use corten_diagnostic::{Diagnose, Fault};
use corten_oci::{Architecture, Digest, ImageConfig, Reference};

use crate::{Store, StoreError};

pub use load::{Loaded, compression, load};
use take::Layer;
pub use take::{Taken, look_into};
pub use walk::{is_image, is_wanted};

/// Layers that an image may have: Docker takes 127, and some are put on top.
pub const MOST_LAYERS: usize = 100;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An OCI layout; the name is an entry's `org.opencontainers.image.ref.name`.
    Layout {
        /// The folder.
        folder: PathBuf,
        /// Which image of it.
        name: Option<String>,
    },
    /// An OCI layout in a tar.
    Archive {
        /// The tar.
        file: PathBuf,
        /// Which image of it.
        name: Option<String>,
    },
    /// A docker archive; the name is one of `RepoTags`.
    Docker {
        /// The tar.
        file: PathBuf,
        /// Which image of it.
        name: Option<String>,
    },
    /// An image of the store.
    Store {
        /// Its name; without a tag, `latest`.
        reference: Reference,
    },
    /// An image of a registry, brought to the store; it is asked for by digest alone.
    Pulled {
        /// As people call it.
        name: String,
    },
}

impl Origin {
    /// For people: where it is.
    pub fn place(&self) -> String {
        match self {
            Self::Layout { folder, .. } => folder.display().to_string(),
            Self::Archive { file, .. } | Self::Docker { file, .. } => file.display().to_string(),
            Self::Store { .. } => "the store".to_owned(),
            Self::Pulled { name } => name.clone(),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Layout { name, .. } | Self::Archive { name, .. } | Self::Docker { name, .. } => name.as_deref(),
            Self::Store { .. } | Self::Pulled { .. } => None,
        }
    }
}

/// Why an image cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// There is nothing at the place.
    #[error("{place} is not there")]
    Absent {
        /// Folder, file or name.
        place: String,
        /// What to try.
        hint: String,
    },
    /// It does not have the image that is asked for.
    #[error("{place} has no image '{name}'")]
    Unknown {
        /// Folder or file.
        place: String,
        /// What was asked for.
        name: String,
        /// What is there.
        names: Vec<String>,
    },
    /// It has several images, and none is asked for by name.
    #[error("{place} has {count} images, and the base names none of them")]
    Several {
        /// Folder or file.
        place: String,
        /// How many.
        count: usize,
        /// Their names.
        names: Vec<String>,
    },
    /// It has no image for the platform.
    #[error("{place} has no image for linux/{wanted}")]
    Platform {
        /// Folder or file.
        place: String,
        /// For which processor one is wanted.
        wanted: Architecture,
        /// For what there is one.
        found: Vec<String>,
    },
    /// Its bytes are wrong.
    #[error("{place} cannot be a base: {why}")]
    Refused {
        /// Folder or file.
        place: String,
        /// Which rule they break.
        why: String,
    },
    /// The disk said no, or bytes are not what their name says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Diagnose for ForeignError {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(StoreError::Damaged { .. } | StoreError::Unsuitable(_)) => Fault::Input,
            Self::Store(error) => error.fault(),
            Self::Unknown { .. } | Self::Several { .. } | Self::Absent { .. } => Fault::Usage,
            Self::Platform { .. } | Self::Refused { .. } => Fault::Input,
        }
    }

    fn hints(&self) -> Vec<String> {
        const SHOWN: usize = 8;
        let there = |names: &[String]| match names {
            [] => Vec::new(),
            names => {
                let more = if names.len() > SHOWN { " …" } else { "" };
                let first = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>();
                vec![format!("there are: {}{more}", first.join(", "))]
            }
        };
        match self {
            Self::Absent { hint, .. } => vec![hint.clone()],
            Self::Unknown { names, .. } => there(names),
            Self::Several { names, .. } if names.is_empty() => {
                vec!["name one by its digest: oci-layout:FOLDER@sha256:…".to_owned()]
            }
            Self::Several { names, .. } => there(names),
            Self::Platform { found, .. } => there(found),
            Self::Refused { .. } => Vec::new(),
            // What the store advises is about its own files.
            Self::Store(StoreError::Damaged { .. } | StoreError::Unsuitable(_)) => {
                vec!["make or copy the image again".to_owned()]
            }
            Self::Store(error) => error.hints(),
        }
    }
}

/// An image for one platform, found and not yet taken.
pub struct Found {
    /// What pins it.
    pub digest: Digest,
    /// Its config.
    pub config: ImageConfig,
    layers: Vec<Layer>,
    place: String,
}

/// Looks for an image: the one of `digest`, else the one that the origin names, else its only one.
///
/// # Errors
/// See [`ForeignError`].
pub fn find(
    origin: &Origin,
    digest: Option<&Digest>,
    architecture: Architecture,
    store: &Store,
) -> Result<Found, ForeignError> {
    let found = match origin {
        Origin::Layout { folder, name } => {
            let layout = walk::LayoutFolder::open(folder)?;
            walk::find(&layout, &Wish { name: name.as_deref(), digest, architecture })?
        }
        Origin::Archive { file, name } => {
            let members = members::Members::open(file)?;
            walk::find(&members, &Wish { name: name.as_deref(), digest, architecture })?
        }
        Origin::Docker { file, .. } => {
            let wish = Wish { name: origin.name(), digest, architecture };
            docker::find(&members::Members::open(file)?, &wish)?
        }
        Origin::Store { reference } => {
            let named = walk::Named::of(store, reference, digest)?;
            walk::find(&named, &Wish { name: None, digest, architecture })?
        }
        Origin::Pulled { name } => {
            let named = walk::Named::pulled(store, name, digest)?;
            walk::find(&named, &Wish { name: None, digest, architecture })?
        }
    };
    let (layers, diff_ids) = (found.layers.len(), found.config.rootfs.diff_ids.len());
    let refuse = |why: String| Err(ForeignError::Refused { place: origin.place(), why });
    match layers {
        _ if layers != diff_ids => refuse(format!("its manifest has {layers} layers, its config {diff_ids}")),
        0 => refuse("it has no layers".to_owned()),
        _ if layers > MOST_LAYERS => refuse(format!("it has {layers} layers, more than {MOST_LAYERS}")),
        _ => Ok(found),
    }
}

/// What is looked for.
struct Wish<'a> {
    name: Option<&'a str>,
    digest: Option<&'a Digest>,
    architecture: Architecture,
}

fn refused(place: &Path, why: impl Into<String>) -> ForeignError {
    ForeignError::Refused { place: place.display().to_string(), why: why.into() }
}
