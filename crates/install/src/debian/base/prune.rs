//! Which files of a package are left out.
//!
//! slim leaves out documentation as Debian's own slim images do, in dpkg's words (`path-exclude`), and ships those
//! words, so that a later `apt-get install` leaves out the same. distroless leaves out more, and of packages that only
//! configure others it keeps a few paths alone. Copyright files always stay.

use corten_oci::{Entry, Kind, LayerPath};

use crate::debian::Variant;

/// Below `usr/share`: documentation and translations.
const SLIM: [&str; 7] = ["man", "doc", "locale", "groff", "info", "linda", "lintian"];

/// Below `usr/share`: what no program reads.
const DISTROLESS: [&str; 13] = [
    "man",
    "locale",
    "info",
    "lintian",
    "bug",
    "doc-base",
    "menu",
    "bash-completion",
    "pixmaps",
    "applications",
    "gdb",
    "debconf",
    "gcc",
];

/// Packages of which distroless keeps these paths, and what is below them, alone.
const PARTIAL: [(&str, &[&str]); 5] = [
    ("libc-bin", &["etc", "usr/sbin/ldconfig", "usr/lib/locale", "usr/share/libc-bin"]),
    ("base-passwd", &["usr/share/base-passwd"]),
    ("ca-certificates", &["usr/share/ca-certificates"]),
    ("tzdata", &["usr/share/zoneinfo"]),
    (
        "openssl",
        &[
            "etc/ssl/openssl.cnf",
            "etc/ssl/certs",
            "usr/lib/ssl/certs",
            "usr/lib/ssl/cert.pem",
            "usr/lib/ssl/openssl.cnf",
        ],
    ),
];

/// Files of kept packages that are of no use in distroless: a script without its shell, a folder of root's staff.
const UNUSABLE: [(&str, &str); 3] =
    [("base-files", "etc/update-motd.d"), ("base-files", "var/local"), ("base-files", "usr/share/base-files")];

/// Is an entry of a package left out? Its path is as in the archive; `/bin` and the like count as below `/usr`.
pub(super) fn is_pruned(variant: Variant, package: &str, entry: &Entry) -> bool {
    let path = below_usr(&entry.path);
    let Some(path) = path.as_str() else { return false };
    match variant {
        Variant::Slim => is_excluded(path, &entry.kind),
        Variant::Distroless => is_unused(package, path, &entry.kind),
    }
}

/// Is of this package only a part in a distroless base?
pub(in crate::debian) fn is_partial(package: &str) -> bool {
    PARTIAL.iter().any(|(name, _)| *name == package)
}

/// `/etc/dpkg/dpkg.cfg.d/corten`: the same rules in dpkg's words.
pub(super) fn dpkg_configuration() -> String {
    let lines = SLIM.iter().map(|folder| format!("path-exclude=/usr/share/{folder}/*\n"));
    "# Left out of this image, and of packages that are installed later.\n".to_owned()
        + &lines.collect::<String>()
        + "path-include=/usr/share/doc/*/copyright\n"
}

/// With `bin`, `sbin` and the libraries below `usr`.
pub(super) fn below_usr(path: &LayerPath) -> LayerPath {
    let bytes = path.as_bytes();
    let first = bytes.split(|&byte| byte == b'/').next().unwrap_or_default();
    let merged: [&[u8]; 7] = [b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32", b"libo32"];
    match merged.contains(&first) {
        true => LayerPath::new([b"usr/", bytes].concat()).unwrap_or_else(|_| path.clone()),
        false => path.clone(),
    }
}

/// dpkg's `filter_should_skip`: a directory or link stays if something below it may be included again.
fn is_excluded(path: &str, kind: &Kind) -> bool {
    let Some((folder, rest)) = path.strip_prefix("usr/share/").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let is_stem = matches!(kind, Kind::Directory | Kind::Symlink(_));
    let is_included = folder == "doc" && (is_stem || rest.ends_with("/copyright"));
    SLIM.contains(&folder) && !is_included
}

fn is_unused(package: &str, path: &str, kind: &Kind) -> bool {
    if let Some((folder, rest)) = path.strip_prefix("usr/share/").and_then(|rest| rest.split_once('/'))
        && folder == "doc"
    {
        // A package's folder may be a link to that of another package, which has the copyright.
        let is_top = !rest.contains('/') && matches!(kind, Kind::Directory | Kind::Symlink(_));
        let is_copyright = rest.split_once('/').is_some_and(|(_, file)| file == "copyright");
        return !(is_top || is_copyright);
    }
    let is_below =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let in_share = |folder: &&str| is_below(&format!("usr/share/{folder}"));
    let kept = PARTIAL.iter().find(|(name, _)| *name == package);
    DISTROLESS.iter().any(in_share)
        || UNUSABLE.iter().any(|(name, folder)| *name == package && is_below(folder))
        || kept.is_some_and(|(_, paths)| !paths.iter().any(|kept| is_below(kept)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pruned(variant: Variant, package: &str, path: &str, kind: Kind) -> bool {
        let path = LayerPath::new(path).unwrap();
        let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, size: 0, crc32: None, offset: 0, package: None };
        is_pruned(variant, package, &entry)
    }

    #[test]
    fn copyright_stays_and_documents_go() {
        for variant in [Variant::Slim, Variant::Distroless] {
            assert!(!pruned(variant, "a", "usr/share/doc/a/copyright", Kind::File));
            assert!(!pruned(variant, "a", "usr/share/doc/a", Kind::Symlink("b".into())));
            assert!(pruned(variant, "a", "usr/share/doc/a/changelog.gz", Kind::File));
            assert!(pruned(variant, "a", "usr/share/man/man1/a.1.gz", Kind::File));
            assert!(pruned(variant, "a", "usr/share/locale/de/LC_MESSAGES/a.mo", Kind::File));
            assert!(!pruned(variant, "a", "usr/share/localedata", Kind::File));
        }
    }

    #[test]
    fn partial_packages_keep_their_paths_alone() {
        let pruned = |path| pruned(Variant::Distroless, "libc-bin", path, Kind::File);
        assert!(!pruned("sbin/ldconfig") && !pruned("usr/sbin/ldconfig") && !pruned("etc/ld.so.conf"));
        assert!(pruned("usr/bin/ldd") && pruned("usr/sbin/ldconfig2"));
    }
}
