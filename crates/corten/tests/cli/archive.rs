//! A fake Debian archive: thirteen small packages that make a whole base, for two releases of three suites each, signed by
//! a key of the test; for arm64, too, where a test asks for it.
//!
//! Its loader is a script that answers for the interpreter, so that a base is built in milliseconds.

use std::io::Write;
use std::sync::{Mutex, OnceLock};

use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{Digest, Entry, Kind, LayerPath};
use corten_testkit::archive::FileServer;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::types::{Password, Timestamp};

use crate::elf;

/// When the archive says it was published: 2023-11-14T22:13:20Z.
pub const EPOCH: u64 = 1_700_000_000;
const PUBLISHED: &str = "Tue, 14 Nov 2023 22:13:20 UTC";

/// Stand for programs.
const LOADER: &str = "the loader";
const PROGRAM: &str = "the interpreter";
const FOREIGN_LOADER: &str = "the loader for arm64";
const FOREIGN_PROGRAM: &str = "the interpreter for arm64";

/// Answers for the interpreter, with frames of eight bytes of length and the content. Of the standard library's files, whose
/// paths it gets: `code`. Of path and source: what they are, or eight bytes of ones, for what is not Python.
const ANSWER: &str = r#"
    local $/;
    my $input = <STDIN>;
    print pack("Q</a*", "code") x ($input =~ tr/\0//) and exit if $input =~ m(^/[a-z]);
    while (length $input) {
        my ($path, $source, $rest) = unpack("Q</a Q</a a*", $input);
        print $source =~ /^not Python/ ? "\xff" x 8 : pack("Q</a*", "code of $path: $source");
        $input = $rest;
    }
"#;

/// Where a package lies in the archive.
pub const LIBC: &str = "/debian/pool/libc6_2.36-9.deb";

/// Which package has which file.
const CONTENTS: &str = "/debian/dists/bookworm/main/Contents-amd64.gz";

/// Name, version, files.
type Package = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PACKAGES: [Package; 13] = [
    ("base-files", "12.4", &[("etc/debian_version", "12.4\n"), ("etc/dpkg/origins/debian", "Vendor: Debian\n")]),
    (
        "base-passwd",
        "3.6.1",
        &[
            ("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n"),
            ("usr/share/base-passwd/group.master", "root:*:0:\n"),
        ],
    ),
    ("ca-certificates", "20230311", &[]),
    ("libc-bin", "2.36-9", &[("usr/share/libc-bin/nsswitch.conf", "hosts: files dns\n")]),
    ("libc6", "2.36-9", &[("lib64/ld-linux-x86-64.so.2", LOADER)]),
    ("libgomp1", "12.2.0-14", &[]),
    ("libpython3.11-stdlib", "3.11.2-6", &[("usr/lib/python3.11/abc.py", "x = 1\n"), ("usr/lib/python3.11/os.py", "")]),
    ("libssl3", "3.0.11-1", &[]),
    ("libstdc++6", "12.2.0-14", &[]),
    ("media-types", "10.0.0", &[("etc/mime.types", "text/plain txt\n")]),
    ("netbase", "6.4", &[]),
    ("python3.11-minimal", "3.11.2-6", &[("usr/bin/python3.11", PROGRAM)]),
    ("tzdata", "2023c-5", &[("usr/share/zoneinfo/Etc/UTC", "TZif2")]),
];

/// What may be wrong with a suite's Release file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Release {
    Right,
    Expired,
    WronglySigned,
}

/// A package beside those of the base, or in place of one of the same name, in main.
#[derive(Clone, Default)]
pub struct Extra {
    pub name: &'static str,
    /// 1.0 where it is empty.
    pub version: &'static str,
    /// More lines of its control file.
    pub fields: &'static str,
    pub postinst: &'static str,
    pub files: Vec<(&'static str, Vec<u8>)>,
}

impl Extra {
    fn deb(&self) -> Vec<u8> {
        let head = format!("Package: {}\nVersion: {}\nArchitecture: amd64\n", self.name, self.version());
        let control = format!("{head}{}Description: a test\n", self.fields);
        let mut members = vec![("control".to_owned(), control.into_bytes())];
        if !self.postinst.is_empty() {
            members.push(("postinst".to_owned(), self.postinst.into()));
        }
        let files: Vec<_> = self.files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
        package_file(&members, &files)
    }

    fn path(&self) -> String {
        format!("pool/{}_{}.deb", self.name, self.version())
    }

    fn version(&self) -> &str {
        if self.version.is_empty() { "1.0" } else { self.version }
    }
}

/// A served archive and the keyring that trusts it.
pub struct Archive {
    pub server: FileServer,
    extra: Mutex<Vec<Extra>>,
    secure: Mutex<Vec<Extra>>,
}

impl Archive {
    pub fn start() -> Self {
        let archive = Self { server: FileServer::start(), extra: Mutex::default(), secure: Mutex::default() };
        archive.publish_for(&["amd64"]);
        archive
    }

    /// Publishes everything for these processors.
    pub fn publish_for(&self, architectures: &[&str]) {
        for release in ["bookworm", "trixie"] {
            for architecture in architectures {
                for package in packages(release, architecture) {
                    self.server.put(&format!("/debian/{}", package.path()).replace('+', "%2B"), package.deb());
                }
            }
            for suite in ["", "-updates", "-security"] {
                self.publish_suite(&format!("{release}{suite}"), Release::Right, architectures);
            }
        }
    }

    /// Adds packages for amd64 to bookworm, and says which has which file.
    pub fn add(&self, extra: &[Extra]) {
        let mut contents = String::new();
        for package in extra {
            self.server.put(&format!("/debian/{}", package.path()), package.deb());
            for (path, _) in &package.files {
                contents += &format!("{path}    libs/{}\n", package.name);
            }
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(contents.as_bytes()).unwrap();
        self.server.put(CONTENTS, encoder.finish().unwrap());
        *self.extra.lock().unwrap() = extra.to_vec();
        self.publish("bookworm", Release::Right);
    }

    /// Publishes newer versions of packages for amd64 in bookworm's security suite.
    pub fn secure(&self, updates: &[Extra]) {
        for package in updates {
            self.server.put(&format!("/debian-security/{}", package.path()).replace('+', "%2B"), package.deb());
        }
        *self.secure.lock().unwrap() = updates.to_vec();
        self.publish("bookworm-security", Release::Right);
    }

    fn extra(&self, suite: &str) -> Vec<Extra> {
        match suite {
            "bookworm" => self.extra.lock().unwrap().clone(),
            "bookworm-security" => self.secure.lock().unwrap().clone(),
            _ => Vec::new(),
        }
    }

    /// Publishes a suite's state for amd64; all packages are in main.
    pub fn publish(&self, suite: &str, release: Release) {
        self.publish_suite(suite, release, &["amd64"]);
    }

    fn publish_suite(&self, suite: &str, release: Release, architectures: &[&str]) {
        let folder = folder(suite);
        let extra = self.extra(suite);
        let contents = self.server.content(CONTENTS).filter(|_| suite == "bookworm");
        self.server
            .put(&format!("{folder}/InRelease"), signed(suite, release, architectures, &extra, contents.as_deref()));
        for architecture in architectures {
            let index = packages_index(suite, architecture, &extra);
            self.server.put(&format!("{folder}/main/binary-{architecture}/Packages.xz"), index);
        }
    }

    /// Changes a suite's Release file after it was signed.
    pub fn tamper(&self, suite: &str) {
        let changed = signed(suite, Release::Right, &["amd64"], &[], None).replace("Origin: Test", "Origin: Best");
        self.server.put(&format!("{}/InRelease", folder(suite)), changed);
    }

    pub fn main(&self) -> String {
        self.server.url("/debian")
    }

    pub fn security(&self) -> String {
        self.server.url("/debian-security")
    }

    /// The public key, armored, as `gpg --export --armor` writes it.
    pub fn keyring() -> String {
        public_key(&keys().0)
    }
}

fn folder(suite: &str) -> String {
    let root = if suite.ends_with("-security") { "/debian-security" } else { "/debian" };
    format!("{root}/dists/{suite}")
}

/// A package of one release for one processor.
struct Built {
    name: String,
    version: String,
    architecture: String,
    files: Vec<(String, String)>,
}

impl Built {
    /// Below the archive's root.
    fn path(&self) -> String {
        let more = if self.architecture == "amd64" { String::new() } else { format!("_{}", self.architecture) };
        format!("pool/{}_{}{more}.deb", self.name, self.version)
    }

    fn deb(&self) -> Vec<u8> {
        deb(&self.name, &self.version, &self.architecture, &self.files)
    }
}

/// What a release has: trixie the same as bookworm, with a later Python and C library.
fn packages(release: &str, architecture: &str) -> Vec<Built> {
    let of_release = |text: &str| match release {
        "trixie" if text == "libssl3" => "libssl3t64".to_owned(),
        "trixie" => text.replace("3.11.2-6", "3.13.5-2").replace("3.11", "3.13").replace("2.36", "2.41"),
        _ => text.to_owned(),
    };
    let of_processor = |path: &str| match architecture {
        "arm64" => path.replace("lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"),
        _ => path.to_owned(),
    };
    let program = |text: &str| match (architecture, text) {
        ("arm64", LOADER) => FOREIGN_LOADER.to_owned(),
        ("arm64", PROGRAM) => FOREIGN_PROGRAM.to_owned(),
        _ => text.to_owned(),
    };
    let file = |(path, text): &(&str, &str)| (of_release(&of_processor(path)), program(text));
    let package = |(name, version, files): Package| Built {
        name: of_release(name),
        version: of_release(version),
        architecture: architecture.to_owned(),
        files: files.iter().map(file).collect(),
    };
    PACKAGES.into_iter().map(package).collect()
}

fn packages_index(suite: &str, architecture: &str, extra: &[Extra]) -> Vec<u8> {
    let mut text = String::new();
    for package in extra {
        let deb = package.deb();
        text += &format!(
            "Package: {}\nVersion: {}\nArchitecture: amd64\nFilename: {}\nSize: {}\nSHA256: {}\n{}\n",
            package.name,
            package.version(),
            package.path(),
            deb.len(),
            Digest::of(&deb).hex(),
            package.fields
        );
    }
    if ["bookworm", "trixie"].contains(&suite) {
        let replaced = |package: &Built| extra.iter().any(|extra| extra.name == package.name);
        for package in packages(suite, architecture).into_iter().filter(|package| !replaced(package)) {
            let deb = package.deb();
            text += &format!(
                "Package: {}\nVersion: {}\nArchitecture: {architecture}\nFilename: {}\nSize: {}\nSHA256: {}\n\n",
                package.name,
                package.version,
                package.path(),
                deb.len(),
                Digest::of(&deb).hex()
            );
        }
    }
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn signed(suite: &str, release: Release, architectures: &[&str], extra: &[Extra], contents: Option<&[u8]>) -> String {
    let until =
        if release == Release::Expired { "Sun, 10 Dec 2023 00:00:00 UTC" } else { "Fri, 01 Jan 2100 00:00:00 UTC" };
    let mut text = format!("Origin: Test\nCodename: {suite}\nDate: {PUBLISHED}\nValid-Until: {until}\nSHA256:");
    for architecture in architectures {
        let index = packages_index(suite, architecture, extra);
        let digest = Digest::of(&index);
        text += &format!("\n {} {} main/binary-{architecture}/Packages.xz", digest.hex(), index.len());
    }
    if let Some(contents) = contents {
        text += &format!("\n {} {} main/Contents-amd64.gz", Digest::of(contents).hex(), contents.len());
    }
    let (own, strange) = keys();
    let key = if release == Release::WronglySigned { strange } else { own };
    let message =
        CleartextSignedMessage::sign(rand::thread_rng(), &text, &key.primary_key, &Password::empty()).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}

/// The archive's key, and one that nobody trusts.
fn keys() -> &'static (SignedSecretKey, SignedSecretKey) {
    static KEYS: OnceLock<(SignedSecretKey, SignedSecretKey)> = OnceLock::new();
    KEYS.get_or_init(|| (key("archive"), key("stranger")))
}

fn key(name: &str) -> SignedSecretKey {
    let parameters = SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_certify(true)
        .created_at(Timestamp::from_secs(EPOCH as u32))
        .primary_user_id(name.to_owned())
        .build()
        .unwrap();
    parameters.generate(rand::thread_rng()).unwrap()
}

fn public_key(key: &SignedSecretKey) -> String {
    SignedPublicKey::from(key.clone()).to_armored_string(ArmorOptions::default()).unwrap()
}

fn deb(name: &str, version: &str, architecture: &str, files: &[(String, String)]) -> Vec<u8> {
    let control = format!("Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nDescription: a test\n");
    let copyright = (format!("usr/share/doc/{name}/copyright"), b"as you like\n".to_vec());
    let files = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).chain([copyright]);
    package_file(&[("control".to_owned(), control.into_bytes())], &files.collect::<Vec<_>>())
}

fn package_file(members: &[(String, Vec<u8>)], files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (control, data) = (tar(members), tar(files));
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", b"2.0\n".to_vec()), ("control.tar", control), ("data.tar", data)] {
        bytes.extend(format!("{name:<16}0           0     0     100644  {:<10}`\n", content.len()).bytes());
        bytes.extend(&content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Compression::Stored, EPOCH);
    for (path, content) in files {
        let content = match std::str::from_utf8(content).unwrap_or_default() {
            LOADER => elf::becomes(elf::AMD64, &["/usr/bin/perl", "-e", ANSWER]),
            PROGRAM => elf::loaded_by(elf::AMD64, "/lib64/ld-linux-x86-64.so.2"),
            FOREIGN_LOADER => elf::becomes(elf::ARM64, &["never"]),
            FOREIGN_PROGRAM => elf::loaded_by(elf::ARM64, "/lib/ld-linux-aarch64.so.1"),
            _ => content.clone(),
        };
        let (path, mode, size) = (LayerPath::new(path).unwrap(), 0o755, content.len() as u64);
        let kind = Kind::File;
        let entry = Entry { path, kind, mode, uid: 0, gid: 0, size, crc32: None, offset: 0, package: None };
        writer.file(entry, &mut content.as_slice()).unwrap();
    }
    writer.finish().unwrap().0
}
