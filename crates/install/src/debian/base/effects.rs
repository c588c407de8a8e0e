//! What maintainer scripts of added packages do: a closed list. Nothing is run, and what is not on the list is refused by
//! the package's name.
//!
//! | part of a script | what becomes of it |
//! |---|---|
//! | debhelper's marked blocks | nothing: services, caches of desktops, questions, upgrades |
//! | `update-alternatives --install` with literal words | the links ([`crate::debian::alternatives`]) |
//! | a package of the tables below | its users, folders and links; else nothing, for a reason that was looked at |
//! | commands that change nothing in a new image | nothing |
//! | anything else | a refusal, unless the settings accept the package unconfigured |
//!
//! Measured on Debian 12 and 13, on the packages that 95 usual requests bring.

use std::collections::BTreeSet;

use super::{BaseError, Making, Node, NodeKind};
use crate::debian::alternatives::{self, Follower, Install};

/// The first system user that is made; further ones count down (Debian Policy, section 9.2.2).
const HIGHEST_ID: u64 = 999;
/// `adm`.
const ADM: u64 = 4;

/// What a package needs that its script would make.
#[derive(Default)]
struct Made {
    /// Name and home of a user with a group of its own.
    user: Option<(&'static str, &'static str)>,
    /// A group without user.
    group: Option<&'static str>,
    /// Folders, with their mode; of the user, where there is one.
    folders: &'static [(&'static str, u32)],
    /// Links: where, where to.
    links: &'static [(&'static str, &'static str)],
    /// Files copied: from, to (what `ucf` does).
    copies: &'static [(&'static str, &'static str)],
}

/// Packages whose scripts make something that matters.
fn made(package: &str) -> Option<Made> {
    let made = Made::default();
    Some(match package {
        "redis-tools" => Made {
            user: Some(("redis", "/var/lib/redis")),
            folders: &[("var/log/redis", 0o750), ("var/lib/redis", 0o750), ("etc/redis", 0o770)],
            ..made
        },
        "openssh-client" => Made { group: Some("_ssh"), ..made },
        "messagebus" | "dbus-system-bus-common" => Made { user: Some(("messagebus", "/nonexistent")), ..made },
        "fontconfig" => Made { folders: &[("var/cache/fontconfig", 0o755)], ..made },
        "fontconfig-config" => Made {
            links: &[
                ("etc/fonts/conf.d/10-hinting-slight.conf", "/usr/share/fontconfig/conf.avail/10-hinting-slight.conf"),
                ("etc/fonts/conf.d/70-no-bitmaps.conf", "/usr/share/fontconfig/conf.avail/70-no-bitmaps.conf"),
            ],
            ..made
        },
        "libibverbs1" | "rdma-core" => Made { group: Some("rdma"), ..made },
        "libpaper1" => Made { copies: &[("usr/share/libpaper/papersize", "etc/papersize")], ..made },
        "mariadb-common" => Made { links: &[("etc/mysql/my.cnf", "/etc/mysql/mariadb.cnf")], ..made },
        "cron" => Made { group: Some("crontab"), ..made },
        "nginx-common" | "nginx" => Made {
            folders: &[("var/log/nginx", 0o755), ("var/lib/nginx", 0o755)],
            links: &[("etc/nginx/sites-enabled/default", "/etc/nginx/sites-available/default")],
            ..made
        },
        _ => return None,
    })
}

/// Packages whose scripts make nothing that an image misses: caches that are looked for and not needed, questions,
/// services, and what an older version has left.
const HARMLESS: [&str; 59] = [
    "adduser",
    "apparmor",
    "bash",
    "ca-certificates",
    "coreutils",
    "cpp",
    "dash",
    "debconf",
    "debianutils",
    "dpkg",
    "fonts-urw-base35",
    "gcc",
    "ghostscript",
    "git",
    "gnupg-agent",
    "hicolor-icon-theme",
    "icu-devtools",
    "init-system-helpers",
    "install-info",
    "iproute2",
    "iputils-ping",
    "libaudit1",
    "libc-bin",
    "libc6",
    "libc6-dev",
    "libgcrypt20",
    "libgdk-pixbuf-2.0-0",
    "libglib2.0-0",
    "libglib2.0-0t64",
    "libgs-common",
    "libgssapi-krb5-2",
    "libpam-modules",
    "libpam-modules-bin",
    "libpam-runtime",
    "libpam0g",
    "libreadline8t64",
    "libsensors5",
    "libtirpc3t64",
    "libxml2",
    "login",
    "mime-support",
    "mysql-common",
    "netbase",
    "openssl",
    "passwd",
    "perl",
    "perl-base",
    "procps",
    "python3",
    "python3-minimal",
    "sgml-base",
    "shared-mime-info",
    "tar",
    "tzdata",
    "ucf",
    "usrmerge",
    "util-linux",
    "x11-common",
    "xml-core",
];

/// What must be made by running a program, with what to do instead.
const REFUSED: [(&str, &str); 5] = [
    ("sudo", "it is of use with set-user-id alone, which no image has"),
    ("locales", "localedef would have to run: C.UTF-8 is in every base, and locales-all has every other"),
    ("ca-certificates-java", "keytool would have to run"),
    ("graphviz", "`dot -c` would have to run, and no output format works without"),
    ("libgvc6", "`dot -c` would have to run, and no output format works without"),
];

/// Interpreted packages come as modules: python3.11, libpython3.11-minimal, perl-modules-5.36, gcc-12.
const HARMLESS_STARTS: [&str; 4] = ["python3.", "libpython3.", "perl-modules-", "postgresql-client-"];

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

impl Making<'_> {
    /// What the scripts of packages that are not in `old` would do, all but alternatives.
    pub(super) fn run_extra_effects(&mut self, old: &BTreeSet<String>) -> Result<(), BaseError> {
        let new: Vec<usize> = self
            .packages
            .iter()
            .enumerate()
            .filter(|(_, package)| !old.contains(package.control.package()))
            .map(|(index, _)| index)
            .collect();
        for &index in &new {
            self.check_scripts(index)?;
        }
        let names: Vec<String> = new
            .iter()
            .filter_map(|&index| self.packages.get(index))
            .map(|package| package.control.package().to_owned())
            .collect();
        for name in names {
            if let Some(made) = made(&name) {
                self.make(&name, &made)?;
            }
        }
        Ok(())
    }

    fn check_scripts(&self, index: usize) -> Result<(), BaseError> {
        let Some(package) = self.packages.get(index) else { return Ok(()) };
        let name = package.control.package();
        if self.unconfigured.iter().any(|accepted| accepted == name) {
            return Ok(());
        }
        let refuse = |script, why: String| BaseError::Script { package: name.to_owned(), script, why };
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            return Err(refuse("postinst", (*why).to_owned()));
        }
        if is_known(name) {
            return Ok(());
        }
        for script in ["preinst", "postinst"] {
            let text = String::from_utf8_lossy(package.member(script).unwrap_or_default());
            if let Some(statement) = unknown(&text) {
                return Err(refuse(script, statement));
            }
        }
        Ok(())
    }

    fn make(&mut self, package: &str, made: &Made) -> Result<(), BaseError> {
        let mut owner = 0;
        if let Some((user, home)) = made.user {
            owner = self.free_id()?;
            self.append("etc/passwd", &format!("{user}:*:{owner}:{owner}::{home}:/usr/sbin/nologin\n"))?;
            self.append("etc/group", &format!("{user}:*:{owner}:\n"))?;
        } else if let Some(group) = made.group {
            let id = self.free_id()?;
            self.append("etc/group", &format!("{group}:*:{id}:\n"))?;
        }
        for (folder, mode) in made.folders {
            let purl = self.purl(package);
            let mut node = Node::new(NodeKind::Directory, *mode).of(purl.as_ref());
            (node.uid, node.gid) = (owner, if folder.starts_with("var/log/") && owner != 0 { ADM } else { owner });
            self.put(folder, node)?;
        }
        for (from, to) in made.links.iter().filter(|(_, to)| self.tree.exists(to)).collect::<Vec<_>>() {
            self.link_of(from, to, package)?;
        }
        for (from, to) in made.copies {
            if let Some(content) = self.tree.read(from).cloned() {
                self.file(to, 0o644, content.to_vec(), package)?;
            }
        }
        Ok(())
    }

    /// The highest number that no user and no group has.
    fn free_id(&self) -> Result<u64, BaseError> {
        let mut used = BTreeSet::new();
        for file in ["etc/passwd", "etc/group"] {
            let text = self.tree.read(file).map(|content| String::from_utf8_lossy(content).into_owned());
            for line in text.unwrap_or_default().lines() {
                used.extend(line.split(':').nth(2).and_then(|number| number.parse::<u64>().ok()));
            }
        }
        let free = (100..=HIGHEST_ID).rev().find(|id| !used.contains(id));
        free.ok_or_else(|| BaseError::Script {
            package: "base-passwd".to_owned(),
            script: "postinst",
            why: "no number is left for a system user".to_owned(),
        })
    }

    fn append(&mut self, path: &str, line: &str) -> Result<(), BaseError> {
        let mut text = self.tree.read(path).map(|content| content.to_vec()).unwrap_or_default();
        let name = line.split(':').next().unwrap_or_default();
        let known = String::from_utf8_lossy(&text).lines().any(|old| old.split(':').next() == Some(name));
        if known {
            return Ok(());
        }
        text.extend_from_slice(line.as_bytes());
        self.file(path, 0o644, text, "base-passwd")
    }
}

fn is_known(package: &str) -> bool {
    HARMLESS.contains(&package)
        || HARMLESS_STARTS.iter().any(|start| package.starts_with(start))
        || made(package).is_some()
        || alternatives(package).is_some()
}

/// The alternatives of packages whose scripts make them in loops.
pub(super) fn alternatives(package: &str) -> Option<Vec<Install>> {
    const IMAGEMAGICK: [&str; 11] = [
        "compare",
        "animate",
        "convert",
        "composite",
        "conjure",
        "import",
        "identify",
        "stream",
        "display",
        "montage",
        "mogrify",
    ];
    match package {
        // Theirs are made only where another package has moved a program away; of tools that decompress.
        "procps" | "xz-utils" => Some(Vec::new()),
        "imagemagick-6.q16" => Some(IMAGEMAGICK.iter().flat_map(|program| imagemagick(program, "im6")).collect()),
        "imagemagick-7.q16" => Some(IMAGEMAGICK.iter().flat_map(|program| imagemagick(program, "im7")).collect()),
        _ if package.starts_with("openjdk-") && package.ends_with("-jre-headless") => {
            let version = package.strip_prefix("openjdk-")?.strip_suffix("-jre-headless")?;
            Some(["java", "jpackage", "keytool", "rmiregistry"].map(|program| java(program, version)).into())
        }
        _ => None,
    }
}

fn imagemagick(program: &str, version: &str) -> [Install; 2] {
    let path = format!("/usr/bin/{program}-{version}.q16");
    let manual = |name: &str| Follower {
        link: format!("/usr/share/man/man1/{name}.1.gz"),
        name: format!("{name}.1.gz"),
        path: format!("/usr/share/man/man1/{program}-{version}.q16.1.gz"),
    };
    let install = |name: String| Install {
        link: format!("/usr/bin/{name}"),
        followers: vec![manual(&name)],
        path: path.clone(),
        priority: 10_000,
        name,
    };
    [install(program.to_owned()), install(format!("{program}-{version}"))]
}

/// The folder's name ends with the architecture: the first that is there is taken ([`alternatives::groups`]).
fn java(program: &str, version: &str) -> Install {
    Install {
        link: format!("/usr/bin/{program}"),
        name: program.to_owned(),
        path: format!("/usr/lib/jvm/java-{version}-openjdk-amd64/bin/{program}"),
        priority: 1111,
        followers: Vec::new(),
    }
}

/// The first statement of a script that is not known to change nothing.
fn unknown(script: &str) -> Option<String> {
    let own = without_blocks(script).replace("\\\n", " ");
    own.lines().flat_map(alternatives::statements).find(|words| !is_known_statement(words)).map(|words| {
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
    known && words.iter().all(|word| substitutes_harmlessly(word))
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

    #[test]
    fn lists_are_sorted() {
        assert!(HARMLESS.is_sorted());
    }
}
