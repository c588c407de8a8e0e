//! The program as its users meet it: started in a folder, in front of a fake archive and a fake index, judged by its
//! exit status, what it prints, and what lies in its store. Nothing here reaches a network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod archive;
mod bars;
mod base_build;
mod bases;
mod builds;
mod crash;
mod debs;
mod determinism;
mod disk;
mod elf;
mod explain;
mod findings;
mod flags;
mod ground;
mod hostile;
mod images;
mod indexes;
mod init;
mod look;
mod modes;
mod oci;
mod outputs;
mod platforms;
mod project;
mod prune;
mod reached;
mod real;
mod registries;
mod registry_bases;
mod repositories;
mod sandbox;
mod sdists;
mod service;
mod settings;
mod ship;
mod standalone;
mod tags;
mod texts;
mod told;
mod unlocked;
mod upgrade;
mod weights;
mod world;
