//! The one way out: HTTP with TLS, proxies, retries, caps and ranges.
//!
//! | part | what it promises |
//! |---|---|
//! | [`Client::send`] | 200 or 206, or an error that names the address without its password |
//! | [`Client::exchange`] | one request of any method, for those who look after the rest themselves |
//! | redirects | followed here, at most five; never from https to http; `Authorization` never to another origin |
//! | retries | what may pass (408, 429, 502, 503, 504, broken connections), with pauses from [`Settings`] |
//! | [`Body`] | ends with an error where the connection broke before `Content-Length`, or where next to nothing comes |
//! | [`Login`], [`Client::know`] | credentials for an origin; a redirect to another gets none |
//! | [`Url`] | just enough of RFC 3986 to keep passwords out of messages and to resolve links |
//!
//! Settings are passed in. The only things read from the machine are the system's certificate store and the folders of
//! certificates that the settings name.

mod agents;
mod client;
mod error;
mod logins;
mod pace;
mod pauses;
mod place;
mod probe;
mod tls;
mod url;
mod watch;

pub use client::{Client, Exchange, Payload, Request, Response, Settings};
pub use error::NetError;
pub use logins::{Asker, Login};
pub use pace::Body;
pub use pauses::Teller;
pub use place::is_private;
pub use url::{Url, UrlError};
pub use watch::{Seen, Watcher};
