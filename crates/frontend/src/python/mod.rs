//! Locks of Python projects → what to install for one target.
//!
//! ```text
//! uv.lock ─────────┐
//! pylock.toml ─────┼─► read() ─► Resolved { wanted, local … } ─► choose() ─► one wheel each
//! requirements.txt ┘             (Known files | hashes to ask an index for)
//! ```
//!
//! A lock is read, never written. What cannot be installed (an sdist, git) is still read: the caller sees all such
//! packages at once, and [`choose`] says why for each. Projects that lie here go to `Resolved::local` instead.

mod choose;
mod lock;
mod manifest;
mod pick;
mod pylock;
mod requirements;
mod resolved;
mod step;
mod uv;

pub use choose::{NoWheel, Reason, choose};
pub use lock::{LockKind, LockText, read, refuse_broken};
pub use manifest::Manifest;
pub use pick::{PythonWish, pick_python};
pub use requirements::includes;
pub use resolved::{Asked, Files, LocalProject, LockFile, LockedFrom, Resolved, Wanted};
pub use step::{InStep, in_step};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
