//! Dockerfiles as the engine builds them, beside what BuildKit made of the same (shared data).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

mod build;
mod cache_key;
mod conformance;
mod steps;
