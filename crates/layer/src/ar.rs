//! A strict reader of ar archives, for .deb files.
//!
//! ```text
//! "!<arch>\n"  ( name 16 · mtime 12 · uid 6 · gid 6 · mode 8 · size 10 · "`\n"  content  "\n" if odd )*
//! ```
//! The dialects differ in how they write long names; a .deb has none, so all of them are refused, as is every name
//! that could lead anywhere. Sources: deb(5), ar(5).

use std::collections::HashSet;
use std::io::{self, Read};

use corten_diagnostic::{Diagnose, Fault};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;
/// Members that one archive may have. A .deb has three, signed ones four.
const MEMBER_LIMIT: usize = 64;

/// Reads members one after another.
pub struct ArReader<R: Read> {
    source: R,
    /// Content of the current member that has not been read yet.
    content: u64,
    /// Does a padding byte follow it?
    padded: bool,
    names: HashSet<String>,
    ended: bool,
}

/// Why an ar archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// A rule is broken.
    #[error("{0}")]
    Refused(String),
    /// The source failed.
    #[error("reading ar: {0}")]
    Read(#[from] io::Error),
}

impl Diagnose for ArError {
    /// Archives are what a server sent.
    fn fault(&self) -> Fault {
        Fault::World
    }
}

impl<R: Read> ArReader<R> {
    /// Reads the magic.
    ///
    /// # Errors
    /// [`ArError::Refused`] when it is not there.
    pub fn new(mut source: R) -> Result<Self, ArError> {
        let mut magic = [0; MAGIC.len()];
        if fill(&mut source, &mut magic)? < magic.len() || magic != *MAGIC {
            return Err(refuse("this is no ar archive: it does not begin with '!<arch>'"));
        }
        Ok(Self { source, content: 0, padded: false, names: HashSet::new(), ended: false })
    }

    /// The next member's name (trailing `/` taken off) and size; content by [`ArReader::content`].
    ///
    /// None comes only at the end of the source.
    ///
    /// # Errors
    /// [`ArError::Refused`] for truncation, fields that are no numbers, names that are long, doubled or paths.
    pub fn next_member(&mut self) -> Result<Option<(String, u64)>, ArError> {
        if self.ended {
            return Ok(None);
        }
        self.skip_content()?;
        let mut header = [0; HEADER];
        match fill(&mut self.source, &mut header)? {
            0 => {
                self.ended = true;
                return Ok(None);
            }
            HEADER => {}
            _ => return Err(refuse("the ar archive is cut off inside a header")),
        }
        let (name, size) = parse(&header)?;
        if !self.names.insert(name.clone()) {
            return Err(refuse(format!("the ar archive has two members '{name}'")));
        }
        if self.names.len() > MEMBER_LIMIT {
            return Err(refuse(format!("the ar archive has more than {MEMBER_LIMIT} members")));
        }
        (self.content, self.padded) = (size, size % 2 == 1);
        Ok(Some((name, size)))
    }

    /// The content of the member that was last returned.
    pub fn content(&mut self) -> impl Read + '_ {
        Content(self)
    }

    fn skip_content(&mut self) -> Result<(), ArError> {
        io::copy(&mut Content(self), &mut io::sink())?;
        if std::mem::take(&mut self.padded) {
            let mut padding = [0];
            if fill(&mut self.source, &mut padding)? == 0 || padding != *b"\n" {
                return Err(refuse("a member of odd size in the ar archive is not followed by a line feed"));
            }
        }
        Ok(())
    }
}

struct Content<'a, R: Read>(&'a mut ArReader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.0.content).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.0.source.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the ar archive is cut off inside a member"));
        }
        self.0.content -= read as u64;
        Ok(read)
    }
}

fn parse(header: &[u8; HEADER]) -> Result<(String, u64), ArError> {
    if header[58..] != *b"`\n" {
        return Err(refuse("a member's header in the ar archive does not end in '`'"));
    }
    let name = parse_name(&header[..16])?;
    for (field, digits) in
        [(&header[16..28], b'9'), (&header[28..34], b'9'), (&header[34..40], b'9'), (&header[40..48], b'7')]
    {
        number(field, digits).ok_or_else(|| refuse(format!("a field of ar member '{name}' is no number")))?;
    }
    let size = number(&header[48..58], b'9').filter(|_| header[48] != b' ');
    Ok((name.clone(), size.ok_or_else(|| refuse(format!("the size of ar member '{name}' is no number")))?))
}

fn parse_name(field: &[u8]) -> Result<String, ArError> {
    let shown = || String::from_utf8_lossy(field).trim_end().escape_debug().to_string();
    let name = field.trim_ascii_end();
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\');
    if name.is_empty() || !name.iter().all(is_plain) || name.starts_with(b"#1") || matches!(name, b"." | b"..") {
        return Err(refuse(format!("ar member name '{}' is no plain file name", shown())));
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Digits up to `highest`, spaces behind; nothing is 0.
fn number(field: &[u8], highest: u8) -> Option<u64> {
    let base = u64::from(highest - b'0') + 1;
    field.trim_ascii_end().iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' if *digit <= highest => value.checked_mul(base)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn refuse(why: impl Into<String>) -> ArError {
    ArError::Refused(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, size: &str) -> Vec<u8> {
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644").into_bytes()
    }

    fn read(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArError> {
        let mut reader = ArReader::new(archive)?;
        let mut members = Vec::new();
        while let Some((name, size)) = reader.next_member()? {
            let mut content = Vec::new();
            reader.content().read_to_end(&mut content)?;
            assert_eq!(content.len() as u64, size);
            members.push((name, content));
        }
        Ok(members)
    }

    fn archive(parts: &[&[u8]]) -> Vec<u8> {
        [MAGIC.as_slice(), &parts.concat()].concat()
    }

    #[test]
    fn members_are_read_and_skipped() {
        let bytes = archive(&[&header("debian-binary", "4"), b"2.0\n", &header("data.tar/", "3"), b"abc\n"]);
        let members = read(&bytes).unwrap();
        assert_eq!(members, [("debian-binary".into(), b"2.0\n".to_vec()), ("data.tar".into(), b"abc".to_vec())]);
        let mut reader = ArReader::new(bytes.as_slice()).unwrap();
        reader.next_member().unwrap();
        assert_eq!(reader.next_member().unwrap(), Some(("data.tar".into(), 3)), "content not taken is skipped");
        assert_eq!(reader.next_member().unwrap(), None);
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = archive(&[&header("a", "4"), b"2.0\n", &header("b", "3"), b"abc\n"]);
        let whole_members = [8, 8 + 64];
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end]).is_ok(), whole_members.contains(&end), "cut at {end}");
        }
    }

    #[test]
    fn hostile_members_are_refused() {
        let names = ["/", "//", "/12", "#1/20", "../moo", "a/b", "", ".", "..", "a\\b", "a\u{7}"];
        for name in names {
            assert!(read(&archive(&[&header(name, "0")])).is_err(), "{name:?}");
        }
        for size in ["-1", "0x1", "", " 1", "99999999999", "1_0"] {
            assert!(read(&archive(&[&header("a", size), b"11"])).is_err(), "{size:?}");
        }
        assert!(read(&archive(&[&header("a", "0"), &header("a/", "0")])).is_err(), "doubled");
        assert!(read(b"!<thin>\n").is_err());
    }

    #[test]
    fn traversal_archives_are_refused() {
        let Some(folder) = crate::tar::tests::data("attacks/traversal") else { return };
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "a") {
                assert!(read(&std::fs::read(&path).unwrap()).is_err(), "{}", path.display());
                seen += 1;
            }
        }
        assert_eq!(seen, 4);
    }
}
