//! Packages that only have a source distribution.

use std::io::Write;

use corten_layer::write::{Compression, LayerWriter};
use corten_oci::{Entry, Kind, LayerPath};
use serde_json::json;

use crate::repositories::lock_as;
use crate::service::{Service, Wheel, digest, wheels};
use crate::told::refuses;

/// The name of the one that is locked instead of tensor's wheel.
pub const FILE: &str = "tensor-2.0.tar.gz";

const STATIC: [(&str, &str); 4] = [
    (
        "tensor-2.0/pyproject.toml",
        "[build-system]\nrequires = [\"flit_core\"]\nbuild-backend = \"flit_core.buildapi\"\n[project]\nname = \"tensor\"\nversion = \"2.0\"\nrequires-python = \">=3\"\ndescription = \"d\"\n",
    ),
    ("tensor-2.0/tensor/__init__.py", "made = 'of source'\n"),
    ("tensor-2.0/tensor/data.txt", "data\n"),
    ("tensor-2.0/PKG-INFO", "Metadata-Version: 2.1\nName: tensor\nVersion: 2.0\n"),
];

fn entry(path: &str, kind: Kind, size: usize) -> Entry {
    let path = LayerPath::new(path).unwrap();
    Entry { path, kind, mode: 0o644, uid: 0, gid: 0, size: size as u64, crc32: None, offset: 0, package: None }
}

/// An archive of these files, and of things that are none.
pub fn sdist(files: &[(&str, &str)], more: &[(&str, Kind)]) -> Vec<u8> {
    let mut writer = LayerWriter::new(Vec::new(), Compression::Splice, 1_700_000_000);
    for (path, text) in files {
        writer.file(entry(path, Kind::File, text.len()), &mut text.as_bytes()).unwrap();
    }
    for (path, kind) in more {
        writer.bare(entry(path, kind.clone(), 0)).unwrap();
    }
    let (mut bytes, _) = writer.finish().unwrap();
    bytes.flush().unwrap();
    bytes
}

/// A service whose lock has `bytes` as tensor's only file.
fn with_sdist(bytes: Vec<u8>) -> Service {
    let service = Service::filled();
    let mut wheels = wheels();
    service.index.add("tensor", FILE, &bytes);
    wheels[1] = Wheel { file: FILE.to_owned(), bytes, ..wheels[1].clone() };
    service.write("uv.lock", service.lock_of(&wheels));
    service
}

#[test]
fn a_static_source_distribution_is_installed_without_running_it() {
    let service = with_sdist(sdist(&STATIC, &[]));
    let plan = service.run("plan --format json").expect(0).json();
    let tensor = &plan["packages"][1];
    assert_eq!((&tensor["name"], &tensor["file"]), (&json!("tensor"), &json!("tensor-2.0-py3-none-any.whl")));
    let source = tensor["source"].as_str().unwrap();
    assert!(source.starts_with("computed as flit-core ") && source.contains(FILE), "{source}");
    let text = service.run("plan").expect(0).stdout;
    assert!(text.contains("PACKAGES WITHOUT A WHEEL\ntensor 2.0: computed as flit-core"), "{text}");

    let first = digest(&service.run("ship --format json"));
    assert_eq!(first, digest(&service.run("ship --format json")), "and again");
    assert_eq!(service.index.server().server().count(&format!("/files/{FILE}")), 1, "fetched once");
    let bill = service.run(&format!("sbom {first}")).expect(0).json();
    let packages = bill["packages"].as_array().unwrap();
    let tensor = packages.iter().find(|package| package["name"] == "tensor").unwrap();
    assert!(tensor["sourceInfo"].as_str().unwrap().contains("; computed as flit-core"), "{tensor}");
    assert!(tensor["downloadLocation"].as_str().unwrap().ends_with(FILE), "{tensor}");
}

#[test]
fn wheels_that_were_made_are_made_again_when_they_are_gone() {
    let service = with_sdist(sdist(&STATIC, &[]));
    let first = digest(&service.run("ship --format json"));
    for folder in ["blobs/sha256", "cache"] {
        let folder = service.corten.store().join(folder);
        for one in std::fs::read_dir(&folder).unwrap().filter(|_| folder.ends_with("sha256")) {
            std::fs::remove_file(one.unwrap().path()).unwrap();
        }
    }
    assert_eq!(first, digest(&service.run("ship --format json")));
}

#[test]
fn hostile_archives_are_refused() {
    let cases = [
        (
            sdist(&[("tensor-2.0/x", ""), ("other/x", "")], &[]),
            "'other/x' does not lie in the one folder that a source distribution has",
        ),
        (
            sdist(&[("tensor-2.0/x", "")], &[("tensor-2.0/l", Kind::Symlink("/etc/passwd".into()))]),
            "the link 'tensor-2.0/l' leaves it: '/etc/passwd'",
        ),
        (
            sdist(&[("tensor-2.0/x", "")], &[("tensor-2.0/l", Kind::Symlink("a/../../x".into()))]),
            "the link 'tensor-2.0/l' leaves it: 'a/../../x'",
        ),
        (
            // As text `e` stays inside; followed, `x` makes it lead above the folder, and `e/evil` would lie there.
            sdist(
                &[("tensor-2.0/a/b/y", "")],
                &[
                    ("tensor-2.0/a/b/x", Kind::Symlink("../..".into())),
                    ("tensor-2.0/e", Kind::Symlink("a/b/x/../..".into())),
                    ("tensor-2.0/e/evil", Kind::Symlink("y".into())),
                ],
            ),
            "'tensor-2.0/e/evil' lies below a link",
        ),
        (
            sdist(&[("tensor-2.0/x", "")], &[("tensor-2.0/p", Kind::Fifo)]),
            "'tensor-2.0/p' is neither a file nor a folder nor a link",
        ),
        (
            sdist(
                &[],
                &[
                    ("tensor-2.0", Kind::Directory),
                    ("tensor-2.0/l", Kind::Symlink(".".into())),
                    ("tensor-2.0/l/x", Kind::Directory),
                ],
            ),
            "'tensor-2.0/l' is there twice, once as a link",
        ),
        (b"<html>Please log in</html>".to_vec(), "…"),
    ];
    for (bytes, why) in cases {
        let expected = format!(
            "\nerror: unpacking {FILE}: {why}\n  --> ./uv.lock:12:8\n   |\n12 | name = \"tensor\"\n   |        ^^^^^^^^\nhint: lock another version of the package, or tell its maintainers\n"
        );
        refuses(&with_sdist(bytes), "plan", 1, &expected);
    }
}

#[test]
fn another_package_than_the_locked_one_is_refused() {
    let mut files = STATIC;
    let other = STATIC[0].1.replace("version = \"2.0\"", "version = \"2.1\"");
    files[0].1 = &other;
    refuses(
        &with_sdist(sdist(&files, &[])),
        "plan",
        1,
        r#"
error: tensor-2.0.tar.gz is locked as tensor 2.0, but says that it is tensor 2.1
  --> ./uv.lock:12:8
   |
12 | name = "tensor"
   |        ^^^^^^^^
hint: lock again; if it stays so, tell the package's maintainers
"#,
    );
}

/// Locks a source distribution that lies in the project.
fn on_disk(service: &Service, bytes: &[u8], digest: corten_oci::Digest) {
    std::fs::create_dir_all(service.folder().join("vendor")).unwrap();
    service.write(&format!("vendor/{FILE}"), bytes);
    lock_as(service, &format!("source = {{ path = \"vendor/{FILE}\" }}\nsdist = {{ hash = \"{digest}\" }}"));
}

#[test]
fn source_distributions_on_disk_are_held_to_their_hash() {
    let (service, bytes) = (Service::filled(), sdist(&STATIC, &[]));
    on_disk(&service, &bytes, corten_oci::Digest::of(&bytes));
    let plan = service.run("plan --format json").expect(0).json();
    let source = plan["packages"][1]["source"].as_str().unwrap();
    assert!(source.starts_with("computed as flit-core ") && source.contains(FILE), "{source}");
    digest(&service.run("build --format json"));
    digest(&service.run("build --format json --locked --no-cache"));

    on_disk(&service, &bytes, corten_oci::Digest::of("another"));
    let ran = service.run("plan");
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains(&format!("vendor/{FILE} is not the file that was locked: expected sha256:")),
        "{}",
        ran.stderr
    );
}
