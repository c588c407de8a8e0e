//! The nouns of OCI images, as values that cannot be wrong: parse once, then trust the type.
//!
//! | noun | what it names |
//! |---|---|
//! | [`Digest`] | content, by its SHA-256 (a compressed blob, a manifest, a wheel) |
//! | [`DiffId`] | a layer's *uncompressed* tar; never to be mixed up with the digest of its blob |
//! | [`Reference`] | an image as somebody wrote it; may float |
//! | [`Pinned`] | an image by digest; the tag is only memory |
//! | [`Descriptor`], [`Manifest`], [`Index`], [`ImageConfig`] | the documents of the image specification |
//! | [`Image`], [`Layer`], [`LayerIndex`] | an image as Corten knows it: complete, checked, with what lies in each layer |
//! | [`Closure`] | all that a manifest or index needs, found by a bounded walk |
//! | [`Blobs`] | bytes as a capability: whoever holds it can open content by descriptor |
//!
//! Nothing here does I/O. Sources: OCI image specification 1.1, distribution specification 1.1.

mod blobs;
mod closure;
mod config;
mod digest;
mod image;
mod layer_index;
mod manifest;
mod platform;
mod reference;

pub use blobs::{Blobs, MemoryBlobs};
pub use closure::{Closure, Document, LARGEST_DOCUMENT, Unsuitable};
pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use digest::{DiffId, Digest, DigestError, Digester};
pub use image::{Image, Layer};
pub use layer_index::{Entry, Kind, LayerIndex, LayerPath, LayerPathError, SetId};
pub use manifest::{Descriptor, DocumentError, Index, Manifest, MediaType, MediaTypeError};
pub use platform::{Architecture, Platform, PlatformError};
pub use reference::{Pinned, Reference, ReferenceError, Repository, Tag};
