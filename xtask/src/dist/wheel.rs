//! A wheel that holds one program (Binary distribution format, PyPA specifications): what `bindings = "bin"` of maturin
//! makes, in a page of code.
//!
//! | member | what |
//! |---|---|
//! | `corten-V.data/scripts/corten` | the program; installers put it where programs are |
//! | `corten-V.data/data/share/…` | manual pages and completions |
//! | `corten-V.dist-info/METADATA`, `WHEEL`, `RECORD`, `licenses/LICENSE` | what installers and indexes read |
//!
//! The platform's tag says both C libraries: a static program needs neither.

use std::io::{Cursor, Write};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// A file below `data`.
pub struct Member {
    /// Its path there.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// What a wheel is made of.
pub struct Wheel<'a> {
    /// The project, and its program.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The kernel's name of the machine: `x86_64`.
    pub machine: &'a str,
    /// One line.
    pub summary: &'a str,
    /// Markdown.
    pub readme: &'a str,
    /// The licence's text.
    pub licence: &'a [u8],
    /// The program.
    pub program: &'a [u8],
    /// Further files.
    pub data: Vec<Member>,
}

impl Wheel<'_> {
    /// The wheel's file name and bytes: the same for the same contents.
    ///
    /// # Errors
    /// When the zip cannot be written.
    pub fn pack(&self) -> Result<(String, Vec<u8>), String> {
        let stem = format!("{}-{}", self.name, self.version);
        let info = |name: &str| format!("{stem}.dist-info/{name}");
        let mut files: Vec<(String, u32, Vec<u8>)> =
            vec![(format!("{stem}.data/scripts/{}", self.name), 0o755, self.program.to_vec())];
        let data =
            self.data.iter().map(|file| (format!("{stem}.data/data/{}", file.path), 0o644, file.content.clone()));
        files.extend(data);
        files.push((info("licenses/LICENSE"), 0o644, self.licence.to_vec()));
        files.push((info("METADATA"), 0o644, self.metadata().into_bytes()));
        files.push((info("WHEEL"), 0o644, self.tags().into_bytes()));
        let record = record(&files, &info("RECORD"));
        files.push((info("RECORD"), 0o644, record.into_bytes()));
        let name = format!("{stem}-py3-none-{}.whl", self.platforms().join("."));
        zipped(&files).map(|bytes| (name, bytes)).map_err(|error| format!("cannot write the wheel: {error}"))
    }

    fn platforms(&self) -> [String; 3] {
        ["manylinux_2_17", "manylinux2014", "musllinux_1_1"].map(|system| format!("{system}_{}", self.machine))
    }

    fn tags(&self) -> String {
        let tags: String = self.platforms().iter().map(|platform| format!("Tag: py3-none-{platform}\n")).collect();
        format!("Wheel-Version: 1.0\nGenerator: corten xtask dist\nRoot-Is-Purelib: false\n{tags}")
    }

    /// Core metadata 2.4.
    fn metadata(&self) -> String {
        format!(
            "Metadata-Version: 2.4\nName: {}\nVersion: {}\nSummary: {}\nLicense-Expression: Apache-2.0\nLicense-File: LICENSE\nRequires-Python: >=3.7\nClassifier: Environment :: Console\nClassifier: Operating System :: POSIX :: Linux\nClassifier: Topic :: Software Development :: Build Tools\nDescription-Content-Type: text/markdown\n\n{}",
            self.name, self.version, self.summary, self.readme
        )
    }
}

/// Every file with its hash and size; its own line has neither.
fn record(files: &[(String, u32, Vec<u8>)], own: &str) -> String {
    let line = |(path, _, content): &(String, u32, Vec<u8>)| {
        format!("{path},sha256={},{}\n", URL_SAFE_NO_PAD.encode(Sha256::digest(content)), content.len())
    };
    let lines: String = files.iter().map(line).collect();
    format!("{lines}{own},,\n")
}

fn zipped(files: &[(String, u32, Vec<u8>)]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, mode, content) in files {
        // The oldest time that a zip can say.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(*mode);
        zip.start_file(path.as_str(), options)?;
        zip.write_all(content)?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_contents_give_the_same_wheel_and_a_record_of_every_file() {
        let wheel = || Wheel {
            name: "corten",
            version: "1.2.3",
            machine: "aarch64",
            summary: "s",
            readme: "# r",
            licence: b"l",
            program: b"\x7fELF",
            data: vec![Member { path: "share/man/man1/corten.1".into(), content: b".TH".to_vec() }],
        };
        let (name, bytes) = wheel().pack().unwrap();
        assert_eq!(
            name,
            "corten-1.2.3-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl"
        );
        assert_eq!(wheel().pack().unwrap().1, bytes);
        let text = String::from_utf8_lossy(&bytes);
        for path in ["corten-1.2.3.data/scripts/corten", "corten-1.2.3.dist-info/RECORD"] {
            assert!(text.contains(path), "{path}");
        }
        let files = [("a".to_owned(), 0o644, b"x".to_vec())];
        // Of one letter x, by Python.
        assert_eq!(record(&files, "R"), "a,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1\nR,,\n");
    }
}
