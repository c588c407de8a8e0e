//! What a tar says of an entry that no index remembers: its time, and its extended attributes.
//!
//! Extended attributes travel as PAX records `SCHILY.xattr.<name>` (star(1); what GNU tar, Go, docker and BuildKit write and
//! read). Of those that somebody else's layer holds, only what means the same on every machine reaches a disk:
//!
//! | name | kept |
//! |---|---|
//! | `user.*` | yes, but overlayfs' own (`user.overlay.*`): in a lower folder they would be orders to the kernel |
//! | `security.capability` | yes: capabilities of programs |
//! | `security.*`, `trusted.*`, `system.*` and others | no: of the machine that wrote them, not of the image |

use std::collections::BTreeMap;

/// In front of a name in a PAX header.
pub(crate) const PAX_PREFIX: &[u8] = b"SCHILY.xattr.";
/// Bytes of a name (`XATTR_NAME_MAX`).
pub(crate) const NAME_LIMIT: usize = 255;
/// Bytes of a value (`XATTR_SIZE_MAX`).
pub(crate) const VALUE_LIMIT: usize = 64 << 10;
/// Attributes of one entry. ext4 holds fewer in a block; real entries have one or two.
pub(crate) const COUNT_LIMIT: usize = 256;

/// Time and extended attributes of one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Last change, seconds since 1970.
    pub mtime: i64,
    /// Values by name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Attributes {
    /// With a time alone.
    pub fn at(mtime: i64) -> Self {
        Self { mtime, xattrs: BTreeMap::new() }
    }
}

/// May an attribute of this name go from a disk to a layer, and from a layer to a disk? See the table of the module.
pub fn is_kept(name: &[u8]) -> bool {
    let is_users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    (is_users || name == b"security.capability") && name.len() <= NAME_LIMIT && !name.contains(&b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_the_same_everywhere_is_kept() {
        for name in ["user.mime_type", "user.overlayfs", "security.capability"] {
            assert!(is_kept(name.as_bytes()), "{name}");
        }
        for name in [
            "user.overlay.opaque",
            "trusted.overlay.redirect",
            "security.selinux",
            "system.posix_acl_access",
            "user.a=b",
            "usr",
        ] {
            assert!(!is_kept(name.as_bytes()), "{name}");
        }
    }
}
