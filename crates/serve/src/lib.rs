//! The store as a registry (OCI distribution specification 1.1): for two laptops, and where there is no network.
//!
//! ```text
//! server ─► service ─► route ─► pull │ push │ uploads ─► holdings ─► store
//! sockets   who, may   paths    on threads that may      what a repository has
//!           he?                 wait for the disk
//! ```
//!
//! The face is synchronous: [`Server::bind`], [`Server::run`], [`Stopper::stop`]. Async is inside, because a thousand slow
//! clients must not cost a thousand threads. Nothing that a client sends decides a path: repositories, tags, digests are
//! parsed types.
//!
//! sha256 is the one algorithm: a blob by any other is refused with a code, as the store could not check it.

mod answer;
mod holdings;
mod options;
mod pull;
mod push;
mod recent;
mod route;
mod server;
mod service;
mod uploads;
mod users;
mod ways;

pub use options::{Access, Exposed, Limits, Options, tls, users};
pub use server::{Logger, Opener, Server, Stopper};
pub use service::Asked;
pub use users::Users;
