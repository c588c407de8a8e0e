//! Dockerfiles on this machine: stages side by side, their steps in order, each made once for what decides it.
//!
//! ```text
//! Pinned ─► a thread for each stage ─► key = operation + inputs + content ─► record in the store? ─► reuse
//!                                                                            └─ no ─► COPY: files ─► one tar, read once
//!                                                                                     RUN: trees ─► sandbox ─► upper ─► layer
//! ```
//!
//! | part | what |
//! |---|---|
//! | [`context`], `digests` | the folder that is built, read beneath its root; what its files hashed to last time |
//! | `view`, `resolve`, `image_view` | files of a context, a stage, an image, told the same way; nothing is unpacked to be looked at |
//! | `copy`, `paths`, `unpack`, `write`, `old` | what COPY and ADD put where, and the layer of it |
//! | `run`, `mounts`, `caches`, `accounts` | what a command gets |
//! | `key`, `why` | what decides a step, and why one was made |
//! | `solve`, `stage`, `config` | the order of things, and what comes out |
//! | `wreck` | what a failing command leaves |

mod accounts;
mod caches;
mod config;
mod content;
mod context;
mod copy;
mod details;
mod digests;
mod files;
mod glob;
mod image_view;
mod key;
mod means;
mod modes;
mod mounts;
mod names;
mod old;
mod output;
mod paths;
mod relay;
mod run;
mod saved;
mod small;
mod solve;
mod stage;
mod threads;
mod unpack;
mod view;
mod why;
mod wreck;
mod write;

pub use context::{Context, Patterns};
pub use means::{
    Allowed, Fetched, Finished, LocalLayer, Means, Progress, Remote, Runner, Secrets, Silent, StepId, StepResult,
    Understand,
};
pub use output::plain;
pub use solve::solve;
pub use why::Miss;
