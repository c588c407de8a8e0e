//! Who may read where: users and passwords, by address. None ever goes to another origin than the one it is for.
//!
//! | asked in this order | as it is known |
//! |---|---|
//! | the address of the request | `https://user:password@host/…` |
//! | addresses that were made known ([`Client::know`](crate::Client::know)) | same origin; of several the one with the longest common path |
//! | [`Login`]s | by host, as `.netrc` has them |
//! | [`Asker`] | once for each origin, after a server has answered 401 |

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Url;

/// A user of a host.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Lower case, without port.
    pub host: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.host)
    }
}

/// Takes a service (an address without secrets, or a host) and a user where one is known; gives user and password.
type Ask = dyn Fn(&str, Option<&str>) -> Option<(String, String)> + Send + Sync;

/// Knows passwords that stand nowhere, for instance by a keyring program.
#[derive(Clone)]
pub struct Asker(pub Arc<Ask>);

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}

/// What a client knows.
#[derive(Default)]
pub(crate) struct Logins {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    addresses: Vec<Url>,
    asked: BTreeSet<String>,
}

impl Logins {
    /// Remembers an address, with its user where it has one.
    pub(crate) fn know(&self, url: &Url) {
        let mut known = self.lock();
        if !known.addresses.contains(url) {
            known.addresses.push(url.clone());
        }
    }

    /// `Basic …` for an address without a user of its own.
    pub(crate) fn authorization(&self, url: &Url, logins: &[Login]) -> Option<String> {
        let known = self.lock();
        let own = best(&known.addresses, url, |address| address.user().is_some()).and_then(Url::authorization);
        let host = url.host().trim_start_matches('[').trim_end_matches(']');
        let by_host = || logins.iter().find(|login| login.host == host);
        own.or_else(|| by_host().and_then(|login| url.clone().with_login(&login.user, &login.password).authorization()))
    }

    /// Is there a user for an origin? Asks for one the first time; who comes meanwhile waits for the answer.
    pub(crate) fn ask(&self, url: &Url, asker: &Asker) -> bool {
        let mut known = self.lock();
        let origin = url.origin();
        if !known.asked.insert(origin) {
            return known.addresses.iter().any(|address| address.same_origin(url) && address.user().is_some());
        }
        let index = best(&known.addresses, url, |_| true).cloned();
        let user = index.as_ref().unwrap_or(url).user_name();
        let place = url.place();
        let services = index.iter().map(Url::to_string).chain([place]);
        let mut found = services.filter_map(|service| asker.0(&service, user.as_deref()));
        let Some((user, password)) = found.next() else { return false };
        drop(found);
        let login = url.clone().with_login(&user, &password);
        known.addresses.retain(|address| !(address.same_origin(url) && address.user().is_some()));
        known.addresses.push(login);
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of the addresses of one origin the one that has most of the path in common, the first of several.
fn best<'a>(addresses: &'a [Url], url: &Url, fits: impl Fn(&Url) -> bool) -> Option<&'a Url> {
    let common = |address: &&Url| {
        let pairs = address.path().split('/').zip(url.path().split('/'));
        pairs.take_while(|(one, other)| one == other).count()
    };
    addresses.iter().rev().filter(|address| address.same_origin(url) && fits(address)).max_by_key(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn basic(user: &str, password: &str) -> Option<String> {
        url("https://h/").with_login(user, password).authorization()
    }

    #[test]
    fn a_login_is_for_its_origin_and_the_nearest_path() {
        let logins = Logins::default();
        for known in ["https://a:1@h.example/one/simple", "https://b:2@h.example/two/simple", "https://h.example/three"]
        {
            logins.know(&url(known));
        }
        let asked = |text: &str| logins.authorization(&url(text), &[]);
        assert_eq!(asked("https://h.example/two/files/x.whl"), basic("b", "2"));
        assert_eq!(asked("https://h.example/one/simple/x/"), basic("a", "1"));
        assert_eq!(asked("https://h.example/other"), basic("a", "1"));
        for other in [
            "http://h.example/one/",
            "https://h.example:8443/one/",
            "https://x.h.example/one/",
            "https://h.example.org/",
        ] {
            assert_eq!(asked(other), None, "{other}");
        }
    }

    #[test]
    fn hosts_of_a_netrc_are_whole_names() {
        let logins = [Login { host: "h.example".into(), user: "u".into(), password: "p@:/".into() }];
        let asked = |text: &str| Logins::default().authorization(&url(text), &logins);
        assert_eq!(asked("https://H.example:444/x"), Some("Basic dTpwQDov".into()));
        assert!(asked("https://a.h.example/").is_none() && asked("https://example/").is_none());
        assert!(!format!("{logins:?}").contains("p@"));
    }

    #[test]
    fn a_program_is_asked_once_for_an_origin() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let asker = Asker(Arc::new(move |service, user| {
            log.lock().unwrap().push((service.to_owned(), user.map(str::to_owned)));
            (service == "h.example").then(|| ("u".to_owned(), "p".to_owned()))
        }));
        let logins = Logins::default();
        logins.know(&url("https://token@h.example/simple"));
        assert!(logins.ask(&url("https://h.example/simple/x/"), &asker));
        assert!(logins.ask(&url("https://h.example/simple/y/"), &asker));
        assert!(!logins.ask(&url("https://i.example/"), &asker) && !logins.ask(&url("https://i.example/"), &asker));
        assert_eq!(logins.authorization(&url("https://h.example/files/x"), &[]), basic("u", "p"));
        let user = Some("token".to_owned());
        let expected = [("https://h.example/simple", user.clone()), ("h.example", user), ("i.example", None)];
        assert_eq!(*seen.lock().unwrap(), expected.map(|(service, user)| (service.to_owned(), user)));
    }
}
