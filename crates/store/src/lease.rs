//! Who is at work in the store: what a running command relies on is not swept away under it.
//!
//! | file | what |
//! |---|---|
//! | `leases/<pid>-<n>` | what one command relies on; locked (flock) as long as it lives |
//! | `leases/gate` | locked shared while somebody notes or names something, exclusive for the moment of a sweep |
//!
//! A lease's first line is `corten-lease 1 <boot id> <pid> <start time>`; then a line for each thing: `blob <hex>` or
//! `layer <hex>`. A document that is noted stands for all that it names and for what hangs on it.
//!
//! # Why nothing is lost
//!
//! A command **notes, then looks**: before it asks whether a blob is there, and before it gives one its name, the blob
//! stands in its lease, and the note was written with the gate shared. A sweep holds the gate exclusive, and in that
//! moment reads all leases and names anew before it renames anything away. So for each note there are two cases:
//!
//! - the note came before the sweep: the sweep has read it, and the blob stays until the command ends;
//! - the note came after: the command looks when the sweep is over, sees that the blob is gone, and makes it again.
//!
//! What a command has *found* thus stays found, and between "the blob is there" and its name no sweep can come. A
//! command that ends has given names to what it made, and names are read in the same moment. The moment is short:
//! documents, which never change, were read before it, and bytes are freed after it.
//!
//! No clock decides: the kernel lets go of a lock when its process dies, however it dies, so a lease that can be locked
//! is a dead one. Where locks are doubtful (network file systems) a lease of this machine counts as long as its process
//! lives, and that of another one until somebody removes it.
//!
//! A lease that cannot be written (the disk is full) is replaced by holding the gate shared to the end of the command:
//! nothing can be swept then. Where even that is impossible because nothing can be written there, nobody sweeps.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use corten_oci::{DiffId, Digest};

use crate::{StoreError, disk, names, scratch};

pub(crate) const FOLDER: &str = "leases";
const GATE: &str = "gate";
const HEAD: &str = "corten-lease 1";
/// Leases hold a line for each thing; a larger file is none of ours.
const LARGEST: u64 = 64 << 20;

/// Something that a command relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Noted {
    /// A blob, and if it is a document, what it names.
    Blob(Digest),
    /// What lies in a layer.
    Layer(DiffId),
}

/// What this command relies on.
pub(crate) struct Lease {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    noted: HashSet<Noted>,
    held: Held,
}

#[derive(Default)]
enum Held {
    /// Nothing was noted yet.
    #[default]
    Nothing,
    /// A file of our own, locked.
    File(File, PathBuf),
    /// The gate, shared to the end: all of the store is leased.
    All(#[expect(dead_code, reason = "its lock is what is held")] File),
    /// Nobody can write here, so nobody sweeps.
    Needless,
}

impl Lease {
    pub(crate) fn new(root: &Path) -> Self {
        Self { folder: root.join(FOLDER), state: Mutex::default() }
    }

    /// Notes what is about to be looked for or named. Those that are new.
    pub(crate) fn note(&self, things: impl IntoIterator<Item = Noted>) -> Result<Vec<Noted>, StoreError> {
        let mut state = self.lock();
        let new: Vec<Noted> = things.into_iter().filter(|thing| !state.noted.contains(thing)).collect();
        if new.is_empty() {
            return Ok(new);
        }
        self.write(&mut state, &new)?;
        state.noted.extend(&new);
        Ok(new)
    }

    fn write(&self, state: &mut State, new: &[Noted]) -> Result<(), StoreError> {
        if matches!(state.held, Held::All(_) | Held::Needless) {
            return Ok(());
        }
        let lines: String = new.iter().map(Noted::line).collect();
        let write = |held: &mut Held| -> io::Result<()> {
            let _gate = share(&self.folder)?;
            if let Held::Nothing = held {
                let (file, path) = begin(&self.folder)?;
                *held = Held::File(file, path);
            }
            match held {
                Held::File(file, _) => file.write_all(lines.as_bytes()),
                _ => Ok(()),
            }
        };
        match write(&mut state.held) {
            Ok(()) => Ok(()),
            Err(error) => self.lease_all(state, error),
        }
    }

    /// Our own file cannot be written: then the whole store is leased. What was noted before, is read as before.
    fn lease_all(&self, state: &mut State, error: io::Error) -> Result<(), StoreError> {
        let held = match share(&self.folder) {
            Ok(gate) => Held::All(gate),
            Err(gate) if is_unwritable(&error) && (is_unwritable(&gate) || disk::is_absent(&gate)) => Held::Needless,
            Err(_) => return Err(StoreError::disk("writing a lease in", &self.folder, 4096, error)),
        };
        if let Held::File(_, path) = std::mem::replace(&mut state.held, held) {
            drop(fs::remove_file(path));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Held::File(_, path) = &self.lock().held {
            drop(fs::remove_file(path));
        }
    }
}

fn is_unwritable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// A lease of our own that notes nothing yet.
fn begin(folder: &Path) -> io::Result<(File, PathBuf)> {
    let process = std::process::id();
    for number in 0_u64.. {
        let path = folder.join(format!("{process}-{number}"));
        if let Some(mut file) = scratch::take(&path)? {
            let written = file.write_all(format!("{HEAD} {} {process} {}\n", boot(), born(process)).as_bytes());
            return match written {
                Ok(()) => Ok((file, path)),
                Err(error) => fs::remove_file(path).and(Err(error)),
            };
        }
    }
    Err(io::Error::other("no name is free"))
}

impl Noted {
    fn line(&self) -> String {
        match self {
            Self::Blob(digest) => format!("blob {}\n", digest.hex()),
            Self::Layer(diff_id) => format!("layer {}\n", diff_id.0.hex()),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (kind, hex) = line.split_once(' ')?;
        let digest = names::digest_of_name(hex.as_ref())?;
        match kind {
            "blob" => Some(Self::Blob(digest)),
            "layer" => Some(Self::Layer(DiffId(digest))),
            _ => None,
        }
    }
}

/// Makes the gate where it is absent.
pub(crate) fn make_gate(folder: &Path) -> io::Result<()> {
    let path = folder.join(GATE);
    match OpenOptions::new().append(true).create(true).open(&path) {
        Err(error) if !path.exists() => Err(error),
        _ => Ok(()),
    }
}

/// The gate, shared: no sweep while it is held.
pub(crate) fn share(folder: &Path) -> io::Result<File> {
    let gate = gate(folder)?;
    gate.lock_shared()?;
    Ok(gate)
}

/// The gate, alone: nobody notes or names anything while it is held.
pub(crate) fn shut(folder: &Path) -> io::Result<File> {
    let gate = gate(folder)?;
    gate.lock()?;
    Ok(gate)
}

/// The same without waiting; none where somebody holds it.
pub(crate) fn try_shut(folder: &Path) -> io::Result<Option<File>> {
    let gate = gate(folder)?;
    match gate.try_lock() {
        Ok(()) => Ok(Some(gate)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Open for writing where that is allowed: network file systems lock nothing alone otherwise.
fn gate(folder: &Path) -> io::Result<File> {
    let path = folder.join(GATE);
    let open = || OpenOptions::new().read(true).append(true).create(true).open(&path);
    match open() {
        Err(error) if is_unwritable(&error) || error.kind() == io::ErrorKind::StorageFull => File::open(&path),
        // Somebody took the folder away.
        Err(error) if disk::is_absent(&error) => fs::create_dir(folder).and_then(|()| open()),
        other => other,
    }
}

/// Leases of those who are at work: what they rely on. `doubtful`: locks may not hold on this file system.
///
/// # Errors
/// A lease that is alive and cannot be read: then it is not known what may be swept.
pub(crate) fn living(folder: &Path, doubtful: bool) -> Result<BTreeSet<Noted>, StoreError> {
    let mut all = BTreeSet::new();
    for name in names::names_in(folder)?.into_iter().filter(|name| name != GATE) {
        let path = folder.join(name);
        if is_alive(&path, doubtful) {
            let bytes = disk::read_small(&path, LARGEST)?.unwrap_or_default();
            all.extend(String::from_utf8_lossy(&bytes).lines().filter_map(Noted::parse));
        }
    }
    Ok(all)
}

/// Removes leases of the dead.
pub(crate) fn clean(folder: &Path, doubtful: bool) {
    for name in names::names_in(folder).unwrap_or_default().into_iter().filter(|name| name != GATE) {
        let path = folder.join(name);
        let Ok(file) = disk::open_regular(&path) else { continue };
        if file.try_lock().is_ok() && scratch::is_still(&file, &path) && !(doubtful && may_live(&path)) {
            drop(fs::remove_file(&path));
        }
    }
}

fn is_alive(path: &Path, doubtful: bool) -> bool {
    match disk::open_regular(path) {
        Ok(file) => file.try_lock().is_err() || doubtful && may_live(path),
        Err(error) => !disk::is_absent(&error),
    }
}

/// Does the process that the lease names live, or is it another machine's?
fn may_live(path: &Path) -> bool {
    let bytes = disk::read_small(path, LARGEST).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let head = text.lines().next().and_then(|line| line.strip_prefix(HEAD)).unwrap_or_default();
    let words: Vec<&str> = head.split_whitespace().collect();
    match words.as_slice() {
        [machine, ..] if *machine != boot() => true,
        [_, process, birth] => process.parse().is_ok_and(|process| born(process) == *birth),
        _ => false,
    }
}

/// Names this machine since it was started.
pub(crate) fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if text.trim().is_empty() { "-".into() } else { text.trim().to_owned() }
}

/// When a process began, in ticks since the start of the machine (proc(5), field 22 of `stat`); `-` where there is none.
fn born(process: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is the program's name in parentheses, and may hold anything.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().nth(19).unwrap_or("-").to_owned()
}
