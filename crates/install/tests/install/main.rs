//! Installing, from outside: downloads against a server that fails, wheels read back by GNU tar and by Python, and file by
//! file against `uv pip install`; Debian's packages against apt, signatures against gpgv, an archive that lies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod bytecode;
mod debian_archive;
mod debian_base;
mod debian_fake;
mod debian_packages;
mod debian_signature;
mod debian_solver;
mod fetch;
mod gpg;
mod parity;
mod wheel;
