//! What lies in a layer: one line per tar entry, without the bytes.
//!
//! An index is made while a layer is written or first read. It is enough to list, compare, check and bill an image;
//! only reading a file's content needs the blob.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The entries of one layer, in the order of its tar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerIndex {
    /// In tar order.
    pub entries: Vec<Entry>,
}

impl LayerIndex {
    /// Bytes of all regular files.
    pub fn content_size(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    /// How many regular files there are.
    pub fn files(&self) -> usize {
        self.entries.iter().filter(|entry| entry.kind == Kind::File).count()
    }
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where, below the image's root.
    pub path: LayerPath,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky (`07777` at most).
    pub mode: u32,
    /// Owner's number.
    pub uid: u64,
    /// Group's number.
    pub gid: u64,
    /// Bytes of content; 0 for all but files.
    pub size: u64,
    /// CRC-32 of the content (IEEE, as in gzip and zip), for files where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32: Option<u32>,
    /// Where the content begins in the uncompressed tar, in bytes.
    #[serde(default)]
    pub offset: u64,
    /// The package URL of the package that the file came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// A program that runs with its owner's or group's rights. Such are found when a layer is made, so that a build that
/// makes nothing need not read what lies in its layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetId {
    /// Where.
    pub path: LayerPath,
    /// Permission bits.
    pub mode: u32,
}

impl SetId {
    /// Those of a layer.
    pub fn all(index: &LayerIndex) -> Vec<Self> {
        let files = index.entries.iter().filter(|entry| entry.kind == Kind::File && entry.mode & 0o6000 != 0);
        files.map(|entry| Self { path: entry.path.clone(), mode: entry.mode }).collect()
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link with its target, verbatim.
    Symlink(String),
    /// A further name of the file at this path of the same layer.
    HardLink(LayerPath),
    /// A character device, major and minor.
    CharacterDevice(u32, u32),
    /// A block device, major and minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// `.wh.NAME`: the entry's path (NAME, without the prefix) of a lower layer is gone.
    Whiteout,
    /// `.wh..wh..opq`: everything that lower layers have below the entry's path (the directory) is gone.
    Opaque,
}

/// A path below an image's root: relative, no empty, `.` or `..` component, no NUL. The root itself is the empty path.
///
/// Bytes, not text: tar names need not be UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LayerPath(Vec<u8>);

/// Why bytes are no path below a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerPathError {
    /// A `..` component.
    #[error("path '{0}' has a '..' component")]
    Climbs(String),
    /// A NUL byte.
    #[error("path '{0}' has a NUL byte")]
    Nul(String),
}

impl LayerPath {
    /// The image's root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes off leading and double slashes and `.` components. A `..` is refused, never resolved.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, LayerPathError> {
        let bytes = bytes.as_ref();
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        if bytes.contains(&0) {
            return Err(LayerPathError::Nul(shown()));
        }
        let mut path = Vec::with_capacity(bytes.len());
        for component in bytes.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err(LayerPathError::Climbs(shown())),
                name => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name);
                }
            }
        }
        Ok(Self(path))
    }

    /// Without a leading or trailing slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Is it the root?
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// Everything but the last component; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The parents from the top down, without the root and without the path itself.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        let slashes = self.0.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        slashes.map(|(at, _)| Self(self.0[..at].to_vec()))
    }

    /// The path with more components behind it.
    pub fn join(&self, more: impl AsRef<[u8]>) -> Result<Self, LayerPathError> {
        let mut bytes = self.0.clone();
        bytes.push(b'/');
        bytes.extend_from_slice(more.as_ref());
        Self::new(bytes)
    }

    /// Is it `ancestor` or below it?
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        match self.0.strip_prefix(ancestor.0.as_slice()) {
            Some(rest) => ancestor.is_root() || rest.is_empty() || rest[0] == b'/',
            None => false,
        }
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Text where it is text, else an array of bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl Serialize for LayerPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(text) => serializer.serialize_str(text),
            None => Written::Bytes(self.0.clone()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for LayerPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match Written::deserialize(deserializer)? {
            Written::Text(text) => text.into_bytes(),
            Written::Bytes(bytes) => bytes,
        };
        Self::new(bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_but_never_climb() {
        assert_eq!(LayerPath::new("/./a//b/").unwrap().as_bytes(), b"a/b");
        assert!(LayerPath::new("./").unwrap().is_root());
        assert!(LayerPath::new("a/../b").is_err());
        assert!(LayerPath::new(b"a\0b").is_err());
    }

    #[test]
    fn ancestors_come_from_the_top() {
        let path = LayerPath::new("a/b/c").unwrap();
        let parents: Vec<_> = path.ancestors().map(|path| path.to_string()).collect();
        assert_eq!(parents, ["a", "a/b"]);
        assert_eq!(path.parent().unwrap().to_string(), "a/b");
        assert!(path.starts_with(&LayerPath::new("a/b").unwrap()));
        assert!(!LayerPath::new("ab").unwrap().starts_with(&LayerPath::new("a").unwrap()));
    }

    #[test]
    fn programs_with_others_rights_are_files_with_either_bit() {
        let entry = |path: &str, kind, mode| {
            let path = LayerPath::new(path).unwrap();
            Entry { path, kind, mode, uid: 0, gid: 0, size: 0, crc32: None, offset: 0, package: None }
        };
        let entries = vec![
            entry("bin/su", Kind::File, 0o4755),
            entry("bin/write", Kind::File, 0o2755),
            entry("bin/ls", Kind::File, 0o755),
            entry("tmp", Kind::Directory, 0o1777),
            entry("var/mail", Kind::Directory, 0o2775),
        ];
        let found = SetId::all(&LayerIndex { entries });
        let shown: Vec<_> = found.iter().map(|program| (program.path.to_string(), program.mode)).collect();
        assert_eq!(shown, [("bin/su".to_owned(), 0o4755), ("bin/write".to_owned(), 0o2755)]);
    }
}
