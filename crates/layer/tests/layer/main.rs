//! Layers and zips, judged by other tools (gzip, zstd, GNU tar, Python, crane, skopeo, umoci, stargz-snapshotter's library)
//! and by published archives.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod attributes;
mod compressed;
mod support;
mod writing;
mod zips;
