//! Files of an address: where they really come from (mirrors), how large they are, and what they are where nobody has
//! hashed them yet.

use std::io::Read;

use corten_diagnostic::{Failure, Report};
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
    let fitting = project.settings.index.mirrors.iter().filter(|(from, _)| url.starts_with(from.as_str()));
    match fitting.max_by_key(|(from, _)| from.len()) {
        Some((from, to)) => format!("{}{}", to.value, url.get(from.len()..).unwrap_or_default()),
        None => url.to_owned(),
    }
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
