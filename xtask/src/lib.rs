//! Chores of the project, as functions: what `cargo xtask` calls, and what tests need to find a peer.
//!
//! | module | what it keeps |
//! |---|---|
//! | [`arrows`] | which crate may use which, and what the pure ones must not do |
//! | [`bar`] | figures of reliability, each a test that is run whole |
//! | [`dependencies`] | licences and bans of everything in the lock file |
//! | [`dist`] | what people install who have no Rust: static programs and wheels |
//! | [`hadolint`] | Corten's rules beside hadolint's, over Dockerfiles of public repositories |
//! | [`packages`] | Debian packages that the tests need |
//! | [`peers`] | other people's programs, pinned, that say whether we are right |
//! | [`suite`] | all of it, in one run with one result |

pub mod arrows;
pub mod bar;
pub mod dependencies;
pub mod dist;
pub mod hadolint;
pub mod packages;
pub mod peers;
pub mod shell;
pub mod suite;
pub mod workspace;
