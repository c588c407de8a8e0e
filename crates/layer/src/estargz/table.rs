//! The table of contents: one line per entry of the tar and further chunk of a file, as JSON.
//!
//! Source: stargz-snapshotter, `estargz/types.go` (`JTOC`, `TOCEntry`).

use std::io;

use corten_oci::{Digest, Entry, Kind};
use serde::Serialize;

/// The last second of the year 9999: RFC 3339 has no more.
const LAST_SECOND: u64 = 253_402_300_799;

#[derive(Default)]
pub(super) struct Table {
    lines: Vec<Line>,
    /// The line of the entry that is being written.
    current: usize,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_name: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    /// None where a file is one chunk.
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<Digest>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Table {
    /// An entry, `name` as the tar has it.
    pub(super) fn push(&mut self, entry: &Entry, name: &str, mtime: u64) -> io::Result<()> {
        let (kind, link_name) = match &entry.kind {
            Kind::File | Kind::Whiteout | Kind::Opaque => ("reg", None),
            Kind::Directory => ("dir", None),
            Kind::Symlink(target) => ("symlink", Some(target.clone())),
            Kind::HardLink(target) => {
                let target = target.as_str().ok_or_else(|| super::invalid_input("eStargz has only UTF-8 targets"))?;
                ("hardlink", Some(target.to_owned()))
            }
            Kind::CharacterDevice(..) => ("char", None),
            Kind::BlockDevice(..) => ("block", None),
            Kind::Fifo => ("fifo", None),
        };
        let (dev_major, dev_minor) = match entry.kind {
            Kind::CharacterDevice(major, minor) | Kind::BlockDevice(major, minor) => (major.into(), minor.into()),
            _ => (0, 0),
        };
        self.current = self.lines.len();
        self.lines.push(Line {
            name: name.to_owned(),
            kind,
            size: entry.size,
            modified: rfc_3339(mtime),
            link_name,
            mode: entry.mode.into(),
            uid: entry.uid,
            gid: entry.gid,
            dev_major,
            dev_minor,
            ..Line::default()
        });
        Ok(())
    }

    /// A chunk of the current entry: `at` in its file, `size` bytes. Gives its number, for [`Table::place`].
    pub(super) fn chunk(&mut self, at: u64, size: u64) -> usize {
        let Some(line) = self.lines.get_mut(self.current) else { return 0 };
        if at == 0 {
            line.chunk_size = if size < line.size { size } else { 0 };
            return self.current;
        }
        let name = line.name.clone();
        self.lines.push(Line { name, kind: "chunk", chunk_offset: at, chunk_size: size, ..Line::default() });
        self.lines.len() - 1
    }

    /// Where the chunk's member begins in the blob, and the digest of what it holds.
    pub(super) fn place(&mut self, chunk: usize, offset: u64, digest: Digest) {
        if let Some(line) = self.lines.get_mut(chunk) {
            (line.offset, line.chunk_digest) = (offset, Some(digest));
        }
    }

    /// The digest of the current entry's whole file.
    pub(super) fn whole(&mut self, digest: Digest) {
        if let Some(line) = self.lines.get_mut(self.current) {
            line.digest = Some(digest);
        }
    }

    pub(super) fn json(&self) -> io::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Document<'a> {
            version: u32,
            entries: &'a [Line],
        }
        Ok(serde_json::to_vec(&Document { version: 1, entries: &self.lines })?)
    }
}

/// In UTC; none for 0, which means unknown.
fn rfc_3339(seconds: u64) -> Option<String> {
    if seconds == 0 || seconds > LAST_SECOND {
        return None;
    }
    let (mut days, time) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hours, minutes, seconds) = (time / 3600, time / 60 % 60, time % 60);
    Some(format!("{year:04}-{month:02}-{:02}T{hours:02}:{minutes:02}:{seconds:02}Z", days + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_date() {
        // `date --utc --date @SECONDS +%FT%TZ`
        let table = [
            (1, "1970-01-01T00:00:01Z"),
            (315_619_200, "1980-01-02T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST_SECOND, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(rfc_3339(seconds).as_deref(), Some(text));
        }
        assert_eq!((rfc_3339(0), rfc_3339(LAST_SECOND + 1)), (None, None));
    }
}
