//! Mirrors: other registries that have what one registry has, and are asked first.
//!
//! | asked of mirrors | asked of the registry alone |
//! |---|---|
//! | manifests, blobs, what hangs on an image | everything that changes something; tags |
//!
//! A mirror has a name, and so credentials, of its own: those of the registry never go to it. What it has not, or has
//! wrongly, comes from the registry: digests decide.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use corten_net::Response;
use corten_oci::{Descriptor, Digest, Repository};

use crate::error::RegistryError;
use crate::remote::{Fetched, Remote, Which};

/// `docker.io=mirror.example:5000/hub`: what `docker.io` has is looked for below `mirror.example:5000/hub` first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The registry as references name it.
    of: String,
    /// Host and what stands before each path.
    at: String,
}

/// Why a text is no mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no mirror: expected REGISTRY=MIRROR, for instance docker.io=mirror.example or ghcr.io=mirror.example/ghcr"
)]
pub struct MirrorError(String);

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Self, MirrorError> {
        let wrong = || MirrorError(text.to_owned());
        let host =
            |name: &str| format!("{name}/x").parse::<Repository>().ok().and_then(|found| found.normalised().host);
        let (of, at) = text.trim().split_once('=').ok_or_else(wrong)?;
        let (of, at) = (of.trim(), at.trim().trim_end_matches('/'));
        let is_host = |name: &str| host(name).is_some_and(|found| found == name);
        let at_host = at.split('/').next().unwrap_or_default();
        match is_host(of) && is_host(at_host) && host(at).is_some_and(|found| found == at_host) && of != at {
            true => Ok(Self { of: of.to_owned(), at: at.to_owned() }),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.of, self.at)
    }
}

impl Mirror {
    /// Of which registry, as references name it.
    pub fn of(&self) -> &str {
        &self.of
    }

    /// Where a repository would be at the mirror.
    pub(crate) fn place(&self, repository: &Repository) -> Option<Repository> {
        let Repository { host, path } = repository.normalised();
        (host? == self.of).then(|| format!("{}/{path}", self.at).parse().ok()).flatten()
    }
}

impl<'a> Remote<'a> {
    /// Who may have a blob, mirrors first: those that were there until now.
    pub fn sources(&self) -> Vec<&Remote<'a>> {
        self.reached().chain([self]).collect()
    }

    /// A blob's bytes from one on, from whoever has it first. Not hashed yet.
    pub fn blob_of_any(&self, blob: &Descriptor, from: u64) -> Result<Response, RegistryError> {
        let at_mirror = self.reached().find_map(|mirror| match mirror.blob(blob, from) {
            Ok(answer) => Some(answer),
            // It is another one, and says nothing of the mirror's other blobs.
            Err(RegistryError::Wrong { .. }) => None,
            Err(error) => {
                mirror.is_passed_over(&error);
                None
            }
        });
        at_mirror.map_or_else(|| self.blob(blob, from), Ok)
    }

    fn reached(&self) -> impl Iterator<Item = &Remote<'a>> {
        self.mirrors.iter().filter(|mirror| !mirror.away.load(Ordering::Relaxed))
    }

    /// Is what is asked for there? Costs no count at Docker Hub. Registries that do not say the digest are asked for all.
    pub fn resolve(&self, which: &Which) -> Result<Option<Digest>, RegistryError> {
        for mirror in self.reached() {
            match mirror.resolve_here(which) {
                Ok(Some(digest)) => return Ok(Some(digest)),
                Ok(None) => {}
                Err(error) => mirror.is_passed_over(&error),
            }
        }
        self.resolve_here(which)
    }

    /// A manifest or index, at most 4 MiB. Of a digest: exactly that; what is something else is asked for once more, as
    /// something on the way may have changed it.
    pub fn manifest(&self, which: &Which) -> Result<Fetched, RegistryError> {
        self.first(|remote| remote.manifest_here(which))
    }

    /// What hangs on a manifest: by the registry's list, else by the tag that stands for it (distribution
    /// specification, "Referrers Tag Schema").
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let mut is_silent = false;
        for mirror in self.reached() {
            match mirror.known_referrers(subject) {
                Ok(Some(listed)) => return Ok(listed),
                // One that keeps no lists does not know whether there are some.
                Ok(None) => is_silent = true,
                Err(error) => mirror.is_passed_over(&error),
            }
        }
        match self.referrers_here(subject) {
            Err(error) if is_silent => {
                self.line.client.tell(&format!("what hangs on the image is not known: {error}"));
                Ok(Vec::new())
            }
            other => other,
        }
    }

    fn first<T>(&self, ask: impl Fn(&Self) -> Result<T, RegistryError>) -> Result<T, RegistryError> {
        for mirror in self.reached() {
            match ask(mirror) {
                Ok(answer) => return Ok(answer),
                Err(error) => mirror.is_passed_over(&error),
            }
        }
        ask(self)
    }

    /// One that has nothing is no fault. One that cannot be reached is told, and not asked again.
    fn is_passed_over(&self, error: &RegistryError) {
        if matches!(error, RegistryError::NotFound { .. }) {
            return;
        }
        self.line.client.tell(&format!("a mirror is passed over: {error}"));
        self.away.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_hosts_and_what_stands_before_a_path() {
        let place = |mirror: &str, name: &str| {
            let place = mirror.parse::<Mirror>().unwrap().place(&name.parse().unwrap());
            place.map(|place| place.to_string())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(place("docker.io=m.example", "ubuntu"), some("m.example/library/ubuntu"));
        assert_eq!(place("docker.io=m.example:5000/hub/", "team/a"), some("m.example:5000/hub/team/a"));
        assert_eq!(place("ghcr.io = localhost:5000", "ghcr.io/a/b"), some("localhost:5000/a/b"));
        for other in ["ghcr.io/a", "docker.io.example/a", "m.example/a", "x.docker.io/a"] {
            assert_eq!(place("docker.io=m.example", other), None, "{other}");
        }
        for wrong in [
            "",
            "docker.io",
            "=m.example",
            "docker.io=",
            "docker.io=mirror",
            "docker.io=https://m.example",
            "a/b=c.d",
            "docker.io=m.example/UP",
            "docker.io=docker.io",
            "docker.io=m.example/a:1",
        ] {
            assert!(wrong.parse::<Mirror>().is_err(), "{wrong}");
        }
    }
}
