//! Who may come in: a file as `htpasswd -B` writes it (Apache's; bcrypt alone).
//!
//! bcrypt is slow on purpose, and clients send the password with each of hundreds of requests: one that was right is
//! remembered as a hash with a salt of this process. A user who is not in the file costs as much as a wrong password.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use corten_oci::Digest;

/// bcrypt's work doubles with each step; at 14 one try takes a second.
const HIGHEST_COST: u32 = 14;

/// Users and the hashes of their passwords.
pub struct Users {
    hashes: BTreeMap<String, String>,
    /// Of nobody's password, as slow as those of the file.
    nobody: String,
    /// Who may pull alone.
    readers: BTreeSet<String>,
    right: Mutex<BTreeMap<String, Digest>>,
    salt: [u8; 32],
}

impl Users {
    /// Reads the file's text; `salt` is random.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn parse(text: &str, salt: [u8; 32]) -> Result<Self, String> {
        let (mut hashes, mut cost) = (BTreeMap::new(), 0);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, hash) = line.split_once(':').ok_or_else(|| format!("line {number} is no 'user:hash'"))?;
            let parts: bcrypt::HashParts = hash
                .parse()
                .map_err(|_| format!("line {number}: the password of '{user}' is not hashed with bcrypt"))?;
            if parts.get_cost() > HIGHEST_COST {
                return Err(format!(
                    "line {number}: the password of '{user}' is hashed with cost {}, more than {HIGHEST_COST}",
                    parts.get_cost()
                ));
            }
            cost = cost.max(parts.get_cost());
            hashes.insert(user.to_owned(), hash.to_owned());
        }
        if hashes.is_empty() {
            return Err("it has no users".to_owned());
        }
        // 22 characters of salt, 31 of hash.
        let nobody = format!("$2b${cost:02}${}", ".".repeat(53));
        Ok(Self { hashes, nobody, readers: BTreeSet::new(), right: Mutex::default(), salt })
    }

    /// The same, of whom these may pull alone.
    ///
    /// # Errors
    /// Somebody who is not in the file.
    pub fn with_readers(mut self, readers: &[String]) -> Result<Self, String> {
        match readers.iter().find(|reader| !self.hashes.contains_key(*reader)) {
            Some(reader) => Err(format!("it has no user '{reader}'")),
            None => {
                self.readers.extend(readers.iter().cloned());
                Ok(self)
            }
        }
    }

    pub(crate) fn is_reader(&self, user: &str) -> bool {
        self.readers.contains(user)
    }

    /// Is that the user's password? Slow; a wrong one always takes the same time.
    pub(crate) fn check(&self, user: &str, password: &str) -> bool {
        let salted = [&self.salt[..], user.as_bytes(), b"\0", password.as_bytes()].concat();
        let salted = Digest::of(salted);
        if self.right().get(user).is_some_and(|right| *right == salted) {
            return true;
        }
        let known = self.hashes.get(user);
        let is_right = bcrypt::verify(password, known.unwrap_or(&self.nobody)).unwrap_or(false) && known.is_some();
        if is_right {
            self.right().insert(user.to_owned(), salted);
        }
        is_right
    }

    /// Was it right before?
    pub(crate) fn remembers(&self, user: &str, password: &str) -> bool {
        let salted = [&self.salt[..], user.as_bytes(), b"\0", password.as_bytes()].concat();
        self.right().get(user).is_some_and(|right| *right == Digest::of(salted))
    }

    fn right(&self) -> MutexGuard<'_, BTreeMap<String, Digest>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// User and password of an `Authorization` (RFC 7617). None where it is another scheme, or no text.
pub(crate) fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    if text.chars().any(char::is_control) {
        return None;
    }
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `htpasswd -nbB me secret`, of Apache's utilities.
    const ME: &str = "me:$2y$05$53xYf9qR9mXrMuQBRNaxOOqQnv4MAmhH5dJK7x848q7qEc1wCU7Km\n";

    #[test]
    fn k9_only_the_right_password_of_a_known_user_is_let_in() {
        let users = Users::parse(&format!("# people\n\n{ME}"), [7; 32]).unwrap();
        for (user, password, expected) in [
            ("me", "wrong", false),
            ("me", "", false),
            ("me", "secret", true),
            ("me", "secret", true),
            ("me", "Secret", false),
            ("ME", "secret", false),
            ("you", "secret", false),
            ("", "", false),
        ] {
            assert_eq!(users.check(user, password), expected, "{user} {password}");
        }
        assert!(
            users.remembers("me", "secret") && !users.remembers("me", "other") && !users.remembers("you", "secret")
        );
    }

    #[test]
    fn k9_headers_that_are_no_basic_credentials_are_nobodys() {
        let of = |text: &[u8]| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(basic(&of(b"me:a:b")), Some(("me".into(), "a:b".into())));
        assert_eq!(basic(&of(b"me:").replace("Basic", "bAsIc")), Some(("me".into(), String::new())));
        for bad in [
            of(b"me\0:secret"),
            of(b"me:sec\0ret"),
            of(b"me"),
            of(b"me:\xff"),
            of(b"m\ne:x"),
            "Basic".into(),
            "Basic ".into(),
            "Basic !!".into(),
            "Bearer abc".into(),
            "Bearer eyJhbGciOiJub25lIn0.e30.".into(),
            String::new(),
        ] {
            assert_eq!(basic(&bad), None, "{bad}");
        }
    }

    #[test]
    fn files_that_say_nothing_certain_are_refused() {
        for (text, expected) in [
            ("", "it has no users"),
            ("# nobody\n", "it has no users"),
            ("me\n", "line 1 is no 'user:hash'"),
            ("me:secret\n", "line 1: the password of 'me' is not hashed with bcrypt"),
            ("\nme:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", "line 2: the password of 'me' is not hashed with bcrypt"),
            ("me:$apr1$x$y\n", "line 1: the password of 'me' is not hashed with bcrypt"),
            (
                "me:$2y$31$53xYf9qR9mXrMuQBRNaxOOqQnv4MAmhH5dJK7x848q7qEc1wCU7Km",
                "line 1: the password of 'me' is hashed with cost 31, more than 14",
            ),
        ] {
            assert_eq!(Users::parse(text, [0; 32]).err().as_deref(), Some(expected));
        }
    }
}
