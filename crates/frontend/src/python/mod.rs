//! Locks of Python projects → what to install for one target.
//!
//! ```text
//! uv.lock, poetry.lock, pdm.lock ┐
//! pylock.toml, Pipfile.lock      ├─► read() ─► Resolved { wanted, local … } ─► choose() ─► one wheel each
//! requirements.txt, pixi.lock    ┘             (files known, named, or to be asked of an index)
//! ```
//!
//! Beside it: [`in_step`] (does a lock still belong to its manifest, and what has changed?), [`python_asked`] and
//! [`python_fits`] (for which Python is it?), [`refuse_broken`] (can it be read at all?). docs/locks.md says what becomes
//! of each kind.
//!
//! A lock is read, never written. What cannot be installed (an sdist, git) is still read: the caller sees all such
//! packages at once, and [`choose`] says why for each. Projects that lie here go to `Resolved::local` instead.

mod choose;
mod conda;
mod constraint;
mod graph;
mod lock;
mod manifest;
mod pdm;
mod pick;
mod pipenv;
mod poetry;
pub mod project;
mod pylock;
mod requirements;
mod resolved;
mod step;
mod uv;

pub use choose::{Allowed, NoWheel, Reason, choose, source};
pub use conda::refuse as refuse_conda;
pub use lock::{LockKind, LockText, read, refuse_broken};
pub use manifest::{Manifest, matches as matches_name};
pub use pick::{
    OfferedPython, PythonAsked, PythonFit, PythonWish, fewest_missing, missing_wheels, pick_python, python_asked,
    python_fits,
};
pub use requirements::includes;
pub use resolved::{
    Asked, CondaInstead, CondaPackage, Files, GitSource, LocalProject, LockFile, LockedFrom, NamedFile, Resolved,
    Wanted,
};
pub use step::{InStep, in_step, members};
pub use uv::locked_metadata;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
