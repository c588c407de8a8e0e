//! What decides a step: its operation, the steps before it, and the content that it takes. BuildKit decides by the same, and where it
//! overlooks a change (modes of folders, attributes: its transfer of the context), this does not.
//!
//! ```text
//! key  = SHA-256("corten step key 1", operation, parent, content)
//! left = COPY, WORKDIR: the key itself; RUN: key and what it left, without times
//! parent of the next step = SHA-256(parent, left)
//! ```
//!
//! | enters a COPY's key | does not |
//! |---|---|
//! | names of literal sources, texts of patterns, destination, owner, mode, `--link`, excludes | where a literal source lies |
//! | of each file: path below the source, kind, mode, owner, size, link target, attributes, content | its times, its other names |
//!
//! | enters a RUN's key | does not |
//! |---|---|
//! | arguments, environment in its order, folder, user, network, security, devices, hosts, platform | proxies |
//! | of each mount: kind, target, size, mode and owner; the content of binds | ids of caches and secrets, sharing, values |

use corten_oci::{DiffId, Digest, Digester};
use corten_plan::recipe::{CopyAction, CopySource, Mount, MountKind, RunAction};
use serde_json::{Value, json};

use super::glob;
use super::means::Means;

/// The place of an image in the chain of what decides.
pub(super) fn of_base(layers: &[DiffId]) -> Digest {
    let mut digester = Digester::new();
    digester.update(b"corten base 1\n");
    layers.iter().for_each(|layer| digester.update(layer.0.as_bytes()));
    digester.finish()
}

/// The key of a step.
pub(super) fn of_step(operation: &Value, parent: &Digest, content: Option<&Digest>) -> Digest {
    let mut digester = Digester::new();
    digester.update(format!("corten step key 1\n{operation}\n").as_bytes());
    digester.update(parent.as_bytes());
    if let Some(content) = content {
        digester.update(content.as_bytes());
    }
    digester.finish()
}

/// That such a step was ever made: where it was not, no content has to be known to see that its result is not there.
pub(super) fn of_seen(operation: &Value, parent: &Digest) -> Digest {
    let mut digester = Digester::new();
    digester.update(format!("corten step seen 1\n{operation}\n").as_bytes());
    digester.update(parent.as_bytes());
    digester.finish()
}

/// What decides the next step.
pub(super) fn after(parent: &Digest, left: &Digest) -> Digest {
    let mut digester = Digester::new();
    digester.update(b"corten after 1\n");
    digester.update(parent.as_bytes());
    digester.update(left.as_bytes());
    digester.finish()
}

/// COPY and ADD.
pub(super) fn copy(action: &CopyAction) -> Value {
    let sources: Vec<Value> = action.sources.iter().map(source).collect();
    let mode = action.mode.as_ref().map(|mode| match u32::from_str_radix(mode, 8) {
        Ok(octal) => format!("{octal:o}"),
        Err(_) => mode.clone(),
    });
    json!({
        "COPY": sources,
        "destination": action.destination,
        "--chown": action.owner,
        "--chmod": mode,
        "--link": action.link,
        "--exclude": action.exclude,
    })
}

fn source(source: &CopySource) -> Value {
    match source {
        CopySource::Path { path, parents, unpack } => {
            let pattern = glob::is_pattern(path).then_some(path);
            json!({"pattern": pattern, "name": path.rsplit('/').next(), "--parents": parents, "unpack": unpack})
        }
        CopySource::Inline { name, .. } => json!({"name": name}),
        CopySource::Http { url, unpack, .. } => json!({"address": without_password(url), "unpack": unpack}),
        CopySource::Git { url, keep, .. } => json!({"repository": without_password(url), "--keep-git-dir": keep}),
    }
}

/// Keys are remembered: a password in an address is not.
fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (host, path) = rest.split_at(end);
            format!("{scheme}://{}{path}", host.rsplit('@').next().unwrap_or(host))
        }
        None => url.to_owned(),
    }
}

/// WORKDIR.
pub(super) fn folder(path: &str, user: &str) -> Value {
    json!({"WORKDIR": path, "user": user})
}

/// RUN.
pub(super) fn run(action: &RunAction, means: &Means<'_>, platform: &str) -> Value {
    let network = if action.network == "default" { &means.network } else { &action.network };
    json!({
        "RUN": action.arguments,
        "environment": action.environment,
        "folder": action.folder,
        "user": action.user,
        "network": network,
        "security": action.security,
        "devices": action.devices,
        "script": action.script.as_ref().map(|(_, text)| text),
        "platform": platform,
        "shm": means.shm,
        "each": means.each,
        "hosts": means.hosts,
        "mounts": action.mounts.iter().map(|(one, _)| mount(one)).collect::<Vec<_>>(),
    })
}

fn mount(mount: &Mount) -> Value {
    let kind = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Cache => "cache",
        MountKind::Tmpfs => "tmpfs",
        MountKind::Secret => "secret",
        MountKind::Ssh => "ssh",
    };
    json!({
        "type": kind,
        "target": mount.target,
        "readonly": mount.readonly,
        "size": mount.size,
        "mode": mount.mode,
        "uid": mount.uid,
        "gid": mount.gid,
        "env": mount.env,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j3_passwords_of_addresses_are_in_no_key() {
        assert_eq!(without_password("https://me:secret@h.example:8080/a@b.git#x"), "https://h.example:8080/a@b.git#x");
        assert_eq!(without_password("git@h.example:a/b.git"), "git@h.example:a/b.git");
    }
}
