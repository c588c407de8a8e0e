//! The one way out: HTTP with TLS, proxies, retries, caps and ranges.

mod client;

pub use client::{Body, Client, NetError, Request, Response, Settings};
