//! Files that scripts copy or join, and links to them: `ucf`, modules of nginx, fonts of ghostscript.

use corten_oci::LayerPath;

use crate::debian::alternatives;
use crate::debian::base::{BaseError, Making};

impl Making<'_> {
    /// Copies a file, where it is there and nothing is where it shall go.
    pub(super) fn copy_new(&mut self, from: &str, to: &str, package: &str) -> Result<(), BaseError> {
        match self.tree.read(from).cloned() {
            Some(content) if !self.tree.exists(to) => self.file(to, 0o644, content.to_vec(), package),
            _ => Ok(()),
        }
    }

    /// `ucf [--three-way] FROM TO`, with literal words: a file of `/etc` that the administrator may change.
    pub(super) fn make_ucf_copies(&mut self, index: usize) -> Result<(), BaseError> {
        let Some(package) = self.packages.get(index) else { return Ok(()) };
        let name = package.control.package().to_owned();
        let script = String::from_utf8_lossy(package.member("postinst").unwrap_or_default()).replace("\\\n", " ");
        for words in script.lines().flat_map(alternatives::statements) {
            let [command, rest @ ..] = words.as_slice() else { continue };
            let files: Vec<&String> = rest.iter().filter(|word| !word.starts_with("--")).collect();
            if let ("ucf", [from, to]) = (command.as_str(), files.as_slice())
                && from.starts_with('/')
                && to.starts_with("/etc/")
            {
                self.copy_new(from, to, &name)?;
            }
        }
        Ok(())
    }

    /// Modules of nginx are switched on by links: `for confpair in mod-a.conf:50-mod-a.conf ; do`.
    pub(super) fn make_nginx_links(&mut self, package: &str) -> Result<(), BaseError> {
        if !package.starts_with("libnginx-mod-") {
            return Ok(());
        }
        let script = self.package(package).and_then(|package| package.member("postinst")).unwrap_or_default();
        let script = String::from_utf8_lossy(script).into_owned();
        let pairs = script.lines().filter_map(|line| line.trim().strip_prefix("for confpair in ")?.split(';').next());
        for (from, to) in pairs.flat_map(str::split_ascii_whitespace).filter_map(|pair| pair.split_once(':')) {
            let target = format!("/usr/share/nginx/modules-available/{from}");
            if !from.contains('/') && !to.contains('/') && self.tree.exists(&target) {
                self.link_of(&format!("etc/nginx/modules-enabled/{to}"), &target, package)?;
            }
        }
        Ok(())
    }

    /// What `update-gsfontmap` joins: every `.conf` of a folder, by name.
    pub(super) fn make_ghostscript_fonts(&mut self) -> Result<(), BaseError> {
        const OWNER: &str = "libgs-common";
        if !self.tree.exists("usr/sbin/update-gsfontmap") {
            return Ok(());
        }
        for (folder, name) in [("etc/ghostscript/cidfmap.d", "cidfmap"), ("etc/ghostscript/fontmap.d", "Fontmap")] {
            let folder = LayerPath::new(folder).unwrap_or_default();
            let parts = self.tree.children(&folder).filter(|(path, _)| path.name().ends_with(b".conf"));
            let parts = parts.filter_map(|(path, _)| self.tree.read(path.as_bytes()));
            let joined: Vec<u8> = parts.flat_map(|part| part.iter().copied()).collect();
            self.file(&format!("var/lib/ghostscript/fonts/{name}"), 0o644, joined, OWNER)?;
        }
        Ok(())
    }
}
