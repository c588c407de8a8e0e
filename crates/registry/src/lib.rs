//! Names at registries: pull and push by the distribution specification 1.1.
//!
//! ```text
//! Registry ─► Remote (one repository) ─► call: credentials, redirects, pauses ─► corten-net
//!               ├ manifest, blob, tags, referrers      what is there
//!               ├ upload                               mount, one PUT, or pieces that are gone on with
//!               └ push                                 blobs side by side, documents after what they name, tags last
//! ```
//!
//! Documents are kept and hashed as their bytes and never written anew. What comes is believed once it is hashed: an
//! answer's own digest header decides nothing. Credentials go to the registry that they are for, and to the place that
//! gives its tokens, if that is a neighbour; to no redirect, `Location` or `Link` of another host. Nothing that a
//! registry says leads to a private address, unless the registry itself is at one.

mod address;
mod call;
mod challenge;
mod credentials;
mod error;
mod mirror;
mod push;
mod remote;
mod token;
mod upload;

pub use credentials::{AuthFile, Credentials, Found, Keychain, NoCredentials, helper_name};
pub use error::{Doing, RegistryError};
pub use mirror::{Mirror, MirrorError};
pub use push::{PushOptions, Pushed, push, push_blob};
pub use remote::{Fetched, Registry, Remote, Which};
