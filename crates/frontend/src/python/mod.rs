//! Locks of Python projects → what to install for one target.
//!
//! ```text
//! uv.lock ─────────┐
//! pylock.toml ─────┼─► read() ─► Resolved { wanted, local … } ─► choose() ─► one wheel each
//! requirements.txt ┘             (Known files | hashes to ask an index for)
//! ```
//!
//! A lock is read, never written. What cannot be installed (an sdist, git, a directory) is still read: the caller sees
//! all such packages at once, and [`choose`] says why for each.

mod choose;
mod lock;
mod manifest;
mod python;
mod resolved;

pub use choose::{NoWheel, Reason, choose};
pub use lock::{LockKind, LockText, read};
pub use manifest::{InStep, Manifest, in_step};
pub use python::{PythonWish, pick_python};
pub use resolved::{Asked, Files, LocalProject, LockFile, LockedFrom, Resolved, Wanted};
