//! The program as its users meet it: started in a folder, in front of a fake archive and a fake index, judged by its
//! exit status, what it prints, and what lies in its store. Nothing here reaches a network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

#[allow(dead_code, reason = "the tests to come")]
mod archive;
#[allow(dead_code, reason = "the tests to come")]
mod service;
mod ship;
