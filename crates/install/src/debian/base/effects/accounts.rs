//! Users and groups that packages bring: from our table, and from their `sysusers.d`.
//!
//! Numbers count down from 999 in the order of the packages' names, past those that are taken (Debian Policy, section
//! 9.2.2); `/etc/shadow` and `/etc/gshadow` get their lines where the base has them. Source: sysusers.d(5), adduser(8).

use std::collections::BTreeSet;

use corten_oci::LayerPath;

use crate::debian::base::{BaseError, Making};

/// The first system user that is made.
const HIGHEST_ID: u64 = 999;
/// Seconds of a day: `/etc/shadow` counts days.
const DAY: u64 = 86_400;
/// Users of one package; systemd brings six.
const MOST_USERS: usize = 64;

/// A user or group of `sysusers.d`.
struct Account<'a> {
    name: &'a str,
    id: Option<u64>,
    /// What is told of a user, and its home; none for a group.
    user: Option<(&'a str, &'a str)>,
}

impl Making<'_> {
    /// A user with a group of its own, unless there is one.
    pub(super) fn make_user(&mut self, name: &str, id: Option<u64>, about: &str, home: &str) -> Result<(), BaseError> {
        let id = self.make_group(name, id)?;
        let password = if self.tree.exists("etc/shadow") { "x" } else { "*" };
        self.append("etc/passwd", &format!("{name}:{password}:{id}:{id}:{about}:{home}:/usr/sbin/nologin\n"))?;
        let day = self.options.epoch / DAY;
        if self.tree.exists("etc/shadow") {
            self.append("etc/shadow", &format!("{name}:!:{day}::::::\n"))?;
        }
        Ok(())
    }

    /// Its number.
    pub(super) fn make_group(&mut self, name: &str, id: Option<u64>) -> Result<u64, BaseError> {
        if let Some(known) = self.group(name) {
            return Ok(known);
        }
        let used = self.used();
        let free = || (100..=HIGHEST_ID).rev().find(|id| !used.contains(id));
        let id = id.filter(|id| !used.contains(id)).or_else(free).ok_or_else(|| BaseError::Script {
            package: "base-passwd".to_owned(),
            script: "postinst",
            why: "no number is left for a system user".to_owned(),
        })?;
        let password = if self.tree.exists("etc/gshadow") { "x" } else { "*" };
        self.append("etc/group", &format!("{name}:{password}:{id}:\n"))?;
        if self.tree.exists("etc/gshadow") {
            self.append("etc/gshadow", &format!("{name}:!::\n"))?;
        }
        Ok(id)
    }

    /// The users and groups of a package's files in `usr/lib/sysusers.d`.
    pub(super) fn make_declared_users(&mut self, index: usize) -> Result<(), BaseError> {
        let Some(package) = self.packages.get(index) else { return Ok(()) };
        let script = package.member("postinst").unwrap_or_default();
        if memchr::memmem::find(script, b"systemd-sysusers").is_none() {
            return Ok(());
        }
        let is_list = |path: &&LayerPath| path.as_bytes().starts_with(b"usr/lib/sysusers.d/");
        let texts: Vec<String> = package
            .paths
            .iter()
            .filter(is_list)
            .filter_map(|path| self.tree.read(path.as_bytes()))
            .map(|content| String::from_utf8_lossy(content).into_owned())
            .collect();
        for account in texts.iter().flat_map(|text| text.lines()).filter_map(account).take(MOST_USERS) {
            match account.user {
                Some((about, home)) => self.make_user(account.name, account.id, about, home)?,
                None => drop(self.make_group(account.name, account.id)?),
            }
        }
        Ok(())
    }

    /// The number of a user; root's for one that is not there.
    pub(super) fn user(&self, name: &str) -> u64 {
        self.number("etc/passwd", name).unwrap_or(0)
    }

    /// The number of a group.
    pub(super) fn group(&self, name: &str) -> Option<u64> {
        self.number("etc/group", name)
    }

    fn number(&self, file: &str, name: &str) -> Option<u64> {
        let text = String::from_utf8_lossy(self.tree.read(file)?).into_owned();
        let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    }

    fn used(&self) -> BTreeSet<u64> {
        let mut used = BTreeSet::new();
        for file in ["etc/passwd", "etc/group"] {
            let text = self.tree.read(file).map(|content| String::from_utf8_lossy(content).into_owned());
            for line in text.unwrap_or_default().lines() {
                used.extend(line.split(':').nth(2).and_then(|number| number.parse::<u64>().ok()));
            }
        }
        used
    }

    /// Adds a line, unless there is one of that name. The file keeps its mode and owner.
    fn append(&mut self, path: &str, line: &str) -> Result<(), BaseError> {
        let mut text = self.tree.read(path).map(|content| content.to_vec()).unwrap_or_default();
        let name = line.split(':').next().unwrap_or_default();
        let known = String::from_utf8_lossy(&text).lines().any(|old| old.split(':').next() == Some(name));
        if known {
            return Ok(());
        }
        text.extend_from_slice(line.as_bytes());
        let old = LayerPath::new(path).ok().and_then(|path| self.tree.get(&path).cloned());
        self.file(path, 0o644, text, "base-passwd")?;
        if let (Some(old), Ok(path)) = (old, LayerPath::new(path)) {
            self.tree.change(&path, |node| (node.mode, node.uid, node.gid) = (old.mode, old.uid, old.gid));
        }
        Ok(())
    }
}

/// A line of `sysusers.d`: `u name id "about" home shell`, `g name id`. What is no plain name or text makes nothing.
fn account(line: &str) -> Option<Account<'_>> {
    let words = words(line);
    let (kind, name) = (words.first()?, *words.get(1)?);
    let is_name = name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'));
    let text = |at: usize| *words.get(at).filter(|word| **word != "-").unwrap_or(&"");
    let is_text = |text: &str| !text.contains(':') && !text.chars().any(char::is_control);
    if !is_name || !is_text(text(3)) || !is_text(text(4)) {
        return None;
    }
    let id = text(2).split(':').next().and_then(|id| id.parse().ok()).filter(|id| (1..=HIGHEST_ID).contains(id));
    let home = if text(4).starts_with('/') { text(4) } else { "/" };
    match *kind {
        "u" | "u!" => Some(Account { name, id, user: Some((text(3), home)) }),
        "g" => Some(Account { name, id, user: None }),
        _ => None,
    }
}

/// Words between blanks; those in quotes are one.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once([' ', '\t']).unwrap_or((rest, "")),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_systemd_reads_them() {
        let read = |line| account(line).map(|one| (one.name, one.id, one.user));
        assert_eq!(
            read("u messagebus - \"System Message Bus\" -"),
            Some(("messagebus", None, Some(("System Message Bus", "/"))))
        );
        assert_eq!(read("u a 107:65534 - /var/lib/a /bin/sh"), Some(("a", Some(107), Some(("", "/var/lib/a")))));
        assert_eq!(read("g _ssh -"), Some(("_ssh", None, None)));
        for nothing in ["", "# u a", "m a b", "u", "u root:x", "u ../a -", "g A -", "u a - \"x:0:0\"", "u a - \"x\n"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        assert_eq!(read("u a 0"), Some(("a", None, Some(("", "/")))), "nobody is made root");
    }
}
