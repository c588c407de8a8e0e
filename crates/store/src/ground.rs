//! What a store lies on: on some file systems locks or syncs do not hold, and that is told.
//!
//! Numbers: `f_type` of statfs(2) and `linux/magic.h`.

use std::path::Path;

/// A file system, by what it lets a store rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Locks and syncs hold.
    Local,
    /// The store is gone when the machine stops.
    Memory(&'static str),
    /// A layer above others, as in a container: gone with it.
    Overlay,
    /// Locks may not hold between machines, nor syncs reach a disk.
    Network(&'static str),
}

const KNOWN: [(u64, Ground); 16] = [
    (0x0102_1994, Ground::Memory("tmpfs")),
    (0x8584_58f6, Ground::Memory("ramfs")),
    (0x794c_7630, Ground::Overlay),
    (0x6969, Ground::Network("NFS")),
    (0x517b, Ground::Network("SMB")),
    (0xfe53_4d42, Ground::Network("SMB")),
    (0xff53_4d42, Ground::Network("CIFS")),
    (0x0102_1997, Ground::Network("9p")),
    (0x6573_5546, Ground::Network("FUSE")),
    (0x00c3_6400, Ground::Network("Ceph")),
    (0x0bd0_0bd0, Ground::Network("Lustre")),
    (0x4750_4653, Ground::Network("GPFS")),
    (0x1983_0326, Ground::Network("BeeGFS")),
    (0x5346_414f, Ground::Network("AFS")),
    (0x7375_7245, Ground::Network("Coda")),
    (0x0116_1970, Ground::Network("GFS2")),
];

/// The file system of a folder; `Local` where it cannot be asked.
pub(crate) fn of(folder: &Path) -> Ground {
    // The field's type differs between machines; the numbers have 32 bits.
    let found = rustix::fs::statfs(folder).map(|found| found.f_type as u64 & 0xffff_ffff);
    found.map_or(Ground::Local, of_number)
}

fn of_number(found: u64) -> Ground {
    KNOWN.iter().find(|(number, _)| *number == found).map_or(Ground::Local, |(_, ground)| *ground)
}

impl Ground {
    /// May a lock that one can take be somebody else's?
    pub(crate) fn is_doubtful(self) -> bool {
        self.is_network()
    }

    /// Is it another machine's disk?
    pub fn is_network(self) -> bool {
        matches!(self, Self::Network(_))
    }

    /// What people should know of it, in a sentence; none of a local disk.
    pub fn warning(self) -> Option<String> {
        match self {
            Self::Local => None,
            Self::Memory(kind) => Some(format!("the store lies in memory ({kind}): it is lost when the machine stops")),
            Self::Overlay => Some(
                "the store lies on an overlay, as in a container: it goes with that, and what is moved in it is copied"
                    .into(),
            ),
            Self::Network(kind) => Some(format!(
                "the store lies on {kind}: locks may not hold between machines there, nor what is synced survive a power cut; let one machine at a time write and prune"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        assert_eq!(of_number(0xef53), Ground::Local, "ext4");
        assert_eq!(of_number(0x5846_5342), Ground::Local, "xfs");
        assert_eq!(of_number(0x6969), Ground::Network("NFS"));
        assert!(Ground::Network("NFS").is_doubtful() && !Ground::Overlay.is_doubtful());
        assert_eq!(of(Path::new("/dev/shm")), Ground::Memory("tmpfs"));
        assert!(of(Path::new("/dev/shm")).warning().is_some_and(|text| text.contains("tmpfs")));
    }
}
