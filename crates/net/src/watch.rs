//! Who wants to see each request: method, address, answer, time. Neither users, passwords, headers nor queries are shown: a
//! signed address has its signature there.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Url;

/// One request that was sent, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// Without user, password and query.
    pub url: &'a str,
    /// None where no answer came.
    pub status: Option<u16>,
    /// Until the answer's headers were there.
    pub time: Duration,
}

/// Takes what was seen.
pub type See = dyn Fn(Seen<'_>) + Send + Sync;

/// Sees every request. Called from many threads.
#[derive(Clone)]
pub struct Watcher(pub Arc<See>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// A request under way.
pub(crate) struct Watch<'a> {
    watcher: Option<(&'a Watcher, Instant)>,
    method: &'a str,
    url: &'a Url,
}

impl<'a> Watch<'a> {
    pub(crate) fn start(watcher: Option<&'a Watcher>, method: &'a str, url: &'a Url) -> Self {
        Self { watcher: watcher.map(|watcher| (watcher, Instant::now())), method, url }
    }

    pub(crate) fn end(self, status: Option<u16>) {
        let Some((watcher, since)) = self.watcher else { return };
        let address = self.url.to_string();
        let (url, query) = address.split_once('?').map_or((address.as_str(), ""), |(url, _)| (url, "?…"));
        (watcher.0)(Seen { method: self.method, url: &format!("{url}{query}"), status, time: since.elapsed() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn neither_passwords_nor_queries_are_seen() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let watcher = Watcher(Arc::new(move |it: Seen<'_>| {
            log.lock().unwrap().push(format!("{} {} {:?}", it.method, it.url, it.status));
        }));
        let url = Url::parse("https://me:canary@h.example/a/b?X-Amz-Signature=canary#canary").unwrap();
        Watch::start(Some(&watcher), "GET", &url).end(Some(200));
        Watch::start(Some(&watcher), "PUT", &Url::parse("http://h.example/").unwrap()).end(None);
        assert_eq!(*seen.lock().unwrap(), ["GET https://h.example/a/b?… Some(200)", "PUT http://h.example/ None"]);
    }
}
