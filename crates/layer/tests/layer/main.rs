//! Layers and zips, judged by other tools (gzip, GNU tar, Python) and by published archives.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;
mod writing;
mod zips;
