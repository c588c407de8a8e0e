//! The programs that maintainer scripts call, in their place: update-alternatives, pam-auth-update, update-shells.

use std::collections::BTreeSet;

use corten_oci::LayerPath;

use super::{BaseError, Making, effects};
use crate::debian::alternatives;

/// The lines of profile `unix`, which is all that a base has: placeholder's type, the primary block, the additional.
const PAM_UNIX: [(&str, &str, &str); 4] = [
    ("auth", "auth\t[success=1 default=ignore]\tpam_unix.so nullok", ""),
    ("account", "account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so ", ""),
    ("password", "password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt", ""),
    ("session", "session\t[default=1]\t\t\tpam_permit.so", "session\trequired\tpam_unix.so "),
];

impl Making<'_> {
    pub(super) fn make_alternatives(&mut self) -> Result<(), BaseError> {
        let mut installs = Vec::new();
        for package in &self.packages {
            let name = package.control.package();
            if let Some(known) = effects::alternatives(name) {
                installs.extend(known);
                continue;
            }
            let script = String::from_utf8_lossy(package.member("postinst").unwrap_or_default());
            let found = alternatives::parse_script(&script);
            if found.is_err() && self.unconfigured.contains(&name.to_owned()) {
                continue;
            }
            installs.extend(found.map_err(|why| BaseError::Script {
                package: name.to_owned(),
                script: "postinst",
                why,
            })?);
        }
        let groups = alternatives::groups(installs, |path| self.tree.exists(path));
        for group in groups {
            for (from, to) in group.links(|path| self.tree.exists(path)) {
                self.link_of(&from, &to, "dpkg")?;
            }
            if self.is_slim() {
                self.file(&format!("var/lib/dpkg/alternatives/{}", group.name), 0o644, group.state(), "dpkg")?;
            }
        }
        Ok(())
    }

    /// `/etc/pam.d/common-*` from libpam-runtime's templates.
    pub(super) fn make_pam(&mut self) -> Result<(), BaseError> {
        for name in ["account", "auth", "password", "session", "session-noninteractive"] {
            let Some(template) = self.tree.read(format!("usr/share/pam/common-{name}")).cloned() else { continue };
            let template = String::from_utf8_lossy(&template).into_owned();
            let lines = template.lines().map(|line| match line.strip_prefix('$') {
                Some(placeholder) => pam_lines(placeholder),
                None => format!("{line}\n"),
            });
            let text: String = lines.collect();
            self.file(&format!("etc/pam.d/common-{name}"), 0o644, text, "libpam-runtime")?;
        }
        Ok(())
    }

    /// `/etc/shells`: the template's lines and those of `shells.d`, each also as its folder is really called.
    pub(super) fn make_shells(&mut self) -> Result<(), BaseError> {
        let Some(template) = self.tree.read("usr/share/debianutils/shells").cloned() else { return Ok(()) };
        let template = String::from_utf8_lossy(&template).into_owned();
        let mut shells: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut lines: Vec<String> = template.lines().map(str::to_owned).collect();
        let folder = LayerPath::new("usr/share/debianutils/shells.d").unwrap_or_default();
        for (path, _) in self.tree.children(&folder) {
            let content = self.tree.content(path).cloned().unwrap_or_default();
            lines.extend(String::from_utf8_lossy(&content).lines().map(str::to_owned));
        }
        for line in lines.iter().filter(|line| line.starts_with('/')) {
            for shell in [Some(line.clone()), self.real_folder(line)].into_iter().flatten() {
                if seen.insert(shell.clone()) {
                    shells.push(shell + "\n");
                }
            }
        }
        let comments = template.lines().filter(|line| !line.starts_with('/'));
        let comments: String = comments.map(|line| format!("{line}\n")).collect();
        self.file("etc/shells", 0o644, comments + &shells.concat(), "debianutils")?;
        self.file("var/lib/shells.state", 0o644, shells.concat(), "debianutils")
    }

    fn real_folder(&self, shell: &str) -> Option<String> {
        let path = LayerPath::new(shell).ok()?;
        let folder = self.tree.resolve(&path.parent()?)?;
        Some(format!("/{folder}/{}", String::from_utf8_lossy(path.name())))
    }
}

/// What stands for `session_nonint_primary` and the like, with line ends.
fn pam_lines(placeholder: &str) -> String {
    let kind = placeholder.split('_').next().unwrap_or_default();
    let Some((_, primary, additional)) = PAM_UNIX.iter().find(|(name, ..)| *name == kind) else {
        return String::new();
    };
    let line = if placeholder.ends_with("_primary") { primary } else { additional };
    if line.is_empty() { String::new() } else { format!("{line}\n") }
}
