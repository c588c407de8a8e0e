//! dpkg's database: how scanners, and dpkg itself in slim, know what is installed.
//!
//! | variant | files |
//! |---|---|
//! | distroless | `var/lib/dpkg/status.d/NAME` (the .deb's own control file), `NAME.md5sums` |
//! | slim | `status`, `info/*`, `triggers/*`, `diversions`, `arch`; apt's `extended_states` |
//!
//! Never both: scanners would count every package twice. Source: dpkg 1.21 and 1.22, `lib/dpkg/parse.c` (order of
//! fields), `dump.c`, `triglib.c`, `divertdb.c`; debian.org's base images.

use std::collections::{BTreeMap, BTreeSet};

use corten_oci::{Architecture, LayerPath};
use corten_package::deb::Version;
use md5::{Digest as _, Md5};

use super::base::{Package, Tree};
use super::control::{Control, write_field};
use super::deb::conffiles;

/// A file of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFile {
    /// Where, below the image's root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Index of the package that it is about, if about one.
    pub package: Option<usize>,
}

/// The fields that dpkg knows, in its order. Others follow in the order of the control file.
const FIELD_ORDER: [&str; 25] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
];

/// The database of distroless.
pub fn status_folder(packages: &[Package]) -> Vec<DatabaseFile> {
    let mut files = Vec::new();
    for (index, package) in packages.iter().enumerate() {
        let name = package.control.package();
        let mut text = String::new();
        package.control.fields().for_each(|(field, value)| write_field(&mut text, field, value));
        files.push(file(format!("status.d/{name}"), text.into_bytes(), Some(index)));
        if let Some(sums) = package.member("md5sums") {
            files.push(file(format!("status.d/{name}.md5sums"), sums.to_vec(), Some(index)));
        }
    }
    files
}

/// The database of slim. `tree` holds the unpacked conffiles.
pub fn database(packages: &[Package], tree: &Tree, architecture: Architecture) -> Vec<DatabaseFile> {
    let mut files = vec![
        file("status".into(), status(packages, tree).into_bytes(), None),
        file("diversions".into(), diversions(packages, tree, architecture).into_bytes(), None),
        file("arch".into(), format!("{}\n", architecture.go_name()).into_bytes(), None),
        file("info/format".into(), b"1\n".to_vec(), None),
    ];
    if writes_native_architecture(packages) {
        files.push(file("arch-native".into(), format!("{}\n", architecture.go_name()).into_bytes(), None));
    }
    for (index, package) in packages.iter().enumerate() {
        let name = package.control.file_name();
        files.push(file(format!("info/{name}.list"), file_list(package), Some(index)));
        for member in &package.members {
            let mut member_file = file(format!("info/{name}.{}", member.name), member.content.clone(), Some(index));
            member_file.mode = member.mode;
            files.push(member_file);
        }
    }
    files.extend(triggers(packages));
    files
}

/// Since dpkg 1.22.
fn writes_native_architecture(packages: &[Package]) -> bool {
    let dpkg = packages.iter().find(|package| package.control.package() == "dpkg");
    let version: Option<Version> = dpkg.and_then(|package| package.control.get("Version")?.parse().ok());
    version.zip("1.22".parse().ok()).is_some_and(|(version, since)| version >= since)
}

/// apt's note of what nobody asked for: everything but `seeds` and what is essential.
pub fn extended_states(packages: &[Package], seeds: &[&str], architecture: Architecture) -> String {
    let is_automatic = |package: &&Package| {
        let control = &package.control;
        control.get("Essential") != Some("yes") && !seeds.contains(&control.package())
    };
    let mut text = String::new();
    for package in packages.iter().filter(is_automatic) {
        let own = package.control.get("Architecture").filter(|own| *own != "all");
        let own = own.unwrap_or(architecture.go_name());
        text += &format!("Package: {}\nArchitecture: {own}\nAuto-Installed: 1\n\n", package.control.package());
    }
    text
}

fn file(name: String, content: Vec<u8>, package: Option<usize>) -> DatabaseFile {
    DatabaseFile { path: format!("var/lib/dpkg/{name}"), mode: 0o644, content, package }
}

fn status(packages: &[Package], tree: &Tree) -> String {
    let mut text = String::new();
    for package in packages {
        stanza(&mut text, &package.control, package.member("conffiles").unwrap_or_default(), tree);
        text.push('\n');
    }
    text
}

fn stanza(text: &mut String, control: &Control, conffile_list: &[u8], tree: &Tree) {
    for name in FIELD_ORDER {
        match name {
            "Status" => write_field(text, name, "install ok installed"),
            "Conffiles" => {
                let mut value = String::new();
                for (spelled, path) in conffiles(conffile_list) {
                    value += &format!("\n {spelled} {}", checksum(tree, &path));
                }
                if !value.is_empty() {
                    write_field(text, name, &value);
                }
            }
            _ => {
                if let Some(value) = control.get(name) {
                    write_field(text, name, value);
                }
            }
        }
    }
    let is_known = |name: &str| FIELD_ORDER.iter().any(|known| known.eq_ignore_ascii_case(name));
    control.fields().filter(|(name, _)| !is_known(name)).for_each(|(name, value)| write_field(text, name, value));
}

/// As dpkg spells it for a file that is not there.
fn checksum(tree: &Tree, path: &LayerPath) -> String {
    let Some(content) = tree.read(path.as_bytes()) else { return "newconffile".to_owned() };
    Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every path of the package as it stands in the archive, not where a merged `/usr` puts it.
fn file_list(package: &Package) -> Vec<u8> {
    let mut list = b"/.\n".to_vec();
    for path in package.paths.iter().filter(|path| !path.is_root()) {
        list.push(b'/');
        list.extend_from_slice(path.as_bytes());
        list.push(b'\n');
    }
    list
}

/// `triggers/File` for paths, `triggers/NAME` for names, `triggers/Unincorp` for what is pending: nothing.
fn triggers(packages: &[Package]) -> Vec<DatabaseFile> {
    let mut by_path: BTreeSet<String> = BTreeSet::new();
    let mut by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let member = String::from_utf8_lossy(package.member("triggers").unwrap_or_default()).into_owned();
        for line in member.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let (Some(directive), Some(name)) = (words.next(), words.next()) else { continue };
            let waiting = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            let who = format!("{}{waiting}", package.control.file_name());
            if name.starts_with('/') {
                by_path.insert(format!("{name} {who}\n"));
            } else if is_trigger_name(name) {
                by_name.entry(name.to_owned()).or_default().insert(format!("{who}\n"));
            }
        }
    }
    let text = |lines: BTreeSet<String>| lines.into_iter().collect::<String>().into_bytes();
    let mut files =
        vec![file("triggers/File".into(), text(by_path), None), file("triggers/Unincorp".into(), Vec::new(), None)];
    files.extend(by_name.into_iter().map(|(name, lines)| file(format!("triggers/{name}"), text(lines), None)));
    files
}

/// dpkg's own rule, and no name that is a file of dpkg's.
fn is_trigger_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b':' | b'_');
    name.bytes().all(plain) && !name.starts_with('.') && !["File", "Unincorp", "Lock"].contains(&name)
}

/// The diversions that maintainer scripts of the base packages make: bookkeeping, no file is moved by any.
fn diversions(packages: &[Package], tree: &Tree, architecture: Architecture) -> String {
    let triplet = architecture.triplet();
    let mut records: BTreeSet<[String; 3]> = BTreeSet::new();
    let mut add = |from: String, to: String, package: &str| _ = records.insert([from, to, package.to_owned()]);
    for package in packages {
        let name = package.control.package();
        let script = |member: &str| package.member(member).is_some_and(|text| has(text, b"usr-is-merged"));
        match name {
            // Debian 13's dash takes these two away.
            "dash" if package.member("postinst").is_some_and(|text| !has(text, b"drop_obsolete_diversion")) => {
                add("/bin/sh".into(), "/bin/sh.distrib".into(), name);
                if tree.exists("usr/share/man/man1") {
                    let manual = "/usr/share/man/man1/sh";
                    add(format!("{manual}.1.gz"), format!("{manual}.distrib.1.gz"), name);
                }
            }
            "libc6" if script("preinst") => {
                let loader = format!("/{}", super::bytecode::loader(architecture));
                add(loader.clone(), format!("{loader}.usr-is-merged"), name);
            }
            "libreadline8t64" | "libtirpc3t64" if script("preinst") => {
                let libraries: &[&str] = match name {
                    "libtirpc3t64" => &["libtirpc.so.3", "libtirpc.so.3.0.0"],
                    _ => &["libhistory.so.8", "libhistory.so.8.2", "libreadline.so.8", "libreadline.so.8.2"],
                };
                for library in libraries {
                    let from = format!("/lib/{triplet}/{library}");
                    add(from.clone(), format!("{from}.usr-is-merged"), name);
                }
            }
            "base-files" if script("preinst") => {
                for folder in ["lib32", "libo32", "libx32"] {
                    add(format!("/{folder}"), format!("/.{folder}.usr-is-merged"), name);
                }
            }
            _ => {}
        }
    }
    records.iter().map(|record| record.join("\n") + "\n").collect()
}

fn has(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

#[cfg(test)]
#[path = "dpkg/tests.rs"]
mod tests;
