//! Files of an address: where they really come from (mirrors), how large they are, and what they are where nobody has
//! hashed them yet.

use std::io::Read;

use corten_diagnostic::{Failure, Report};
use corten_frontend::settings::{Setting, Settings};
use corten_install::fetch::{Download, fetch};
use corten_install::python::index;
use corten_net::{Request, Url};
use corten_oci::Digest;

use crate::project::Project;
use crate::world::World;

/// No file is longer, whatever its server sends: 64 GiB.
const LONGEST: u64 = 64 << 30;

/// An address under the project's mirrors: the longest beginning that fits wins.
pub fn mirrored(project: &Project, url: &str) -> String {
    mirrored_by(&project.settings, url)
}

/// The same where there is no project yet.
pub fn mirrored_by(settings: &Settings, url: &str) -> String {
    through(&settings.index.mirrors, url).unwrap_or_else(|| url.to_owned())
}

/// The same for Debian's archive, whose default address has no TLS: a mirror for `https://` means it, too.
pub fn mirrored_archive(settings: &Settings, url: &str) -> String {
    let mirrors = &settings.index.mirrors;
    let secure = || through(mirrors, &format!("https://{}", url.strip_prefix("http://")?));
    through(mirrors, url).or_else(secure).unwrap_or_else(|| url.to_owned())
}

fn through(mirrors: &[(String, Setting<String>)], url: &str) -> Option<String> {
    let rest = |from: &str| url.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let fitting = mirrors.iter().filter_map(|(from, to)| Some((from.len(), &to.value, rest(from)?)));
    fitting.max_by_key(|(length, ..)| *length).map(|(_, to, rest)| format!("{to}{rest}"))
}

/// An address as it may be shown and kept: without user and password.
pub fn shown(url: &str) -> String {
    Url::parse(url).map_or_else(|error| error.shown().to_owned(), |url| url.to_string())
}

/// Bytes: what the store or the server says; a server that does not tell is made to by fetching the file, which is needed
/// anyway. `what`: for people.
pub fn size(url: &str, digest: Digest, what: &str, world: &World<'_>) -> Result<u64, Report> {
    if let Some(size) = world.store.size(&digest)? {
        return Ok(size);
    }
    if let Some(size) = index::head_size(world.client, url)? {
        return Ok(size);
    }
    let download = Download { urls: vec![url.to_owned()], digest, size: None, what: what.to_owned() };
    fetch(world.client, world.store, &download, world.events)?;
    Ok(world.store.size(&digest)?.unwrap_or_default())
}

/// A file that nobody has hashed: fetched into the store now, so that its hash can be recorded.
pub fn first_fetch(url: &str, world: &World<'_>) -> Result<(Digest, u64), Report> {
    let response = world.client.send(&Request::get(url))?;
    let batch = world.store.batch();
    let mut blob = batch.blob()?;
    let came = std::io::copy(&mut response.body.take(LONGEST + 1), &mut blob)
        .map_err(|error| Failure::world(format!("fetching {}: {error}", shown(url))))?;
    if came > LONGEST {
        return Err(Failure::world(format!("fetching {}: it is longer than {LONGEST} bytes", shown(url))).into());
    }
    let described = blob.finish()?;
    batch.finish()?;
    Ok(described)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_stands_for_whole_parts_of_an_address() {
        let mirror = |from: &str, to: &str| (from.to_owned(), Setting::default_of(to.to_owned()));
        let mirrors = [
            mirror("https://pypi.org", "https://m.example/pypi"),
            mirror("https://pypi.org/simple/torch", "https://t.example"),
        ];
        let through = |url| through(&mirrors, url);
        assert_eq!(through("https://pypi.org/simple/").as_deref(), Some("https://m.example/pypi/simple/"));
        assert_eq!(through("https://pypi.org").as_deref(), Some("https://m.example/pypi"));
        assert_eq!(through("https://pypi.org/simple/torch/").as_deref(), Some("https://t.example/"), "the longest");
        assert_eq!(
            through("https://pypi.org/simple/torchvision/").as_deref(),
            Some("https://m.example/pypi/simple/torchvision/")
        );
        for other in ["https://pypi.org.evil.example/x", "https://pypi.organic.example", "http://pypi.org/x", ""] {
            assert_eq!(through(other), None, "{other}");
        }
    }
}
