//! Installing, from outside: downloads against a server that fails, wheels read back by GNU tar and by Python, and file by
//! file against `uv pip install`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod fetch;
mod parity;
mod wheel;
