//! Strict fakes that we would ship, for tests alone.
//!
//! | fake | what it stands for |
//! |---|---|
//! | [`http::Server`] | a web server on 127.0.0.1 that logs what it is asked and fails on demand |
//! | [`index::PackageIndex`] | a Python package index (simple API as JSON and HTML, files) |
//! | [`archive::FileServer`] | a Debian archive or any other folder, with faults |
//! | [`wheel::WheelBuilder`] | small wheels, made in memory; and small hostile ones |
//! | [`elf::library`] | small ELF files, made in memory |
//! | [`registry::FakeRegistry`] | a registry that knows the rules, logs who breaks them, and fails on demand |
//! | [`proxy::Proxy`] | a proxy that leads public names to servers of the test |
//! | [`tls::server`] | TLS by an authority that exists for tests alone |
//! | [`client`] | a client that sends exactly these bytes |
//! | [`conformance`] | what any registry must do, endpoint by endpoint |
//! | [`command::Corten`] | the program itself, with an empty home |
//! | [`bar::Bar`] | no fake: a figure that a test measures, short or whole |
//!
//! A fake is strict: what the real thing would refuse, it refuses (a malformed request is answered 400).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up must fail loudly"
)]

pub mod archive;
pub mod bar;
pub mod client;
pub mod command;
pub mod conformance;
pub mod elf;
pub mod gate;
pub mod http;
pub mod index;
pub mod proxy;
pub mod registry;
pub mod tls;
pub mod wheel;
