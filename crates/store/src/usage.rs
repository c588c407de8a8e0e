//! When something was used last: the time of modification of its file, which nothing else needs, because contents never
//! change and times of access are often not kept.
//!
//! To be cheap, a mark is renewed when it is an hour old. It orders what can be made again, and never decides whether
//! something is needed: names and leases do.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};

use crate::Store;
use crate::lease::Noted;

/// A younger mark is not renewed. So it may be wrong by that.
const COARSENESS: Duration = Duration::from_secs(3600);

/// Marks what a command relies on.
pub(crate) fn mark(store: &Store, thing: &Noted) {
    if store.now.is_none() {
        return;
    }
    match thing {
        Noted::Blob(digest) => mark_path(store, &store.blob_path(digest)),
        Noted::Layer(diff_id) => mark_path(store, &store.index_path(diff_id)),
    }
}

/// Marks a file as used now. Where that cannot be done, nothing but an order is worse for it.
pub(crate) fn mark_path(store: &Store, path: &Path) {
    let Some(now) = store.now else { return };
    let Ok(found) = path.symlink_metadata() else { return };
    let is_fresh = found.modified().is_ok_and(|used| apart(used, now) < COARSENESS);
    if found.is_file() && !is_fresh {
        set(path, now);
    }
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).or_else(|_| other.duration_since(one)).unwrap_or_default()
}

pub(crate) fn set(path: &Path, now: SystemTime) {
    let Ok(since) = now.duration_since(UNIX_EPOCH) else { return };
    let Ok(seconds) = i64::try_from(since.as_secs()) else { return };
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: i64::from(since.subsec_nanos()) },
    };
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}
