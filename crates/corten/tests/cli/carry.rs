//! `corten save` and `corten load`: the same image elsewhere, and archives that are not what they say.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use corten_oci::Digest;
use corten_testkit::command::Ran;
use serde_json::json;

use crate::service::{Service, corten};
use crate::told::told;

/// A tar of regular files and links (ustar), with names as they are.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, bytes) in members {
        let (target, kind, size) = match name.split_once(" -> ") {
            Some((_, target)) => (target, b'2', 0),
            None => ("", b'0', bytes.len()),
        };
        let name = name.split(" -> ").next().unwrap();
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[148..156].copy_from_slice(b"        ");
        header[156] = kind;
        header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        all.extend_from_slice(&header);
        if kind == b'0' {
            all.extend_from_slice(bytes);
            all.resize(all.len().next_multiple_of(512), 0);
        }
    }
    all.resize(all.len() + 1024, 0);
    all
}

#[test]
fn what_is_saved_is_loaded_elsewhere_with_what_hangs_on_it() {
    let service = Service::filled();
    let digest = service.digest("ship");
    let saved = service.run("save service:1.3.0 -o saved.tar --format json").expect(0).json();
    assert_eq!(saved, json!([{"digest": digest, "references": ["service:1.3.0"]}]));
    let file = service.folder().join("saved.tar");
    let bytes = fs::read(&file).unwrap();
    let pipe = service.corten.command(&service.folder()).args(["save", "service:1.3.0"]).output().unwrap();
    assert!(pipe.status.success() && pipe.stdout == bytes, "the same bytes");

    let other = corten();
    let loaded = other.run(other.home(), ["load", "-i", file.to_str().unwrap()]).expect(0);
    assert_eq!(loaded.stdout, format!("loaded  service:1.3.0  {digest} with 2 artifacts\n"));
    other.run(other.home(), ["store", "verify"]).expect(0);
    let sbom = |corten: &corten_testkit::command::Corten| {
        corten.run(corten.home(), ["sbom", "service:1.3.0"]).expect(0).stdout
    };
    assert_eq!(sbom(&other), sbom(&service.corten));
    // And back again: nothing is new, the bytes are the same. From a pipe, compressed, too.
    let again = other.home().join("again.tar");
    other.run(other.home(), ["save", "service:1.3.0", "--output", again.to_str().unwrap()]).expect(0);
    assert!(fs::read(&again).unwrap() == bytes);
    let third = corten();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &bytes).unwrap();
    let packed = third.home().join("packed");
    fs::write(&packed, gzip.finish().unwrap()).unwrap();
    let mut command = third.command(third.home());
    command.args(["load"]).stdin(Stdio::from(fs::File::open(&packed).unwrap()));
    assert!(command.output().unwrap().status.success());
    assert_eq!(sbom(&third), sbom(&service.corten));
}

#[test]
fn all_platforms_travel_or_one() {
    let service = Service::new();
    service.archive.publish_for(&["amd64", "arm64"]);
    crate::bases::without_tensor(&service);
    let built = service.run("build --platform linux/amd64,linux/arm64 -t service:1 --format json").expect(0).json();
    let travel = |flags: &str| {
        service.run(&format!("save service:1 -o travelling.tar{flags}")).expect(0);
        let other = corten();
        let file = service.folder().join("travelling.tar");
        let loaded =
            other.run(other.home(), ["load", "--format", "json", "-i", file.to_str().unwrap()]).expect(0).json();
        other.run(other.home(), ["store", "verify"]).expect(0);
        assert_eq!(loaded[0]["references"], json!(["service:1"]));
        loaded[0]["digest"].clone()
    };
    assert_eq!(travel(""), built["digest"]);
    assert_eq!(travel(" --platform linux/arm64"), built["platforms"][1]["digest"]);
    let ran = service.run("save service:1 --platform linux/s390x -o a.tar");
    let expected = "error: service:1 is not for linux/s390x\nhint: it is for linux/amd64, linux/arm64";
    told(&service, &ran, 1, expected);
    assert!(!service.folder().join("a.tar").exists());
}

#[test]
fn what_cannot_be_saved_or_loaded_is_told() {
    let service = Service::filled();
    let refuses = |line: &str, status: i32, expected: &str| told(&service, &service.run(line), status, expected);
    refuses(
        "save nothing -o a.tar",
        1,
        "error: there is no image 'nothing' in the store
hint: `corten images` lists what is there",
    );
    service.digest("build");
    refuses(
        "save service --platform linux/s390x -o absent/a.tar",
        2,
        "error: --output: absent/a.tar cannot be written: there is no folder absent
hint: make it first: mkdir -p absent",
    );
    refuses(
        "load -i absent.tar",
        2,
        "error: --input: there is no absent.tar
hint: `corten save`, `docker save` and `podman save` write such a file",
    );
    refuses(
        "save service --platform linux/s390x -o a.tar",
        1,
        "error: service is not for linux/s390x\nhint: it is for linux/amd64",
    );
    let hint = "hint: `corten save`, `docker save`, `podman save` and skopeo's oci-archive write what can be loaded";
    service.write("text", "no tar");
    let said = service.run("load -i text");
    assert!(
        said.status == 1 && said.stderr.contains("error: loading text: ") && said.stderr.contains(hint),
        "{}",
        said.stderr
    );
    fs::write(service.folder().join("other.tar"), tar(&[("readme", b"x")])).unwrap();
    refuses(
        "load -i other.tar",
        1,
        &format!("error: loading other.tar: it has no manifest.json, so it is no docker archive\n{hint}"),
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &tar(&[("readme", &[7; 100_000])])).unwrap();
    let cut = gzip.finish().unwrap();
    fs::write(service.folder().join("cut.gz"), &cut[..cut.len() - 10]).unwrap();
    let said = service.run("load -i cut.gz");
    assert!(
        said.status == 1 && said.stderr.contains("error: loading cut.gz: it cannot be uncompressed"),
        "{}",
        said.stderr
    );
}

/// An OCI layout in a tar: whatever its `index.json` says, and other members.
fn layout(index: &serde_json::Value, more: &[(&str, &[u8])]) -> Vec<u8> {
    let index = index.to_string();
    let mut members: Vec<(&str, &[u8])> =
        vec![("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", index.as_bytes())];
    members.extend_from_slice(more);
    tar(&members)
}

/// Members of a tar by name.
type Owned = Vec<(String, Vec<u8>)>;

#[test]
fn b10_hostile_archives_are_refused_and_nothing_is_named() {
    let service = Service::new();
    let (config, layer) = (b"{}".as_slice(), b"layer".as_slice());
    let described =
        |bytes: &[u8], kind: &str| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(layer, "application/vnd.oci.image.layer.v1.tar")],
    });
    let manifest = manifest.to_string().into_bytes();
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let mut entry = described(&manifest, MANIFEST);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "evil:1"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    let (at_manifest, at_config, at_layer) = (blob(&manifest), blob(config), blob(layer));
    let whole: Vec<(&str, &[u8])> = vec![(&at_manifest, &manifest), (&at_config, config), (&at_layer, layer)];
    let with = |change: &dyn Fn(&mut Owned)| {
        let mut members: Owned = whole.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        change(&mut members);
        let members: Vec<(&str, &[u8])> =
            members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        layout(&index, &members)
    };
    let link = format!("{at_layer} -> ../../../../../../../etc/passwd");
    let huge = " ".repeat(5 << 20);
    let deep = "[".repeat(1 << 16);
    let mut size = index.clone();
    size["manifests"][0]["size"] = json!(u64::MAX);
    for (what, archive) in [
        ("a layer of other bytes", with(&|members| members[2].1 = b"other".to_vec())),
        ("a layer that is longer", with(&|members| members[2].1 = b"layer and more".to_vec())),
        ("a layer that is missing", with(&|members| drop(members.pop()))),
        ("a layer that is a link out", with(&|members| members[2] = (link.clone(), Vec::new()))),
        ("a config of other bytes", with(&|members| members[1].1 = b"[]".to_vec())),
        ("a manifest of other bytes", with(&|members| members[0].1[10] ^= 1)),
        ("a size that is absurd", layout(&size, &whole)),
        (
            "an index that is huge",
            tar(&[("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", huge.as_bytes())]),
        ),
        (
            "an index that is deep",
            tar(&[("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#), ("index.json", deep.as_bytes())]),
        ),
        (
            "a layout of another version",
            tar(&[("oci-layout", br#"{"imageLayoutVersion":"9"}"#), ("index.json", b"{}")]),
        ),
        ("no layout", tar(&[("index.json", b"{\"schemaVersion\":2,\"manifests\":[]}")])),
        ("no images", layout(&json!({"schemaVersion": 2, "manifests": []}), &[])),
        ("a name that climbs", tar(&[("../../evil", b"x"), ("index.json", b"{}")])),
    ] {
        fs::write(service.folder().join("evil.tar"), archive).unwrap();
        let ran: Ran = service.run("load -i evil.tar");
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains("error: loading evil.tar: "), "{what}: {}", ran.stderr);
        assert_eq!(service.run("images --format json").expect(0).json(), json!([]), "{what}");
        service.run("store verify").expect(0);
    }
    assert!(!Path::new("/evil").exists());
    fs::write(service.folder().join("good.tar"), layout(&index, &whole)).unwrap();
    service.run("load -i good.tar").expect(0);
}

/// A docker archive: `manifest.json` and other members.
fn docker(entries: &serde_json::Value, more: &[(&str, &[u8])]) -> Vec<u8> {
    let entries = entries.to_string();
    let mut members: Vec<(&str, &[u8])> = vec![("manifest.json", entries.as_bytes())];
    members.extend_from_slice(more);
    tar(&members)
}

fn config_of(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(Digest::of).collect();
    json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        .to_string()
        .into_bytes()
}

#[test]
fn b10_hostile_docker_archives_are_refused_and_nothing_is_named() {
    let service = Service::new();
    let layer = tar(&[("hello", b"hello")]);
    let (config, digest) = (config_of(&[&layer]), Digest::of("another image"));
    let members: [(&str, &[u8]); 2] = [("config", &config), ("layer.tar", &layer)];
    let entry =
        |tag: &str, config: &str, layers: &[&str]| json!({"Config": config, "RepoTags": [tag], "Layers": layers});
    let good = entry("good:1", "config", &["layer.tar"]);
    let bare = json!({"Config": "c", "Layers": []});
    let (named, two) = (format!("app@{digest}"), config_of(&[&layer, &layer]));
    let lying = format!("{}.json", digest.hex());
    let (other, large) = (config_of(&[b"other"]), [config.as_slice(), &vec![b' '; 5 << 20]].concat());
    for (entries, more, why) in [
        (json!(vec![&bare; 150_000]), None, "it has 150000 images: 1000 are the most".to_owned()),
        (json!([]), None, "it has no images".to_owned()),
        (
            json!([entry("a:1", "config", &["layer.tar"; 101])]),
            None,
            "an image of 101 layers cannot be taken: 100 are the most".to_owned(),
        ),
        (json!([good, entry("a:1", "config", &["absent"])]), None, "the layer absent is missing".to_owned()),
        (json!([good, entry("a:1", "absent", &["layer.tar"])]), None, "the config absent is missing".to_owned()),
        (
            json!([good, entry("a:1", &lying, &["layer.tar"])]),
            Some((lying.as_str(), config.as_slice())),
            format!("the config {lying} has the digest {}", Digest::of(&config)),
        ),
        (
            json!([good, entry("a:1", "large", &["layer.tar"])]),
            Some(("large", &large)),
            format!("large of {} bytes is too large", large.len()),
        ),
        (json!([good, entry("A B", "config", &["layer.tar"])]), None, "'A B' is no name of an image".to_owned()),
        (json!([good, entry(&named, "config", &["layer.tar"])]), None, format!("'{named}' is no name of an image")),
        (
            json!([good, entry("a:1", "two", &["layer.tar"])]),
            Some(("two", &two)),
            "an image of 1 layers, 2 in its config, cannot be taken".to_owned(),
        ),
        (
            json!([good, entry("a:1", "other", &["layer.tar"])]),
            Some(("other", &other)),
            format!("its config says that a layer is {}, its tar is {}", Digest::of("other"), Digest::of(&layer)),
        ),
    ] {
        let members: Vec<(&str, &[u8])> = members.iter().copied().chain(more).collect();
        fs::write(service.folder().join("evil.tar"), docker(&entries, &members)).unwrap();
        let hint = "`corten save`, `docker save`, `podman save` and skopeo's oci-archive write what can be loaded";
        let expected = format!("error: loading evil.tar: {why}\nhint: {hint}");
        told(&service, &service.run("load -i evil.tar"), 1, &expected);
        assert_eq!(service.run("images --format json").expect(0).json(), json!([]), "{why}");
    }
    service.run("store verify").expect(0);
}

/// Each layer of an image is open while it is taken: not those of all images.
#[test]
fn an_archive_of_many_images_needs_few_open_files() {
    let corten = corten();
    let layers: Vec<Vec<u8>> = (0..10).map(|number| tar(&[(format!("{number}").as_str(), b"x")])).collect();
    let names: Vec<String> = (0..10).map(|number| format!("{number}.tar")).collect();
    let config = config_of(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let entry = |number: usize| json!({"Config": "config", "RepoTags": [format!("many:{number}")], "Layers": names});
    let mut members: Vec<(&str, &[u8])> = vec![("config", &config)];
    members.extend(names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice)));
    let file = corten.home().join("many.tar");
    fs::write(&file, docker(&(0..200).map(entry).collect(), &members)).unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
    let load = corten.command(corten.home());
    limited.arg(load.get_program()).args(load.get_args()).args(["load", "-i"]).arg(&file).current_dir(corten.home());
    limited.env_clear().envs(load.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = limited.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8_lossy(&ran.stdout).lines().count(), 200);
}
