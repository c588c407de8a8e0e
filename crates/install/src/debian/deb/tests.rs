use super::super::fixture::{FakeDeb, write_parts};
use super::*;

fn read(file: &DebFile) -> Result<Deb, DebError> {
    Deb::read(file, |_| true)
}

fn refused(parts: &[(String, Vec<u8>)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    read(&write_parts(folder.path(), "a", parts)).unwrap_err().to_string()
}

#[test]
fn a_package_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let fake =
        FakeDeb::new("a").member("postinst", "#!/bin/sh\n").folder("usr").file("usr/b", "content").file("usr/c", "no");
    let deb = Deb::read(&fake.write(folder.path()), |entry| entry.path.name() != b"c").unwrap();
    assert_eq!(deb.control.get("Version"), Some("1-1"));
    assert_eq!(deb.member("postinst"), Some(&b"#!/bin/sh\n"[..]));
    let contents: Vec<_> =
        deb.entries.iter().map(|file| (file.entry.path.to_string(), file.content.as_deref())).collect();
    assert_eq!(contents, [("usr".into(), None), ("usr/b".into(), Some(&b"content"[..])), ("usr/c".into(), None)]);
}

#[test]
fn another_package_than_asked_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, version, architecture) in [("b", "1-1", "amd64"), ("a", "1-2", "amd64"), ("a", "1-1", "all")] {
        let path = FakeDeb::new("a").write(folder.path()).path;
        let (name, version, architecture) = (name.to_owned(), version.to_owned(), architecture.to_owned());
        let error = read(&DebFile { name, version, architecture, path }).unwrap_err();
        assert!(error.to_string().contains("was asked for"), "{error}");
    }
}

#[test]
fn members_are_three_in_this_order() {
    let good = FakeDeb::new("a").parts();
    let folder = tempfile::tempdir().unwrap();
    assert!(read(&write_parts(folder.path(), "a", &good)).is_ok());
    let swapped = [good[0].clone(), good[2].clone(), good[1].clone()];
    assert!(refused(&swapped).contains("stands where control.tar is expected"));
    assert!(refused(&good[1..]).contains("debian-binary"));
    assert!(refused(&good[..2]).contains("data.tar is missing"));
    let more = [good.as_slice(), &[("data.tar.xz".into(), Vec::new())]].concat();
    assert!(refused(&more).contains("follows data.tar"));
    let mut other = good.clone();
    other[0].1 = b"3.0\n".to_vec();
    assert!(refused(&other).contains("3.0"));
    other = good;
    other[2].0 = "data.tar.lzma".into();
    assert!(refused(&other).contains("data.tar.lzma"));
}

#[test]
fn what_no_base_may_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for kind in [Kind::CharacterDevice(1, 3), Kind::BlockDevice(8, 0), Kind::Fifo, Kind::Whiteout] {
        let deb = FakeDeb::new("a").entry("dev/x", kind.clone(), 0o600, b"").write(folder.path());
        assert!(read(&deb).unwrap_err().to_string().contains("no base may have"), "{kind:?}");
    }
}

#[test]
fn control_files_are_one_plain_stanza() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["", "Package: b", "no field"] {
        assert!(read(&FakeDeb::new("a").field(line).field("X: y").write(folder.path())).is_err(), "{line:?}");
    }
    assert!(read(&FakeDeb::new("a").member("a/b", "").write(folder.path())).is_err());
}

#[test]
fn no_cut_panics_or_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let deb = FakeDeb::new("a").file("usr/b", "content").write(folder.path());
    let bytes = std::fs::read(&deb.path).unwrap();
    for end in (0..bytes.len()).step_by(97) {
        std::fs::write(&deb.path, &bytes[..end]).unwrap();
        assert!(read(&deb).is_err(), "cut at {end}");
    }
}

#[test]
fn conffiles_are_absolute_paths() {
    let found: Vec<_> =
        conffiles(b"/etc/a\nremove-on-upgrade /etc/b\n/etc/../c\n/etc/d  \n").map(|(text, _)| text).collect();
    assert_eq!(found, ["/etc/a", "/etc/d"]);
}
