//! Which indexes there are besides those that a lock names, and who may read them.
//!
//! | variable | as its tool reads it |
//! |---|---|
//! | `UV_DEFAULT_INDEX`, else `UV_INDEX_URL`, else `PIP_INDEX_URL` | the index of requirements and pylocks that name none |
//! | `UV_INDEX`, `UV_EXTRA_INDEX_URL`, `PIP_EXTRA_INDEX_URL` | asked before it |
//! | `UV_INDEX_<NAME>_USERNAME`, `UV_INDEX_<NAME>_PASSWORD` | user of the index of that name in `[[tool.uv.index]]` or in one of those |
//!
//! An address's user and password are given to the client, which keeps them to their origin; from then on the address is
//! written without them: in plans, locks, bills of materials and messages.

use std::collections::{BTreeMap, BTreeSet};

use corten_frontend::python::{LockKind, Manifest};
use corten_net::{Client, Url};

use crate::packages::PYPI;
use crate::project::Project;

/// What the environment says about indexes.
#[derive(Clone, Default)]
pub struct Indexes {
    default: Option<String>,
    extra: Vec<String>,
    /// By the index's name as variables have it.
    users: BTreeMap<String, User>,
    names: BTreeMap<String, String>,
}

#[derive(Clone, Default)]
struct User {
    name: Option<String>,
    password: Option<String>,
}

impl Indexes {
    /// From variables of the environment; others than those of the table above are passed over.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let all: BTreeMap<String, String> =
            variables.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
        let mut indexes = Self::default();
        for (variable, value) in &all {
            let Some(rest) = variable.strip_prefix("UV_INDEX_") else { continue };
            if let Some(name) = rest.strip_suffix("_USERNAME") {
                indexes.users.entry(name.to_owned()).or_default().name = Some(value.clone());
            } else if let Some(name) = rest.strip_suffix("_PASSWORD") {
                indexes.users.entry(name.to_owned()).or_default().password = Some(value.clone());
            }
        }
        for variable in ["UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"] {
            for text in all.get(variable).into_iter().flat_map(|value| value.split_whitespace()) {
                let url = indexes.named(text);
                indexes.extra.push(url);
            }
        }
        let default = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"].into_iter().find_map(|name| all.get(name));
        indexes.default = default.map(|text| indexes.named(text.trim()));
        indexes
    }

    /// `NAME=URL` or a URL.
    fn named(&mut self, text: &str) -> String {
        let Some((name, url)) = text.split_once('=').filter(|(name, _)| !name.contains(['/', ':'])) else {
            return text.to_owned();
        };
        self.names.insert(variable_name(name), url.to_owned());
        url.to_owned()
    }

    /// Where packages come from whose lock names no index, with what is asked before it; the client knows their users then.
    /// Without secrets.
    pub fn addresses(&self, client: &Client) -> Vec<String> {
        for (name, url) in &self.names {
            client.know(&self.users.get(name).and_then(|user| user.of(url)).unwrap_or_else(|| url.clone()));
        }
        let usual = self.default.clone().unwrap_or_else(|| PYPI.to_owned());
        self.extra.iter().chain([&usual]).map(|url| client.know(url)).collect()
    }

    /// Tells the client who may read which index, by the environment and by the project's own texts.
    pub fn introduce(&self, project: &Project, client: &Client) {
        for url in self.extra.iter().chain(&self.default) {
            client.know(url);
        }
        let own = project.manifest.iter().flat_map(Manifest::named_indexes);
        let own = own.map(|(name, url)| (variable_name(name), url));
        for (name, url) in self.names.iter().map(|(name, url)| (name.clone(), url.as_str())).chain(own) {
            client.know(&self.users.get(&name).and_then(|user| user.of(url)).unwrap_or_else(|| url.to_owned()));
        }
        let included = project.lock.included.iter().map(|(_, text)| text);
        for text in included.chain([&project.lock.text]) {
            with_users(text).into_iter().for_each(|url| drop(client.know(url)));
        }
    }

    /// The indexes of a package whose lock names none: those to ask first, and the usual one. Without secrets.
    pub fn usual(&self, kind: LockKind) -> (Vec<String>, Option<String>) {
        // Other tools do not read these variables.
        if !matches!(kind, LockKind::Requirements | LockKind::Pylock) {
            return (Vec::new(), None);
        }
        let shown = |url: &String| crate::remote::shown(url);
        (self.extra.iter().map(shown).collect(), self.default.as_ref().map(shown))
    }
}

impl User {
    fn of(&self, url: &str) -> Option<String> {
        let name = self.name.as_deref().unwrap_or_default();
        let password = self.password.as_deref().unwrap_or_default();
        Some(Url::parse(url).ok()?.with_login(name, password).with_secrets())
    }
}

/// As uv writes an index's name in the name of a variable.
fn variable_name(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' }).collect()
}

/// The addresses in a text that have a user.
fn with_users(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for scheme in ["https://", "http://"] {
        for (at, _) in text.match_indices(scheme) {
            let address = text.get(at..).unwrap_or_default();
            let end =
                address.find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | ',' | '>' | ';'));
            let address = address.get(..end.unwrap_or(address.len())).unwrap_or_default();
            let authority = address.get(scheme.len()..).and_then(|rest| rest.split(['/', '?', '#']).next());
            if authority.is_some_and(|authority| authority.contains('@')) {
                found.insert(address);
            }
        }
    }
    found
}

/// What a `.netrc` says: user and password by host. Its `default` entry is passed over: it would go to whichever host a
/// lock names.
pub fn netrc(text: &str) -> Vec<corten_net::Login> {
    let mut logins: Vec<corten_net::Login> = Vec::new();
    let mut words = text.lines().flat_map(netrc_words);
    let mut open = false;
    while let Some(word) = words.next() {
        match word {
            "machine" => {
                let host = words.next().unwrap_or_default().to_ascii_lowercase();
                logins.push(corten_net::Login { host, user: String::new(), password: String::new() });
                open = true;
            }
            "default" => open = false,
            "login" | "user" | "password" | "account" => {
                let value = words.next().unwrap_or_default().to_owned();
                let Some(login) = logins.last_mut().filter(|_| open) else { continue };
                match word {
                    "password" => login.password = value,
                    "account" => {}
                    _ => login.user = value,
                }
            }
            _ => {}
        }
    }
    logins
}

/// A `#` at the beginning of a line or behind a blank begins a comment; passwords may hold one.
fn netrc_words(line: &str) -> impl Iterator<Item = &str> {
    let comment = line.trim_start().starts_with('#');
    let line = if comment { "" } else { line.split(" #").next().unwrap_or_default() };
    line.split_whitespace().map(|word| word.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexes(variables: &[(&str, &str)]) -> Indexes {
        Indexes::of(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn uvs_variables_come_before_pips_and_names_are_taken_off() {
        let all = [
            ("UV_DEFAULT_INDEX", "corp=https://u:p@a.example/simple"),
            ("UV_INDEX_URL", "https://b.example/simple"),
            ("PIP_INDEX_URL", "https://c.example/simple"),
            ("UV_INDEX", "one=https://d.example/simple https://e.example/s?x=1"),
            ("PIP_EXTRA_INDEX_URL", " https://f.example/simple\n"),
        ];
        let (extra, default) = indexes(&all).usual(LockKind::Requirements);
        assert_eq!(default.as_deref(), Some("https://a.example/simple"));
        assert_eq!(extra, ["https://d.example/simple", "https://e.example/s?x=1", "https://f.example/simple"]);
        assert_eq!(indexes(&all[1..]).usual(LockKind::Pylock).1.as_deref(), Some("https://b.example/simple"));
        assert_eq!(indexes(&all[2..]).usual(LockKind::Pylock).1.as_deref(), Some("https://c.example/simple"));
        assert_eq!(indexes(&all).usual(LockKind::Poetry), (vec![], None), "Poetry does not read them");
        assert_eq!(indexes(&[("UV_INDEX_URL", " ")]).usual(LockKind::Pylock), (vec![], None));
    }

    #[test]
    fn users_go_by_the_name_of_an_index() {
        let named = indexes(&[("UV_INDEX_MY_CORP_USERNAME", "u"), ("UV_INDEX_MY_CORP_PASSWORD", "p/@")]);
        let user = &named.users[&variable_name("my-corp")];
        assert_eq!(user.of("https://h.example/simple").unwrap(), "https://u:p%2F%40@h.example/simple");
    }

    #[test]
    fn addresses_with_users_are_found_in_any_text() {
        let text = "--index-url https://u:p@h.example/simple\na @ https://t@h.example/a.whl ; x\n\"http://u:p@i.example/x\", https://h.example/a@b";
        let found: Vec<_> = with_users(text).into_iter().collect();
        assert_eq!(found, ["http://u:p@i.example/x", "https://t@h.example/a.whl", "https://u:p@h.example/simple"]);
    }

    /// The forms of the GNU inetutils manual.
    #[test]
    fn a_netrc_is_read() {
        let text = "# machine no.example login no password no\nmachine A.example login ann password p#w\nmachine b.example\n\
            \tlogin bob # his\n\tpassword \"secret\"\n\taccount x\ndefault login anonymous password guest\nmachine c.example password alone";
        let found: Vec<_> = netrc(text).into_iter().map(|login| (login.host, login.user, login.password)).collect();
        let login = |host: &str, user: &str, password: &str| (host.to_owned(), user.to_owned(), password.to_owned());
        let expected =
            [login("a.example", "ann", "p#w"), login("b.example", "bob", "secret"), login("c.example", "", "alone")];
        assert_eq!(found, expected);
    }
}
