//! RECORD of a wheel: a table (CSV) of its files with hash and size (PyPA, binary distribution format).
//!
//! Installing adds files, so it adds lines. Where nothing else changes, they are put behind the wheel's own bytes, which
//! need not be recompressed; where files move (`.data`) or change (shebangs), the table is written anew.

use std::collections::BTreeMap;

use base64::Engine as _;
use corten_oci::Digest;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Of the file, below site-packages.
    pub path: String,
    /// `sha256=…`, or empty.
    pub hash: String,
    /// Bytes, where it stands there.
    pub size: Option<u64>,
}

impl Line {
    /// The line of a file that installing has written.
    pub(super) fn of(path: String, content: &[u8]) -> Self {
        Self::hashed(path, &Digest::of(content), content.len() as u64)
    }

    /// The line of a file whose content has been hashed.
    pub(super) fn hashed(path: String, digest: &Digest, size: u64) -> Self {
        Self { path, hash: format!("sha256={}", base64_url(digest.as_bytes())), size: Some(size) }
    }

    /// The line of RECORD itself.
    pub(super) fn bare(path: String) -> Self {
        Self { path, hash: String::new(), size: None }
    }

    pub(super) fn text(&self) -> String {
        let size = self.size.map(|size| size.to_string()).unwrap_or_default();
        format!("{},{},{size}", quoted(&self.path), self.hash)
    }
}

/// A RECORD as it came.
#[derive(Debug)]
pub(super) struct Record {
    lines: Vec<Line>,
    ending: &'static str,
    ended: bool,
}

impl Record {
    /// Reads and checks: three fields, paths that stay inside, no path twice, no weak hash.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut lines: Vec<Line> = Vec::new();
        for (number, text) in text.split('\n').enumerate() {
            let text = text.strip_suffix('\r').unwrap_or(text);
            if !text.is_empty() {
                lines.push(line(text).map_err(|why| format!("RECORD, line {}: {why}", number + 1))?);
            }
        }
        let mut seen = BTreeMap::new();
        for line in &lines {
            if seen
                .insert(line.path.as_str(), (&line.hash, line.size))
                .is_some_and(|known| known != (&line.hash, line.size))
            {
                return Err(format!("RECORD names '{}' twice, and not the same", line.path));
            }
        }
        let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Ok(Self { lines, ending, ended: text.is_empty() || text.ends_with('\n') })
    }

    /// Must name the members (name, size in bytes); `own`: its own path, whose signatures need no line. Gives what it names
    /// beside them, as wheels that were repacked do: no such file is installed, so neither is its line, as uv has it.
    pub(super) fn check<'a>(
        &self,
        members: impl Iterator<Item = (&'a str, u64)>,
        own: &str,
    ) -> Result<Vec<&str>, String> {
        let mut named: BTreeMap<&str, Option<u64>> =
            self.lines.iter().map(|line| (line.path.as_str(), line.size)).collect();
        for (name, size) in members {
            let unsigned = name.strip_prefix(own).is_some_and(|rest| matches!(rest, "" | ".jws" | ".p7s"));
            match named.remove(name) {
                Some(Some(listed)) if listed != size && name != own => {
                    return Err(format!("RECORD gives '{name}' {listed} bytes, it has {size}"));
                }
                Some(_) => {}
                None if unsigned => {}
                None => return Err(format!("'{name}' is not in RECORD")),
            }
        }
        Ok(named.into_keys().filter(|name| !name.ends_with('/')).collect())
    }

    /// What to put behind the wheel's own text.
    pub(super) fn suffix(&self, added: &[Line]) -> String {
        let mut suffix = String::new();
        if !self.ended {
            suffix.push_str(self.ending);
        }
        for line in added {
            suffix.push_str(&line.text());
            suffix.push_str(self.ending);
        }
        suffix
    }

    /// The table anew: `change` gives the line that takes a line's place, or none where its file is not installed.
    pub(super) fn rewritten(&self, change: impl Fn(&Line) -> Option<Line>, added: &[Line]) -> String {
        let lines = self.lines.iter().filter_map(change).chain(added.iter().cloned());
        lines.map(|line| line.text() + self.ending).collect()
    }
}

fn line(text: &str) -> Result<Line, String> {
    let fields = fields(text).ok_or("quotes that do not match")?;
    let (path, hash, size) = match <[String; 3]>::try_from(fields) {
        Ok([path, hash, size]) => (path, hash, size),
        Err(fields) => return Err(format!("{} fields instead of 3", fields.len())),
    };
    let climbs = path.starts_with('/') || path.contains('\\') || path.split('/').any(|part| part == "..");
    if path.is_empty() || climbs {
        return Err(format!("path '{path}' leads out of the wheel"));
    }
    if let Some((algorithm, _)) = hash.split_once('=')
        && matches!(algorithm, "md5" | "sha1")
    {
        return Err(format!("hash of '{path}' is {algorithm}, which is too weak"));
    }
    let size = match size.as_str() {
        "" => None,
        digits => Some(digits.parse().map_err(|_| format!("size '{digits}' of '{path}' is no number"))?),
    };
    Ok(Line { path, hash, size })
}

/// Fields of a line of CSV (RFC 4180); a line feed inside quotes is not understood (no path has one).
fn fields(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut field, mut inside) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, inside) {
            ('"', true) if characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            ('"', true) => inside = false,
            ('"', false) if field.is_empty() => inside = true,
            (',', false) => fields.push(std::mem::take(&mut field)),
            (other, _) => field.push(other),
        }
    }
    fields.push(field);
    (!inside).then_some(fields)
}

fn quoted(path: &str) -> String {
    if path.contains([',', '"', '\r', '\n']) { format!("\"{}\"", path.replace('"', "\"\"")) } else { path.to_owned() }
}

fn base64_url(bytes: &[u8]) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line is the one that uv 0.13.9 writes for its INSTALLER.
    #[test]
    fn hashes_are_written_as_the_specification_says() {
        let line = Line::of("uvicorn-0.54.0.dist-info/INSTALLER".to_owned(), b"uv");
        assert_eq!(
            line.text(),
            "uvicorn-0.54.0.dist-info/INSTALLER,sha256=5hhM4Q4mYTT9z6QB6PGpUAW81PGNFrYrdXMj4oM_6ak,2"
        );
        assert_eq!(
            Line::of("a,b".to_owned(), b"").text(),
            "\"a,b\",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"
        );
    }

    #[test]
    fn lines_are_added_with_the_endings_that_are_there() {
        let added = [Line::of("x".to_owned(), b"")];
        let line = "x,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0";
        let suffix = |text: &str| Record::parse(text).unwrap().suffix(&added);
        assert_eq!(suffix("a,,\n"), format!("{line}\n"));
        assert_eq!(suffix("a,,\r\nb,,\r\n"), format!("{line}\r\n"));
        assert_eq!(suffix("a,,\r\nb,,"), format!("\r\n{line}\r\n"));
        assert_eq!(suffix("a,,"), format!("\n{line}\n"));
    }

    #[test]
    fn moved_files_are_renamed_in_place() {
        let record = Record::parse("a,sha256=x,1\n\"b,c\",,\nd,,\n").unwrap();
        let change = |line: &Line| match line.path.as_str() {
            "a" => None,
            "d" => Some(Line { path: "../d".to_owned(), ..line.clone() }),
            _ => Some(line.clone()),
        };
        assert_eq!(record.rewritten(change, &[]), "\"b,c\",,\n../d,,\n");
    }

    /// Attack F4.
    #[test]
    fn a_record_that_lies_is_refused() {
        for text in [
            "a\n",
            "a,b\n",
            "a,b,c,d\n",
            "../a,,\n",
            "/a,,\n",
            "a\\b,,\n",
            "a,md5=x,1\n",
            "a,,x\n",
            "a,,1\na,,2\n",
            "\"a,,\n",
            ",,\n",
        ] {
            assert!(Record::parse(text).is_err(), "{text:?}");
        }
        let record = Record::parse("a,sha256=x,1\nd/RECORD,,\nfolder/,,\n").unwrap();
        let check = |members: &[(&'static str, u64)]| record.check(members.iter().copied(), "d/RECORD");
        check(&[("a", 1), ("d/RECORD", 99), ("d/RECORD.jws", 5)]).unwrap();
        assert!(check(&[("a", 2), ("d/RECORD", 99)]).is_err());
        assert!(check(&[("a", 1), ("b", 1), ("d/RECORD", 99)]).is_err());
        assert_eq!(check(&[("d/RECORD", 99)]).unwrap(), ["a"], "easyocr 1.7.2 has such a line");
    }
}
