//! Images from Dockerfiles: `corten build` where `docker buildx build` would be.
//!
//! ```text
//! Request ─► path: is it the Dockerfile's turn? ─► source: folder, tar, repository, address ─► Dockerfile, ignore file
//!                                                                    │
//!   images: FROM … ◄── asks ── frontend: lower ◄─────────────────────┘
//!      └─► Pinned ─► engine: stages ─► result: names, id, files
//! ```
//!
//! | part | what |
//! |---|---|
//! | [`mod@path`] | which way a folder is built, and why |
//! | `request` | what is asked, in the words of buildx |
//! | `source`, `unpack` | what is built, wherever it comes from |
//! | `git`, `ssh` | repositories |
//! | `images` | what FROM and `--from` name, pinned |
//! | `plan` | all of it before anything is built |
//! | `build`, `secrets`, `remote` | what the engine gets |
//! | `attest` | what is said about the image: bill of materials, provenance |
//! | `call`, `checks` | what a file says of itself, without building it; what BuildKit's checks say of it |
//! | `findings`, `pip` | what the rules say about steps, from what the build has measured |
//! | `shell` | a look at what a failing step left |

mod attest;
mod build;
mod call;
mod checks;
mod findings;
mod git;
mod images;
mod path;
mod pip;
mod plan;
mod remote;
mod request;
mod secrets;
mod shell;
mod source;
mod ssh;
mod unpack;

pub use attest::{Attestations, Built, Mode};
pub use build::{Outcome, Way, build};
pub(crate) use call::without_images;
pub use call::{Called, Readable, call};
pub use checks::{Checked, of_source};
pub use findings::verdict;
pub(crate) use findings::{is_cache, is_compiler};
pub use path::{Path, path};
pub(crate) use pip::{all_installed, installs};
pub(crate) use plan::Mistakes;
pub use plan::{Planned, PlannedImage, plan};
pub use request::{ContextPlace, Request};
pub use secrets::{LARGEST_SECRET, Secrets};
pub use source::Source;
pub use ssh::GitSsh;

pub use corten_check::Warning;
pub use corten_frontend::dockerfile::{Argument, Given, Outline, Target};

pub use corten_engine::stages::{Allowed, Miss, Progress, StepId, StepResult, plain};
