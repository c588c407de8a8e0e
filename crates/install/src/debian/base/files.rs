//! The files that maintainer scripts of Debian's base packages make: fixed texts, copies, directories, links.
//!
//! Each was compared with a real installation, on bookworm and trixie. What a script makes is made only if its package
//! is in the base. Left out on purpose: lock and backup files, debconf's cache, systemd's links, logs, a machine id,
//! and everything with a date of the clock in it.

use corten_oci::LayerPath;

use super::{BaseError, Making, Node, NodeKind};
use crate::debian::certificates;

/// Group `mail`.
const MAIL: u64 = 8;
/// Group `utmp`.
const UTMP: u64 = 43;
/// Group `shadow`.
const SHADOW: u64 = 42;
/// User `_apt`.
const APT: u64 = 42;
/// Seconds of a day, in which shadow(5) counts.
const DAY: u64 = 86_400;

const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n\n";
const NETWORKS: &str = "default\t\t0.0.0.0\nloopback\t127.0.0.0\nlink-local\t169.254.0.0\n\n";
const DEBIAN_CONFIG: &str =
    "[DEFAULT]\n# how to byte-compile (comma separated: standard, optimize)\nbyte-compile = standard\n";

impl Making<'_> {
    /// Does what the scripts of the packages would.
    pub(super) fn run_effects(&mut self) -> Result<(), BaseError> {
        self.make_users()?;
        self.make_base_folders()?;
        self.make_alternatives()?;
        self.make_certificates()?;
        self.make_network_files()?;
        self.make_time_zone()?;
        self.make_python()?;
        match self.is_slim() {
            true => self.make_slim_files(),
            false => self.prune_leftovers(),
        }
    }

    /// passwd and group as base-passwd has them; shadow files where its package makes them.
    fn make_users(&mut self) -> Result<(), BaseError> {
        for name in ["passwd", "group"] {
            let Some(master) = self.tree.read(format!("usr/share/base-passwd/{name}.master")).cloned() else {
                continue;
            };
            let mut text = String::from_utf8_lossy(&master).into_owned();
            if self.has_shadow() && name == "passwd" {
                text = text.lines().map(|line| line.replacen(":*:", ":x:", 1) + "\n").collect();
            } else if !self.is_slim() && name == "passwd" {
                text = text.lines().map(|line| without_shell(line) + "\n").collect();
            }
            if self.has_shadow() {
                let day = self.options.epoch / DAY;
                let (shadow, content) = match name {
                    "passwd" => ("etc/shadow", shadow_lines(&text, &format!("{day}:0:99999:7:::"))),
                    _ => ("etc/gshadow", group_shadow_lines(&text)),
                };
                if name == "group" {
                    text = text.lines().map(|line| line.replacen(":*:", ":x:", 1) + "\n").collect();
                }
                self.put(shadow, Node::new(NodeKind::File(content.into_bytes().into()), 0o640).group(SHADOW))?;
            }
            self.file(&format!("etc/{name}"), 0o644, text, "base-passwd")?;
        }
        Ok(())
    }

    /// What `shadowconfig on` does where a package beside a base brings it.
    pub(super) fn add_shadow(&mut self) -> Result<(), BaseError> {
        if !self.has_shadow() || self.tree.exists("etc/shadow") {
            return Ok(());
        }
        let day = self.options.epoch / DAY;
        for name in ["passwd", "group"] {
            let Some(text) = self.tree.read(format!("etc/{name}")) else { continue };
            let text = String::from_utf8_lossy(text).into_owned();
            let (shadow, content) = match name {
                "passwd" => ("etc/shadow", shadow_lines(&text, &format!("{day}:0:99999:7:::"))),
                _ => ("etc/gshadow", group_shadow_lines(&text)),
            };
            self.put(shadow, Node::new(NodeKind::File(content.into_bytes().into()), 0o640).group(SHADOW))?;
            let text: String = text.lines().map(|line| line.replacen(":*:", ":x:", 1) + "\n").collect();
            self.file(&format!("etc/{name}"), 0o644, text, "base-passwd")?;
        }
        Ok(())
    }

    /// Debian 12's passwd turns shadow files on; Debian 13 has none.
    fn has_shadow(&self) -> bool {
        let script = self.package("passwd").and_then(|package| package.member("postinst"));
        self.is_slim() && script.is_some_and(|script| memchr::memmem::find(script, b"shadowconfig on").is_some())
    }

    fn make_base_folders(&mut self) -> Result<(), BaseError> {
        if !self.has("base-files") {
            return Ok(());
        }
        for folder in ["mnt", "srv", "opt", "etc/opt", "var/opt", "media"] {
            self.directory(folder, 0o755)?;
        }
        let purl = self.purl("base-files");
        self.put("var/mail", Node::new(NodeKind::Directory, 0o775).group(MAIL).of(purl.as_ref()))?;
        self.link_of("var/spool/mail", "../mail", "base-files")?;
        self.link_of("etc/dpkg/origins/default", "debian", "base-files")?;
        for folder in ["share", "share/man", "bin", "games", "lib", "include", "sbin", "src", "etc"] {
            self.directory(&format!("usr/local/{folder}"), 0o755)?;
        }
        if self.script_has("base-files", "postinst", b"/usr/local/libexec") {
            self.directory("usr/local/libexec", 0o755)?;
        }
        self.link_of("usr/local/man", "share/man", "base-files")
    }

    pub(super) fn script_has(&self, package: &str, script: &str, words: &[u8]) -> bool {
        let script = self.package(package).and_then(|package| package.member(script));
        script.is_some_and(|script| memchr::memmem::find(script, words).is_some())
    }

    fn make_certificates(&mut self) -> Result<(), BaseError> {
        const OWNER: &str = "ca-certificates";
        let all = certificates::certificates(&self.tree);
        if !self.has(OWNER) || all.is_empty() {
            return Ok(());
        }
        self.file("etc/ssl/certs/ca-certificates.crt", 0o644, certificates::bundle(&all), OWNER)?;
        if !self.tree.exists("usr/lib/ssl/cert.pem") {
            // OpenSSL's default paths lead here; the package openssl, which has the links, may be absent.
            self.link_of("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt", OWNER)?;
            self.link_of("usr/lib/ssl/certs", "/etc/ssl/certs", OWNER)?;
        }
        if !self.is_slim() {
            return Ok(());
        }
        self.directory("usr/local/share/ca-certificates", 0o755)?;
        self.file("etc/ca-certificates.conf", 0o644, certificates::configuration(&all), OWNER)?;
        let links = certificates::links(&all).map_err(|name| BaseError::Script {
            package: OWNER.to_owned(),
            script: "postinst",
            why: format!("certificate {name} cannot be read"),
        })?;
        links.iter().try_for_each(|link| self.link_of(&format!("etc/ssl/certs/{}", link.name), &link.target, OWNER))
    }

    fn make_network_files(&mut self) -> Result<(), BaseError> {
        if self.has("netbase") {
            self.file("etc/hosts", 0o644, HOSTS, "netbase")?;
            self.file("etc/networks", 0o644, NETWORKS, "netbase")?;
        }
        self.copy("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf", "libc-bin")
    }

    fn make_time_zone(&mut self) -> Result<(), BaseError> {
        if !self.tree.exists("usr/share/zoneinfo/Etc/UTC") {
            return Ok(());
        }
        self.link_of("etc/localtime", "/usr/share/zoneinfo/Etc/UTC", "tzdata")?;
        // Debian 13 keeps this file if there is one, and makes none.
        match self.script_has("tzdata", "postinst", b"test -f \"$DPKG_ROOT/etc/timezone\"") {
            true => Ok(()),
            false => self.file("etc/timezone", 0o644, "Etc/UTC\n", "tzdata"),
        }
    }

    /// `python3` and `python` where no package has them; the folders of local packages.
    fn make_python(&mut self) -> Result<(), BaseError> {
        let Some((major, minor)) = self.options.python else { return Ok(()) };
        let name = format!("python{major}.{minor}");
        let owner = format!("{name}-minimal");
        if !self.tree.exists(format!("usr/bin/{name}")) {
            return Ok(());
        }
        if self.options.dockerfiles.is_none() {
            self.directory(&format!("usr/local/lib/{name}/dist-packages"), 0o755)?;
        }
        if self.is_slim() {
            self.file(&format!("var/lib/python/{name}_installed"), 0o644, "", &owner)?;
            if self.has("python3") {
                self.file("etc/python3/debian_config", 0o644, DEBIAN_CONFIG, "python3")?;
            }
            return Ok(());
        }
        for link in ["python3", "python"] {
            if !self.tree.exists(format!("usr/bin/{link}")) {
                self.link_of(&format!("usr/bin/{link}"), &name, &owner)?;
            }
        }
        Ok(())
    }

    fn make_slim_files(&mut self) -> Result<(), BaseError> {
        let copies = [
            ("profile", "etc/profile"),
            ("motd", "etc/motd"),
            ("dot.profile", "root/.profile"),
            ("dot.bashrc", "root/.bashrc"),
        ];
        for (from, to) in copies {
            self.copy(&format!("usr/share/base-files/{from}"), to, "base-files")?;
        }
        if self.tree.exists("usr/share/info") {
            self.copy("usr/share/base-files/info.dir", "usr/share/info/dir", "base-files")?;
        }
        self.copy("usr/share/readline/inputrc", "etc/inputrc", "readline-common")?;
        self.make_logs()?;
        let empty = [("etc/environment", 0o644, "libpam-modules"), ("etc/security/opasswd", 0o600, "libpam-modules")];
        for (path, mode, package) in empty {
            if self.has(package) {
                self.file(path, mode, "", package)?;
            }
        }
        for path in ["etc/subuid", "etc/subgid"] {
            if self.has("base-passwd") {
                self.file(path, 0o644, "", "base-passwd")?;
            }
        }
        self.make_pam()?;
        self.make_shells()?;
        self.make_package_sources()
    }

    fn make_logs(&mut self) -> Result<(), BaseError> {
        let purl = self.purl("base-files");
        for (name, mode) in [("wtmp", 0o664), ("btmp", 0o660), ("lastlog", 0o664)] {
            if self.script_has("base-files", "postinst", format!("/var/log/{name}").as_bytes()) {
                let node = Node::new(NodeKind::File([].into()), mode).group(UTMP).of(purl.as_ref());
                self.put(format!("var/log/{name}"), node)?;
            }
        }
        match self.script_has("login", "postinst", b"/var/log/faillog") {
            true => self.file("var/log/faillog", 0o644, "", "login"),
            false => Ok(()),
        }
    }

    /// Where apt gets packages from, and what dpkg leaves out of them.
    fn make_package_sources(&mut self) -> Result<(), BaseError> {
        if self.has("apt") {
            let suite = self.options.suite;
            let main = "http://deb.debian.org/debian";
            let text = format!(
                "deb {main} {suite} main\ndeb {main} {suite}-updates main\ndeb {main}-security {suite}-security main\n"
            );
            self.file("etc/apt/sources.list", 0o644, text, "apt")?;
            for folder in ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial"] {
                if let Ok(path) = LayerPath::new(folder) {
                    self.tree.change(&path, |node| (node.mode, node.uid) = (0o700, APT));
                }
            }
        }
        match self.has("dpkg") {
            true => self.file("etc/dpkg/dpkg.cfg.d/corten", 0o644, super::prune::dpkg_configuration(), "dpkg"),
            false => Ok(()),
        }
    }

    /// Takes away what only the effects needed.
    fn prune_leftovers(&mut self) -> Result<(), BaseError> {
        for folder in ["usr/share/base-passwd", "usr/share/ca-certificates"] {
            if let Ok(path) = LayerPath::new(folder) {
                self.tree.remove(&path);
            }
        }
        for folder in ["usr/share", "usr/lib/systemd", "usr/lib/tmpfiles.d", "etc/update-motd.d"] {
            if let Ok(path) = LayerPath::new(folder) {
                self.tree.remove_empty(&path);
            }
        }
        Ok(())
    }

    /// Copies a file of the tree, if it is there, with its mode.
    fn copy(&mut self, from: &str, to: &str, package: &str) -> Result<(), BaseError> {
        match self.tree.read(from).cloned() {
            Some(content) => self.file(to, 0o644, content.to_vec(), package),
            None => Ok(()),
        }
    }
}

/// A passwd line whose shell, if it is one, is not in the base.
fn without_shell(line: &str) -> String {
    match line.rsplit_once(':') {
        Some((rest, "/bin/bash" | "/bin/sh")) => format!("{rest}:/usr/sbin/nologin"),
        _ => line.to_owned(),
    }
}

fn shadow_lines(passwd: &str, rest: &str) -> String {
    let names = passwd.lines().filter_map(|line| line.split(':').next());
    names.map(|name| format!("{name}:*:{rest}\n")).collect()
}

fn group_shadow_lines(group: &str) -> String {
    let fields = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.map(|fields| format!("{}:*::{}\n", fields[0], fields.get(3).unwrap_or(&""))).collect()
}
