//! The store from outside: what is written is there, whatever happens.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail, and says why it has not run"
)]

mod batch;
mod crash;
mod damage;
mod later;
mod layout;
mod prune;
mod repair;
mod support;
mod trees;
