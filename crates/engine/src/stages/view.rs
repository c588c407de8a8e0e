//! Files told the same way, wherever they are: a context, a stage, an image. Nothing is read to be listed.

use corten_diagnostic::Failure;
use corten_oci::{DiffId, Kind, LayerPath};

use super::context::Stamp;

/// Links that one path may lead through (`MAXSYMLINKS` of Linux).
const LINK_LIMIT: usize = 40;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where, no link among its parents.
    pub(super) path: LayerPath,
    /// What; never a hard link or a whiteout.
    pub(super) kind: Kind,
    /// With set-id bits.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Of content, in bytes.
    pub(super) size: u64,
    /// Where its content is.
    pub(super) place: Place,
}

/// Where the content of a file is, and what tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// In a folder of this machine; 1 where it may have other names.
    Context(Stamp, u64),
    /// In a layer, at this byte of its tar.
    Layer(DiffId, u64),
}

impl Found {
    pub(super) fn is_folder(&self) -> bool {
        self.kind == Kind::Directory
    }
}

/// Files that may be copied.
pub(super) trait View: Sync {
    /// What is at a path of which no parent is a link; none where nothing is or a parent is a link. The last component is not
    /// followed.
    fn look(&self, path: &LayerPath) -> Result<Option<Found>, Failure>;
    /// What is in a folder, by name.
    fn children(&self, folder: &LayerPath) -> Result<Vec<Found>, Failure>;
    /// Everything below a folder, by path, parents first.
    fn below(&self, folder: &LayerPath, jobs: usize) -> Result<Vec<Found>, Failure>;
}

/// Is a link at the end of a path followed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Kept,
    Followed,
}

/// The real path that a path leads to, inside the root: whether or not something is there. Where a component is missing, the
/// rest is taken as text.
pub(super) fn resolve(view: &dyn View, path: &[u8], last: Last) -> Result<LayerPath, Failure> {
    let mut rest: Vec<Vec<u8>> = components(path);
    let (mut real, mut links) = (LayerPath::root(), 0);
    while let Some(component) = rest.pop() {
        match component.as_slice() {
            b"" | b"." => continue,
            b".." => {
                real = real.parent().unwrap_or_default();
                continue;
            }
            name => real = real.join(name).map_err(|error| Failure::input(error.to_string()))?,
        }
        if rest.iter().all(Vec::is_empty) && last == Last::Kept {
            break;
        }
        if let Some(Found { kind: Kind::Symlink(target), .. }) = view.look(&real)? {
            links += 1;
            if links > LINK_LIMIT {
                let shown = String::from_utf8_lossy(path).into_owned();
                return Err(Failure::input(format!(
                    "'{shown}' leads through more than {LINK_LIMIT} links: perhaps a loop"
                )));
            }
            real = if target.starts_with('/') { LayerPath::root() } else { real.parent().unwrap_or_default() };
            rest.extend(components(target.as_bytes()));
        }
    }
    Ok(real)
}

/// Last first, to be popped.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.rsplit(|&byte| byte == b'/').map(<[u8]>::to_vec).collect()
}

/// No files at all.
pub(super) struct Empty;

impl View for Empty {
    fn look(&self, _path: &LayerPath) -> Result<Option<Found>, Failure> {
        Ok(None)
    }

    fn children(&self, _folder: &LayerPath) -> Result<Vec<Found>, Failure> {
        Ok(Vec::new())
    }

    fn below(&self, _folder: &LayerPath, _jobs: usize) -> Result<Vec<Found>, Failure> {
        Ok(Vec::new())
    }
}
