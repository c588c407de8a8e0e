//! OCI layouts and docker archives: what others read, what hostile ones may not do.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use corten_oci::{Descriptor, Digest, Index, MediaType, Reference};
use corten_store::{Store, StoreError, docker_archive, layout};
use serde_json::Value;

use crate::support::{assert_clean, filled, noise, not_run, reference, snapshot, stage, stage_referrer};

const NAME: &str = "org.opencontainers.image.ref.name";

fn index(layout: &Path) -> Index {
    Index::parse(&fs::read(layout.join("index.json")).unwrap()).unwrap()
}

fn names(layout: &Path) -> Vec<String> {
    let name = |entry: &Descriptor| entry.annotations.get(NAME).cloned().unwrap_or_else(|| "-".into());
    index(layout).manifests.iter().map(name).collect()
}

fn references(tags: &[&str]) -> Vec<Reference> {
    tags.iter().map(|tag| reference(&format!("team/app:{tag}"))).collect()
}

#[test]
fn an_image_goes_out_and_comes_in_with_what_is_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manifest) = filled(&folder.path().join("store"), "team/app:1.0");
    let to = folder.path().join("layout");
    layout::export(&store, &manifest, &references(&["1.0", "sha-0123456"]), &to).unwrap();
    assert_eq!(names(&to), ["1.0", "sha-0123456", &format!("sha256-{}", manifest.hex()), "-"]);
    let entry = &index(&to).manifests[0];
    assert_eq!(entry.platform.as_ref().unwrap().to_string(), "linux/amd64");
    let blob = store.blob_path(&manifest);
    let linked = fs::metadata(to.join("blobs/sha256").join(manifest.hex())).unwrap();
    assert_eq!(linked.ino(), fs::metadata(blob).unwrap().ino(), "linked, not copied");

    let other = Store::open(folder.path().join("other")).unwrap();
    assert_eq!(layout::import(&other, &to).unwrap(), [manifest]);
    assert_eq!(other.referrers(&manifest).unwrap(), store.referrers(&manifest).unwrap());
    assert!(other.images().unwrap().is_empty());
    assert_clean(&other);
}

#[test]
fn shipping_twice_writes_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manifest) = filled(&folder.path().join("store"), "team/app:1.0");
    let to = folder.path().join("layout");
    layout::export(&store, &manifest, &references(&["1.0"]), &to).unwrap();
    let before = snapshot(&to);
    layout::export(&store, &manifest, &references(&["1.0"]), &to).unwrap();
    assert!(snapshot(&to) == before);
}

#[test]
fn a_tag_that_moves_takes_along_what_was_about_the_old_image() {
    let folder = tempfile::tempdir().unwrap();
    let (store, first) = filled(&folder.path().join("store"), "team/app:1.0");
    let batch = store.batch();
    let second = stage(&batch, &[noise(9, 5000)]);
    stage_referrer(&batch, &second, b"{}{}");
    batch.finish().unwrap();
    let to = folder.path().join("layout");
    layout::export(&store, &first, &references(&["latest", "1.0"]), &to).unwrap();
    layout::export(&store, &second.digest, &references(&["latest"]), &to).unwrap();
    let fallback = |digest: &Digest| format!("sha256-{}", digest.hex());
    let mut both = [fallback(&first), fallback(&second.digest)];
    both.sort();
    assert_eq!(names(&to), ["1.0", "latest", &both[0], &both[1], "-", "-"]);
    layout::export(&store, &second.digest, &references(&["latest", "1.0"]), &to).unwrap();
    assert_eq!(names(&to), ["1.0", "latest", &fallback(&second.digest), "-"]);
    let fresh = folder.path().join("fresh");
    layout::export(&store, &second.digest, &references(&["latest", "1.0"]), &fresh).unwrap();
    assert_eq!(fs::read(to.join("index.json")).unwrap(), fs::read(fresh.join("index.json")).unwrap());
}

#[test]
fn what_others_put_into_a_layout_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manifest) = filled(&folder.path().join("store"), "team/app:1.0");
    let to = folder.path().join("layout");
    layout::export(&store, &manifest, &references(&["1.0"]), &to).unwrap();
    let other = Store::open(folder.path().join("other")).unwrap();
    layout::import(&other, &to).unwrap();
    let batch = other.batch();
    let subject = Descriptor::new(MediaType::MANIFEST, manifest, other.size(&manifest).unwrap().unwrap());
    let signature = stage_referrer(&batch, &subject, b"signature");
    batch.finish().unwrap();
    layout::export(&other, &manifest, &[], &to).unwrap();
    layout::export(&store, &manifest, &references(&["1.0"]), &to).unwrap();
    let again = Store::open(folder.path().join("again")).unwrap();
    layout::import(&again, &to).unwrap();
    assert!(again.referrers(&manifest).unwrap().contains(&signature));
    assert_clean(&again);
}

/// A sweep holds the gate and waits for layouts: who waited for the gate with a layout locked would wait for ever.
#[test]
fn what_a_layout_takes_is_noted_before_the_layout_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manifest) = filled(folder.path(), "team/app:1.0");
    let layer = corten_oci::Manifest::parse(&store.bytes(&manifest).unwrap()).unwrap().layers[0].digest;
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    let to = folder.path().join("not a folder");
    fs::write(&to, "").unwrap();
    layout::export(&store, &manifest, &[], &to).unwrap_err();
    let leases = fs::read_dir(folder.path().join("leases")).unwrap().map(|entry| entry.unwrap().path());
    let noted: String = leases.map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(noted.contains(&format!("blob {}", layer.hex())), "{noted}");
}

/// Where links are impossible (another file system), the bytes are copied and checked.
#[test]
fn a_layout_on_another_disk_is_copied() {
    let (folder, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm"));
    let Ok(shared) = shared else { return not_run("/dev/shm cannot be written") };
    if fs::metadata(shared.path()).unwrap().dev() == fs::metadata(folder.path()).unwrap().dev() {
        return not_run("/dev/shm is on the same file system as temporary files");
    }
    let (store, manifest) = filled(folder.path(), "team/app:1.0");
    let to = shared.path().join("layout");
    layout::export(&store, &manifest, &references(&["1.0"]), &to).unwrap();
    let other = Store::open(folder.path().join("other")).unwrap();
    assert_eq!(layout::import(&other, &to).unwrap(), [manifest]);
    assert!(!to.join(".corten-incomplete").exists());
}

#[test]
fn archives_are_the_same_each_time_and_tar_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manifest) = filled(&folder.path().join("store"), "team/app:1.0");
    for (name, write) in [
        ("oci.tar", layout::export_tar as fn(&Store, &Digest, &[Reference], &mut dyn std::io::Write) -> _),
        ("docker.tar", docker_archive::export),
    ] {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        write(&store, &manifest, &references(&["1.0", "1.0", "latest"]), &mut first).unwrap();
        write(&store, &manifest, &references(&["latest", "1.0"]), &mut second).unwrap();
        assert!(first == second, "{name}");
        let path = folder.path().join(name);
        fs::write(&path, first).unwrap();
        let to = folder.path().join(name.replace(".tar", ""));
        fs::create_dir(&to).unwrap();
        let tar = Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(&to).output().unwrap();
        assert!(tar.status.success() && tar.stderr.is_empty(), "{}", String::from_utf8_lossy(&tar.stderr));
    }
    assert!(!store.referrers(&manifest).unwrap().is_empty(), "there is something to leave at home");
    let index: Value = serde_json::from_slice(&fs::read(folder.path().join("oci/index.json")).unwrap()).unwrap();
    let digests: Vec<&str> =
        index["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, [manifest.to_string(), manifest.to_string()]);
    let other = Store::open(folder.path().join("other")).unwrap();
    assert_eq!(layout::import(&other, &folder.path().join("oci")).unwrap(), [manifest]);
    let docker = folder.path().join("docker");
    let entries: Value = serde_json::from_slice(&fs::read(docker.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(entries[0]["RepoTags"], serde_json::json!(["team/app:1.0", "team/app:latest"]));
    let config = fs::read_to_string(docker.join(entries[0]["Config"].as_str().unwrap())).unwrap();
    assert!(config.contains("Healthcheck"));
    let layer = fs::read(docker.join(entries[0]["Layers"][0].as_str().unwrap())).unwrap();
    assert!(layer == noise(1, 300_000), "layers travel as they are");
}

/// The judge: another implementation reads both archives and the layout, and finds the same config and layers.
#[test]
fn skopeo_reads_what_goes_out() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        return not_run("skopeo is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let batch = store.batch();
    let image = real_image(&batch, folder.path());
    batch.finish().unwrap();
    let path = |name: &str| folder.path().join(name);
    layout::export(&store, &image, &references(&["1.0", "2.0"]), &path("layout")).unwrap();
    let mut tar = fs::File::create(path("oci.tar")).unwrap();
    layout::export_tar(&store, &image, &references(&["1.0"]), &mut tar).unwrap();
    let mut tar = fs::File::create(path("docker.tar")).unwrap();
    docker_archive::export(&store, &image, &references(&["1.0"]), &mut tar).unwrap();
    let at = folder.path().display();
    for from in [
        format!("oci:{at}/layout:2.0"),
        format!("oci-archive:{at}/oci.tar:1.0"),
        format!("docker-archive:{at}/docker.tar"),
    ] {
        let to = path("copied");
        let mut copy = Command::new("skopeo");
        let output =
            copy.args(["--insecure-policy", "copy", &from]).arg(format!("dir:{}", to.display())).output().unwrap();
        assert!(output.status.success(), "{from}: {}", String::from_utf8_lossy(&output.stderr));
        fs::remove_dir_all(to).unwrap();
    }
}

/// An image whose layer is a gzip of a tar, made by other programs.
fn real_image(batch: &corten_store::Batch<'_>, folder: &Path) -> Digest {
    fs::write(folder.join("hello"), "hello\n").unwrap();
    let run =
        |line: &str| assert!(Command::new("sh").args(["-c", line]).current_dir(folder).status().unwrap().success());
    run("tar -cf layer.tar hello && gzip -nk layer.tar");
    let (tar, layer) = (fs::read(folder.join("layer.tar")).unwrap(), fs::read(folder.join("layer.tar.gz")).unwrap());
    batch.put(&layer).unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::of(tar)
    );
    batch.put(config.as_bytes()).unwrap();
    let manifest = corten_oci::Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: None,
        config: Descriptor::of(MediaType::CONFIG, config.as_bytes()),
        layers: vec![Descriptor::of(MediaType::LAYER_GZIP, &layer)],
        subject: None,
        annotations: BTreeMap::new(),
    };
    batch.put(&crate::support::to_json(&manifest)).unwrap()
}

/// A layout that a hostile person wrote: `index.json` and blobs by content.
fn hostile(folder: &Path, index: &str, blobs: &[&[u8]]) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(folder.join("index.json"), index).unwrap();
    for blob in blobs {
        fs::write(folder.join("blobs/sha256").join(Digest::of(blob).hex()), blob).unwrap();
    }
}

fn refused(layout: &Path) -> StoreError {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let error = layout::import(&store, layout).unwrap_err();
    drop(store);
    let left = snapshot(folder.path());
    assert!(left.is_empty(), "nothing of it is stored: {left:?}");
    error
}

fn list(media_type: &str, children: &[Descriptor]) -> String {
    let children = serde_json::to_string(children).unwrap();
    format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":{children}}}"#)
}

#[test]
fn b10_damaged_and_linked_blobs_of_a_layout_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manifest) = filled(&folder.path().join("store"), "team/app:1.0");
    let tar = folder.path().join("image.tar");
    let good = folder.path().join("good");
    layout::export_tar(&store, &manifest, &references(&["1.0"]), &mut fs::File::create(&tar).unwrap()).unwrap();
    fs::create_dir(&good).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&good).status().unwrap().success());
    for (path, _, _, bytes) in snapshot(&good.join("blobs")) {
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        for wrong in [changed, [bytes.as_slice(), b"x"].concat(), bytes[1..].to_vec(), Vec::new()] {
            fs::write(&path, wrong).unwrap();
            refused(&good);
        }
        fs::remove_file(&path).unwrap();
        refused(&good);
        symlink("/etc/passwd", &path).unwrap();
        refused(&good);
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let other = Store::open(folder.path().join("other")).unwrap();
    assert_eq!(layout::import(&other, &good).unwrap(), [manifest], "all is well again");
}

#[test]
fn b10_a_pipe_is_refused_and_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    hostile(folder.path(), "", &[]);
    fs::remove_file(folder.path().join("index.json")).unwrap();
    let pipe = Command::new("mkfifo").arg(folder.path().join("index.json")).status().unwrap();
    assert!(pipe.success());
    refused(folder.path());
}

#[test]
fn b5_indexes_that_nest_too_deep_or_lie_about_their_type_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let leaf = list(MediaType::INDEX, &[]).into_bytes();
    let mut documents = vec![leaf];
    for _ in 0..20 {
        let below = Descriptor::of(MediaType::INDEX, documents.last().unwrap());
        documents.push(list(MediaType::INDEX, &[below]).into_bytes());
    }
    let blobs: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let top = Descriptor::of(MediaType::INDEX, documents.last().unwrap());
    hostile(folder.path(), &list(MediaType::INDEX, &[top]), &blobs);
    assert!(refused(folder.path()).to_string().contains("nested"));

    let document = list(MediaType::INDEX, &[]).into_bytes();
    let lying = Descriptor::of(MediaType::MANIFEST, &document);
    hostile(folder.path(), &list(MediaType::INDEX, &[lying]), &[&document]);
    refused(folder.path());
    let huge = Descriptor::new(MediaType::MANIFEST, Digest::of("x"), 1 << 40);
    hostile(folder.path(), &list(MediaType::INDEX, &[huge]), &[b"x"]);
    assert!(refused(folder.path()).to_string().contains("too large"));
}

/// Ten thousand ways to the same document are walked once.
#[test]
fn b5_an_index_that_fans_out_is_walked_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut below = list(MediaType::INDEX, &[]).into_bytes();
    let mut documents = vec![below.clone()];
    for _ in 0..6 {
        let child = Descriptor::of(MediaType::INDEX, &below);
        below = list(MediaType::INDEX, &vec![child; 1000]).into_bytes();
        documents.push(below.clone());
    }
    let blobs: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let top = Descriptor::of(MediaType::INDEX, &below);
    hostile(folder.path(), &list(MediaType::INDEX, &[top]), &blobs);
    let store = Store::open(folder.path().join("store")).unwrap();
    assert_eq!(layout::import(&store, folder.path()).unwrap().len(), 1);
}

#[test]
fn markers_of_the_image_specification() {
    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/image-spec-fixtures");
    if !Path::new(FIXTURES).exists() {
        return not_run("shared/data is absent");
    }
    for (file, good) in [("imagelayout-064.json", false), ("imagelayout-065.json", true)] {
        let folder = tempfile::tempdir().unwrap();
        hostile(folder.path(), &list(MediaType::INDEX, &[]), &[]);
        fs::copy(Path::new(FIXTURES).join(file), folder.path().join("oci-layout")).unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        assert_eq!(layout::import(&store, folder.path()).is_ok(), good, "{file}");
    }
}
