//! What maintainer scripts of added packages do: a closed list. Nothing is run, and what is not on the list is refused by
//! the package's name.
//!
//! | part of a script | what becomes of it |
//! |---|---|
//! | debhelper's marked blocks | `ucf` copies, users of `sysusers.d`; of services, caches of desktops, questions, upgrades nothing |
//! | `update-alternatives --install` with literal words | the links ([`crate::debian::alternatives`]) |
//! | a package whose script was read ([`tables`]) | its users, folders, links and files; else nothing |
//! | commands that change nothing in a new image | nothing |
//! | anything else | a refusal, unless the settings accept the package unconfigured |
//!
//! Measured on Debian 12 and 13, on the packages that 95 usual requests bring: docs/packages.md.

mod accounts;
mod copies;
mod graphviz;
mod java;
mod tables;

use std::collections::BTreeSet;

use corten_oci::LayerPath;

use super::{BaseError, Making, Node, NodeKind};
use crate::debian::alternatives as literal;

pub(super) use tables::alternatives;
pub use tables::undone;
use tables::{Made, REFUSED, is_known, made};

impl Making<'_> {
    /// What the scripts of packages that are not in `old` would do, all but alternatives.
    pub(super) fn run_extra_effects(&mut self, old: &BTreeSet<String>) -> Result<(), BaseError> {
        let is_new =
            |index: &usize| self.packages.get(*index).is_some_and(|package| !old.contains(package.control.package()));
        let new: Vec<usize> = (0..self.packages.len()).filter(is_new).collect();
        new.iter().try_for_each(|index| self.check_scripts(*index))?;
        self.add_shadow()?;
        for index in new {
            let Some(package) = self.packages.get(index) else { continue };
            let name = package.control.package().to_owned();
            if let Some(made) = made(&name) {
                self.make(&name, &made)?;
            }
            self.make_declared_users(index)?;
            self.make_ucf_copies(index)?;
            self.make_of_one(&name)?;
        }
        self.make_ghostscript_fonts()
    }

    /// What is neither users nor folders, links and files that are always the same.
    fn make_of_one(&mut self, package: &str) -> Result<(), BaseError> {
        match package {
            "libpam-runtime" => self.make_pam(),
            "debianutils" => self.make_shells(),
            java::PACKAGE => self.make_java_certificates(),
            graphviz::PACKAGE => self.make_graphviz_configuration(),
            _ => self.make_nginx_links(package),
        }
    }

    fn check_scripts(&self, index: usize) -> Result<(), BaseError> {
        let Some(package) = self.packages.get(index) else { return Ok(()) };
        let name = package.control.package();
        if self.unconfigured.iter().any(|accepted| accepted == name) {
            return Ok(());
        }
        check_scripts(name, |script| package.member(script))
    }

    fn make(&mut self, package: &str, made: &Made) -> Result<(), BaseError> {
        if let Some((user, home)) = made.user {
            self.make_user(user, None, "", home)?;
        } else if let Some(group) = made.group {
            self.make_group(group, None)?;
        }
        for &(folder, mode, user, group) in made.folders {
            let (user, group) = (self.user(user), self.group(group).unwrap_or(0));
            let purl = self.purl(package);
            self.put(folder, Node::new(NodeKind::Directory, mode).of(purl.as_ref()))?;
            // One that a package has is changed.
            if let Some(path) = LayerPath::new(folder).ok().and_then(|path| self.tree.resolve(&path)) {
                self.tree.change(&path, |node| (node.mode, node.uid, node.gid) = (mode, user, group));
            }
        }
        for (from, to) in made.links.iter().filter(|(_, to)| self.tree.exists(to)).collect::<Vec<_>>() {
            self.link_of(from, to, package)?;
        }
        for (from, to) in made.copies {
            self.copy_new(from, to, package)?;
        }
        for (path, text) in made.files.iter().filter(|(path, _)| !self.tree.exists(path)).collect::<Vec<_>>() {
            self.file(path, 0o644, *text, package)?;
        }
        Ok(())
    }
}

/// Commands that change nothing in an image that is made new, or only what it does not need.
const COMMANDS: [&str; 74] = [
    ".",
    ":",
    "[",
    "[[",
    "break",
    "case",
    "cmp",
    "command",
    "continue",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "do",
    "done",
    "dpkg",
    "dpkg-divert",
    "dpkg-maintscript-helper",
    "dpkg-query",
    "dpkg-trigger",
    "echo",
    "elif",
    "else",
    "esac",
    "exit",
    "export",
    "false",
    "fc-cache",
    "fi",
    "for",
    "getent",
    "gio-querymodules",
    "glib-compile-schemas",
    "grep",
    "gtk-update-icon-cache",
    "if",
    "in",
    "invoke-rc.d",
    "ldconfig",
    "local",
    "printf",
    "py3clean",
    "py3compile",
    "readlink",
    "return",
    "rm",
    "rmdir",
    "service",
    "set",
    "shift",
    "systemctl",
    "test",
    "then",
    "true",
    "ucf",
    "ucfr",
    "umask",
    "unset",
    "update-alternatives",
    "update-desktop-database",
    "update-icon-caches",
    "update-menus",
    "update-mime",
    "update-mime-database",
    "update-rc.d",
    "which",
    "while",
    // What a script is called with, as patterns of `case`.
    "*",
    "abort-deconfigure",
    "abort-remove",
    "abort-upgrade",
    "configure",
    "install",
    "reconfigure",
    "triggered",
    "upgrade",
];

/// Is a package not one of which it is known beforehand that a script would have to run?
///
/// # Errors
/// As [`check_scripts`].
pub fn check_name(package: &str) -> Result<(), BaseError> {
    match REFUSED.iter().find(|(refused, _)| *refused == package) {
        Some((_, why)) => {
            Err(BaseError::Script { package: package.to_owned(), script: "postinst", why: (*why).to_owned() })
        }
        None => Ok(()),
    }
}

/// Is everything that an added package's maintainer scripts do known, and can it be done without running them?
///
/// # Errors
/// [`BaseError::Script`] names the package, the script and its first unknown statement.
pub fn check_scripts<'a>(package: &str, member: impl Fn(&'static str) -> Option<&'a [u8]>) -> Result<(), BaseError> {
    let refuse = |script, why: String| BaseError::Script { package: package.to_owned(), script, why };
    check_name(package)?;
    if is_known(package) {
        return Ok(());
    }
    for script in ["preinst", "postinst"] {
        let text = String::from_utf8_lossy(member(script).unwrap_or_default());
        if let Some(statement) = unknown(&text) {
            return Err(refuse(script, statement));
        }
    }
    Ok(())
}

/// The first statement of a script that is not known to change nothing.
fn unknown(script: &str) -> Option<String> {
    let own = without_blocks(script).replace("\\\n", " ");
    own.lines().flat_map(literal::statements).find(|words| !is_known_statement(words)).map(|words| {
        let text = words.join(" ");
        text.chars().filter(|letter| !letter.is_control()).take(120).collect()
    })
}

/// Without what debhelper writes, which stands between two comments of its own.
fn without_blocks(script: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in script.lines() {
        if line.starts_with("# Automatically added by dh_") {
            inside = true;
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
        if line.starts_with("# End automatically added section") {
            inside = false;
        }
    }
    // One that never ends hides nothing.
    if inside { script.to_owned() } else { kept }
}

fn is_known_statement(words: &[String]) -> bool {
    const BEFORE: [&str; 8] = ["if", "then", "else", "elif", "!", "while", "do", "until"];
    let mut rest = words.iter().map(String::as_str).skip_while(|word| BEFORE.contains(word));
    let Some(command) = rest.next() else { return true };
    if !redirects_nowhere(words) {
        return false;
    }
    let assigned = command.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let name = command.rsplit('/').next().unwrap_or(command);
    // What follows `[ $(readlink /etc/x)` where a line is cut at its parentheses.
    const OPERATORS: [&str; 8] = ["=", "==", "!=", "]", "-a", "-o", "-eq", "-ne"];
    let known = assigned
        || OPERATORS.contains(&command)
        || is_expansion(command)
        || command.bytes().all(|byte| byte.is_ascii_digit())
        || name.starts_with("db_")
        || COMMANDS.contains(&name);
    let is_literal = name != "ucf" || !words.iter().any(|word| word.contains('$'));
    known && is_literal && words.iter().all(|word| substitutes_harmlessly(word))
}

/// What is left of `${NAME##*-}` when a line is cut at its braces: no command has such a name.
fn is_expansion(word: &str) -> bool {
    let name = word.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    name > 0 && word.as_bytes().get(name).is_some_and(|byte| matches!(byte, b'#' | b'%' | b':'))
}

/// Is a command whose output is put in a word one that only looks?
fn substitutes_harmlessly(word: &str) -> bool {
    const LOOKING: [&str; 9] =
        ["basename", "command", "dirname", "dpkg", "dpkg-query", "getent", "id", "readlink", "which"];
    // The second of two backquotes ends a word.
    let open = if word.len() > 1 { word.strip_suffix('`').unwrap_or(word) } else { word };
    let mut begins = word.split("$(").skip(1).chain(open.split('`').skip(1).step_by(2));
    begins.all(|begin| LOOKING.contains(&begin.split_ascii_whitespace().next().unwrap_or_default()))
}

/// Is nothing written to a file?
fn redirects_nowhere(words: &[String]) -> bool {
    let mut words = words.iter().map(String::as_str).peekable();
    while let Some(word) = words.next() {
        let Some((before, target)) = word.split_once('>') else { continue };
        if !before.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // `>&2` is cut at its `&`.
        let target = if target.is_empty() { words.peek().copied().unwrap_or("/dev/null") } else { target };
        if target.trim_end_matches('`') != "/dev/null" {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_nothing_is_known() {
        for script in [
            "#!/bin/sh\nset -e\ncase \"$1\" in\n  configure|abort-upgrade)\n    ldconfig\n  ;;\n  *)\n    echo \"unknown\" >&2\n    exit 1\nesac\n",
            "# Automatically added by dh_installinit/13\nmkdir /etc/evil\n# End automatically added section\nexit 0\n",
            "if [ \"$1\" = upgrade ] && dpkg --compare-versions \"$2\" lt 1; then rm -f /etc/old; fi\n",
            "update-alternatives --install /usr/bin/a a /usr/bin/b \\\n 10\n",
            ". /usr/share/debconf/confmodule\ndb_get x/y || true\nA=1\n",
            "which fc-cache >/dev/null 2>&1 || true\n",
            "[ -x `which update-mime 2> /dev/null` ] || exit 0\n",
            "if [ -x \"$(which a)\" ] && [ $(readlink /etc/b) = c ]; then true; fi\n",
            "VERSION=${DPKG_MAINTSCRIPT_PACKAGE##*-}\n",
        ] {
            assert_eq!(unknown(script), None, "{script}");
        }
    }

    #[test]
    fn what_is_not_known_is_told() {
        for (script, told) in [
            ("dot -c\n", "dot -c"),
            ("echo evil > /etc/passwd\n", "echo evil > /etc/passwd"),
            ("echo evil >/etc/passwd\n", "echo evil >/etc/passwd"),
            ("X=$(cp a b)\n", "cp a b"),
            ("echo `cp a b`\n", "echo `cp a b`"),
            ("true; cp a b\n", "cp a b"),
            ("true && adduser x\n", "adduser x"),
            ("# Automatically added by dh_x\ncurl example.org\n", "curl example.org"),
            ("if ! mkdir x; then true; fi\n", "if ! mkdir x"),
        ] {
            assert_eq!(unknown(script).as_deref(), Some(told), "{script}");
        }
    }
}
