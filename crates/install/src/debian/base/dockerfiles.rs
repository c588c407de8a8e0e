//! What a slim base has when Dockerfiles build on it: they expect of `python:3.11-slim` and `debian:bookworm-slim` what
//! Docker's images of these names do.
//!
//! | what | why |
//! |---|---|
//! | apt keeps no package and no index of its own (`docker-clean`) | `apt-get install` in a RUN leaves in the layer what it installs; Dockerfiles remove the file by this name where a cache mount keeps packages |
//! | no translations of package descriptions | the same |
//! | services do not start when they are installed (`policy-rc.d`) | nothing would stop them |
//! | `/usr/local/bin/python`, `python3`, `python3.11` | commands and first lines of scripts name them |
//! | no `EXTERNALLY-MANAGED` | `pip install` needs no flag; Debian's Python puts packages below `/usr/local`, not among Debian's own |
//! | `site-packages` in `/usr/local`, Debian's `dist-packages` there a link to it; pip's prefixes without Debian's `local/` (`usr_local.py`) | stages copy `/usr/local/lib/python3.11/site-packages`, or `/install` of `pip install --prefix=/install`, to `/usr/local` of another |
//! | Python's headers, without the rest of their package | a compiler is enough to build an extension |
//!
//! The names of apt's files are Docker's (moby, `contrib/mkimage/debootstrap`), what is in them says it in apt's own words.

use corten_oci::{Entry, LayerPath};

use super::{BaseError, ForDockerfiles, Making, prune};
use crate::debian::Variant;

const CLEAN: &str = "\
DPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true\"; };
APT::Update::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true\"; };
Dir::Cache::pkgcache \"\";
Dir::Cache::srcpkgcache \"\";
";
const NO_LANGUAGES: &str = "Acquire::Languages \"none\";\n";
const GZIP_INDEXES: &str = "Acquire::GzipIndexes \"true\";\n";
/// invoke-rc.d(8): 101, no action is allowed.
const NO_SERVICES: &str = "#!/bin/sh\nexit 101\n";

/// Read by Debian's Python when it starts, but not in an environment (`python -m venv`).
const MODULES: &str = "usr/lib/python3/dist-packages";
const USR_LOCAL: &str = include_str!("usr_local.py");
const USR_LOCAL_NAME: &str = "_corten_usr_local";

const MANAGED: &str = "EXTERNALLY-MANAGED";

/// Is an entry of a package left out? As [`prune::is_pruned`] says of slim, and what is meant for Corten's own images.
pub(super) fn is_pruned(own: ForDockerfiles<'_>, package: &str, entry: &Entry) -> bool {
    let path = prune::below_usr(&entry.path);
    if own.headers.iter().any(|name| name == package) {
        return path.as_bytes() != b"usr" && !path.starts_with(&LayerPath::new("usr/include").unwrap_or_default());
    }
    is_managed(&path) || prune::is_pruned(Variant::Slim, package, entry)
}

/// `usr/lib/python3.11/EXTERNALLY-MANAGED`.
fn is_managed(path: &LayerPath) -> bool {
    path.as_bytes().starts_with(b"usr/lib/python3") && path.name() == MANAGED.as_bytes()
}

impl Making<'_> {
    /// The table above, but for what was not unpacked.
    pub(super) fn suit_dockerfiles(&mut self) -> Result<(), BaseError> {
        if self.options.dockerfiles.is_none() {
            return Ok(());
        }
        if self.has("apt") {
            let settings =
                [("docker-clean", CLEAN), ("docker-no-languages", NO_LANGUAGES), ("docker-gzip-indexes", GZIP_INDEXES)];
            for (name, text) in settings {
                self.file(&format!("etc/apt/apt.conf.d/{name}"), 0o644, text, "apt")?;
            }
        }
        self.file("usr/sbin/policy-rc.d", 0o755, NO_SERVICES, "init-system-helpers")?;
        self.link_python()
    }

    fn link_python(&mut self) -> Result<(), BaseError> {
        let Some((major, minor)) = self.options.python else { return Ok(()) };
        let name = format!("python{major}.{minor}");
        if !self.tree.exists(format!("usr/bin/{name}")) {
            return Ok(());
        }
        for link in ["python", "python3", name.as_str()] {
            self.link_of(&format!("usr/local/bin/{link}"), &format!("/usr/bin/{name}"), &format!("{name}-minimal"))?;
        }
        self.place_packages(&name)?;
        // A later version of the package shall not bring it back.
        let path = format!("path-exclude=/usr/lib/python*/{MANAGED}\n");
        self.file("etc/dpkg/dpkg.cfg.d/corten-python", 0o644, path, "dpkg")
    }

    /// Where pip's packages are.
    fn place_packages(&mut self, python: &str) -> Result<(), BaseError> {
        let (folder, owner) = (format!("usr/local/lib/{python}"), format!("{python}-minimal"));
        self.directory(&format!("{folder}/site-packages"), 0o755)?;
        self.link_of(&format!("{folder}/dist-packages"), "site-packages", &owner)?;
        self.file(&format!("{MODULES}/{USR_LOCAL_NAME}.py"), 0o644, USR_LOCAL, &owner)?;
        let import = format!("import {USR_LOCAL_NAME}\n");
        self.file(&format!("{MODULES}/{USR_LOCAL_NAME}.pth"), 0o644, import, &owner)
    }
}

#[cfg(test)]
mod tests {
    use corten_oci::Kind;

    use super::*;

    #[test]
    fn of_headers_compilers_read_and_nothing_marks_python_as_managed() {
        let headers = ["libpython3.11-dev".to_owned()];
        let pruned = |package: &str, path: &str| {
            let path = LayerPath::new(path).unwrap();
            let kind = Kind::File;
            let entry =
                Entry { path, kind, mode: 0o644, uid: 0, gid: 0, size: 0, crc32: None, offset: 0, package: None };
            is_pruned(ForDockerfiles { headers: &headers }, package, &entry)
        };
        assert!(!pruned("libpython3.11-dev", "usr/include/python3.11/Python.h"));
        assert!(pruned("libpython3.11-dev", "usr/lib/python3.11/config-3.11-x86_64-linux-gnu/libpython3.11.a"));
        assert!(pruned("libpython3.11-dev", "usr/share/doc/libpython3.11-dev/copyright"));
        assert!(pruned("python3.11", "usr/lib/python3.11/EXTERNALLY-MANAGED"));
        assert!(!pruned("python3.11", "usr/lib/python3.11/os.py") && !pruned("x", "usr/share/EXTERNALLY-MANAGED"));
        assert!(pruned("x", "usr/share/man/man1/x.1"), "what slim leaves out is left out here, too");
    }
}
