//! What commands leave: kept as layers, packed when wanted, taken out as files.

use super::*;

// What a command leaves.

/// Runs a command of the shell in an overlay of these layers, and keeps what it changed. The layers with the new one.
fn run(store: &Store, layers: &[TreeLayer], command: &str, epoch: Option<u64>) -> (Vec<TreeLayer>, Kept) {
    let lower = trees(store, layers).unwrap();
    let folder = store.upper_folder().unwrap();
    for name in ["upper", "work"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let list = tempfile::tempdir().unwrap();
    let script = list.path().join("list.py");
    std::fs::write(&script, LIST).unwrap();
    let owners = if is_root() { "owners" } else { "-" };
    let command = format!("(cd $M; {command}); python3 {} $M {owners}", script.display());
    let seen = mounted(&lower, Some(folder.path()), &command);
    let ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id).collect();
    let owners = if is_root() { Owners::OnDisk } else { Owners::One { user: 0, group: 0 } };
    let kept = store.keep_upper(Upper { folder, layers: &ids, lower: &lower, epoch, owners }).unwrap();
    let mut all = layers.to_vec();
    all.push(TreeLayer { diff_id: kept.diff_id, blob: None });
    // What the command saw is what the next one sees, but for sockets.
    let seen: String = seen.lines().filter(|line| !line.contains(" s ")).map(|line| format!("{line}\n")).collect();
    assert_eq!(shown(&trees(store, &all).unwrap(), is_root()), seen, "{command}");
    assert_eq!(told(store, &all, is_root()), seen, "{command}");
    // Its tar is made again as it was.
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut store.tar(&kept.diff_id).unwrap(), &mut tar).unwrap();
    assert_eq!((DiffId(Digest::of(&tar)), tar.len() as u64), (kept.diff_id, kept.tar_size));
    let again = corten_layer::tar::index(tar.as_slice()).unwrap();
    assert_eq!(Some(again.index), store.layer_index(&kept.diff_id).unwrap());
    (all, kept)
}

fn entries(store: &Store, kept: &Kept) -> Vec<String> {
    let index = store.layer_index(&kept.diff_id).unwrap().unwrap();
    let mark = |kind: &Kind| match kind {
        Kind::Whiteout => " gone",
        Kind::Opaque => " opaque",
        Kind::HardLink(_) => " link",
        _ => "",
    };
    index.entries.iter().map(|entry| format!("{}{}", entry.path, mark(&entry.kind))).collect()
}

fn base() -> Vec<u8> {
    let big = "0123456789".repeat(2000);
    tar(&[
        dir("etc", 0o755),
        file("etc/a", "1"),
        file("etc/b", "2"),
        dir("usr", 0o755),
        dir("usr/bin", 0o755),
        file("usr/bin/big", &big),
        symlink("bin", "usr/bin"),
        dir("tmp", 0o1777),
        dir("old", 0o700),
        file("old/x", "3"),
    ])
}

#[test]
fn a_command_that_changes_nothing_leaves_an_empty_layer() {
    as_root_and_nobody("kept::a_command_that_changes_nothing_leaves_an_empty_layer", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let commands = ["true", "touch tmp/x; rm tmp/x", "chmod 700 usr; chmod 755 usr", "exec 3<>etc/a"];
        for command in commands {
            let (_, kept) = run(&escape.store, &base, command, None);
            assert_eq!(kept.diff_id.0, Digest::of([0; 1024]), "{command}: {:?}", entries(&escape.store, &kept));
        }
        assert_clean(&escape.store);
    });
}

#[test]
fn what_a_command_changes_is_the_layer() {
    as_root_and_nobody("kept::what_a_command_changes_is_the_layer", || {
        let escape = Escape::new();
        let store = &escape.store;
        let base = layers(store, &[base()]);
        let cases: [(&str, &[&str]); 9] = [
            ("echo new > etc/c; echo more >> etc/a", &["etc/a", "etc/c"]),
            ("rm etc/a; rm -r old", &["etc/a gone", "old gone"]),
            ("rm -r old; mkdir old; echo n > old/y", &["old", "old opaque", "old/y"]),
            ("mkdir -p n/m; echo 1 > n/m/f; ln n/m/f n/l; ln -s f n/m/s", &["n", "n/l", "n/m", "n/m/f link", "n/m/s"]),
            ("chmod 750 usr; touch usr/bin/x", &["usr", "usr/bin/x"]),
            ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"tmp/s\")'; touch tmp/t", &["tmp/t"]),
            ("mkfifo tmp/p", &["tmp/p"]),
            ("rm etc/a; mkdir etc/a; touch etc/a/x; rm -r usr; touch usr", &["etc/a", "etc/a/x", "usr"]),
            ("mv etc/a etc/z; chmod 4755 etc/b", &["etc/a gone", "etc/b", "etc/z"]),
        ];
        for (command, expected) in cases {
            let (_, kept) = run(store, &base, command, None);
            assert_eq!(entries(store, &kept), expected, "{command}");
        }
        assert_clean(store);
    });
}

#[test]
fn layers_of_commands_stand_on_each_other() {
    as_root_and_nobody("kept::layers_of_commands_stand_on_each_other", || {
        let escape = Escape::new();
        let mut all = layers(&escape.store, &[base()]);
        let commands = [
            "rm -r old; echo 1 > one",
            "mkdir old; echo 2 > old/two; echo 2 > tmp/two",
            "rm one; chmod 600 old/two; mkdir -p a/b/c; touch a/b/c/d",
            "rm -r a/b; mkdir a/b; touch a/b/e; rm tmp/two",
            "touch old/x etc/n; rm -r usr/bin; mkdir usr/bin",
        ];
        for command in commands {
            all = run(&escape.store, &all, command, None).0;
        }
        // Another process knows the same.
        let root = escape.store.root().to_owned();
        let other = Store::open(root).unwrap();
        assert_eq!(trees(&other, &all).unwrap(), trees(&escape.store, &all).unwrap());
        assert_clean(&other);
    });
}

#[test]
fn files_of_which_only_the_mode_changed_are_counted() {
    as_root_and_nobody("kept::files_of_which_only_the_mode_changed_are_counted", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let (_, kept) = run(&escape.store, &base, "chmod 600 usr/bin/big etc/a; echo 9 > etc/b; chmod 700 old", None);
        assert_eq!(kept.doubled, Doubled { files: 2, bytes: 20_001 });
    });
}

#[test]
fn times_are_no_later_than_the_epoch_and_attributes_are_kept() {
    as_root_and_nobody("kept::times_are_no_later_than_the_epoch_and_attributes_are_kept", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let setfattr = "python3 -c 'import os; os.setxattr(\"etc/n\", \"user.note\", b\"yes\")'";
        let command = format!("touch -d @1000.7 etc/o; touch etc/n; {setfattr}; mkdir d; ln -s x d/l");
        let (_, kept) = run(&escape.store, &base, &command, Some(1_600_000_000));
        let mut tar = escape.store.tar(&kept.diff_id).unwrap();
        let mut reader = corten_layer::tar::TarReader::new(&mut tar);
        let mut seen = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            let names: Vec<_> =
                reader.attributes().xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            seen.push(format!("{} {} {}", entry.path, reader.mtime(), names.join(",")));
        }
        let expected =
            ["d 1600000000 ", "d/l 1600000000 ", "etc/n 1600000000 user.note", "etc/o 1000 "].map(str::to_owned);
        assert_eq!(seen, expected);
        // The same again is the same layer, whenever it is made.
        let (_, again) = run(&escape.store, &base, &command, Some(1_600_000_000));
        assert_eq!(again.diff_id, kept.diff_id);
    });
}

#[test]
fn a_layer_cannot_hold_every_name() {
    as_root_and_nobody("kept::a_layer_cannot_hold_every_name", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let lower = trees(&escape.store, &base).unwrap();
        let folder = escape.store.upper_folder().unwrap();
        std::fs::create_dir_all(folder.path().join("upper")).unwrap();
        std::fs::write(folder.path().join("upper/.wh.x"), "").unwrap();
        let layers: Vec<_> = base.iter().map(|layer| layer.diff_id).collect();
        let upper = Upper { folder, layers: &layers, lower: &lower, epoch: None, owners: Owners::OnDisk };
        let error = escape.store.keep_upper(upper).unwrap_err();
        assert_eq!(
            error.to_string(),
            "making a layer of what a command changed: '.wh.x': cannot write '.wh.x' to a layer: a name that begins with '.wh.' means a deletion in a layer"
        );
        assert_eq!(error.fault(), Fault::Input);
    });
}

/// A lower layer that is gone is nothing that the command left.
#[test]
fn what_cannot_be_read_is_not_the_commands_fault() {
    as_root_and_nobody("kept::what_cannot_be_read_is_not_the_commands_fault", || {
        let escape = Escape::new();
        let folder = escape.store.upper_folder().unwrap();
        std::fs::create_dir_all(folder.path().join("upper")).unwrap();
        let lower = [PathBuf::from("/nowhere/at/all")];
        let upper = Upper { folder, layers: &[], lower: &lower, epoch: None, owners: Owners::OnDisk };
        let error = escape.store.keep_upper(upper).unwrap_err();
        assert_eq!(error.fault(), Fault::World, "{error}");
        assert!(error.to_string().starts_with("reading /"), "{error}");
    });
}

#[test]
fn a_torn_tree_is_found_and_made_again() {
    as_root_and_nobody("kept::a_torn_tree_is_found_and_made_again", || {
        let escape = Escape::new();
        let store = &escape.store;
        let base = layers(store, &[base()]);
        let folders = trees(store, &base).unwrap();
        let state = folders[0].parent().unwrap().join("state");
        let good = std::fs::read(&state).unwrap();
        // After the machine was started anew, what a disk lost is missed.
        let text = String::from_utf8(good.clone()).unwrap();
        let boot = text.lines().find(|line| line.starts_with("boot ")).unwrap();
        let value = text.split_once('\n').unwrap().1.replace(boot, "boot another");
        let key = base[0].diff_id.0;
        let bound = Digest::of(format!("{key}\n{value}"));
        std::fs::write(folders[0].join("etc/a"), "").unwrap();
        std::fs::write(&state, format!("corten-record 2 {bound}\n{value}")).unwrap();
        assert!(!store.verify(&corten_diagnostic::Nobody).unwrap().is_empty());
        assert_eq!(trees(store, &base).unwrap(), folders);
        assert_eq!(std::fs::read_to_string(folders[0].join("etc/a")).unwrap(), "1");
        assert_clean(store);
        // A state that is torn, too.
        for torn in [&good[..good.len() / 2], b"", b"x"] {
            std::fs::write(&state, torn).unwrap();
            std::fs::remove_file(folders[0].join("etc/b")).unwrap();
            assert_eq!(trees(store, &base).unwrap(), folders);
            assert!(folders[0].join("etc/b").exists());
        }
        assert_clean(store);
    });
}

#[test]
fn trees_that_can_be_made_again_are_pruned_and_those_of_commands_stay() {
    as_root_and_nobody("kept::trees_that_can_be_made_again_are_pruned_and_those_of_commands_stay", || {
        let escape = Escape::new();
        let root = escape.store.root().to_owned();
        let (all, kept) = {
            let store = Store::open(&root).unwrap();
            let base = layers(&store, &[base()]);
            let (all, kept) = run(&store, &base, "touch made; rm -r old", None);
            let ids: Vec<_> = all.iter().map(|layer| format!("\"{}\"", layer.diff_id)).collect();
            let config = format!(
                r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
                ids.join(",")
            );
            let batch = store.batch();
            let config = batch.put(config.as_bytes()).unwrap();
            batch.image(&"local/app:1".parse().unwrap(), &config).unwrap();
            batch.finish().unwrap();
            assert!(prune(&store).iter().all(|name| !name.contains("tree")), "what this command uses stays");
            (all, kept)
        };
        let store = Store::open(&root).unwrap();
        let gone = prune(&store);
        assert_eq!(gone.iter().filter(|name| name.contains("/tree/")).count(), 1, "{gone:?}");
        assert_clean(&store);
        assert!(store.has_layer(&kept.diff_id).unwrap() && store.has_layer(&all[0].diff_id).unwrap());
        assert_eq!(shown(&trees(&store, &all).unwrap(), is_root()), told(&store, &all, is_root()));
        // Without its name, all goes.
        store.untag(&"local/app:1".parse().unwrap()).unwrap();
        drop(store);
        let store = Store::open(&root).unwrap();
        prune(&store);
        assert_eq!(std::fs::read_dir(root.join("layers")).unwrap().count(), 0);
    });
}

fn prune(store: &Store) -> Vec<String> {
    let now = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    let unused_for = std::time::Duration::ZERO;
    let options = corten_store::PruneOptions { keep: None, unused_for, all: false, now };
    let gone = store.prune(store.prunable(&options).unwrap()).unwrap();
    gone.items.iter().map(|item| item.path.display().to_string()).collect()
}

// Blobs.

#[test]
fn blobs_are_made_when_wanted_and_pieces_are_remembered() {
    let escape = Escape::new();
    let store = &escape.store;
    let files = |changed: usize| -> Vec<u8> {
        let content = |number: usize| {
            let seed = if number == changed { number + 1000 } else { number };
            let bytes: Vec<u8> = crate::support::noise(seed as u64, 40_000 + number * 3001);
            bytes.iter().map(|byte| format!("{:02x}", byte & 0x1f)).collect::<String>()
        };
        tar(&(0..30).map(|number| file(&format!("f{number}"), &content(number))).collect::<Vec<_>>())
    };
    let (one, other) = (files(100), files(17));
    let layers = layers(store, &[one.clone(), other.clone()]);
    let mut blobs = Vec::new();
    for (layer, tar) in layers.iter().zip([&one, &other]) {
        trees(store, std::slice::from_ref(layer)).unwrap();
        for (packing, media_type) in [
            (Packing::Gzip, MediaType::LAYER_GZIP),
            (Packing::Zstd, MediaType::LAYER_ZSTD),
            (Packing::Tar, MediaType::LAYER),
        ] {
            let blob = store.pack(&layer.diff_id, packing).unwrap();
            assert_eq!(blob, store.pack(&layer.diff_id, packing).unwrap());
            assert!(blob.media_type.is(media_type) && blob.annotations.is_empty());
            let mut content = Vec::new();
            let source = store.read(&blob.digest).unwrap();
            let mut reader = corten_layer::gzip::reader(&blob.media_type, source).unwrap();
            std::io::Read::read_to_end(&mut reader, &mut content).unwrap();
            assert!(content == *tar);
            blobs.push(blob);
        }
    }
    // A store that remembers nothing makes the same bytes.
    let fresh = Escape::new();
    let alone = self::layers(&fresh.store, &[other]);
    trees(&fresh.store, &alone).unwrap();
    assert_eq!(fresh.store.pack(&alone[0].diff_id, Packing::Gzip).unwrap(), blobs[3]);
    // What is damaged in an old blob comes into no new one.
    let path = store.blob_path(&blobs[0].digest);
    let mut bytes = std::fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(5000) {
        bytes[at] ^= 1;
    }
    make_writable(&path);
    std::fs::write(&path, &bytes).unwrap();
    let path = store.blob_path(&blobs[3].digest);
    std::fs::remove_file(path).unwrap();
    assert_eq!(store.pack(&layers[1].diff_id, Packing::Gzip).unwrap(), blobs[3]);
    assert!(store.is_whole(&blobs[3].digest).unwrap());
}

fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn the_tree_of_a_command_becomes_a_blob_and_a_tree_again() {
    as_root_and_nobody("kept::the_tree_of_a_command_becomes_a_blob_and_a_tree_again", || {
        let escape = Escape::new();
        let base = layers(&escape.store, &[base()]);
        let (all, kept) = run(&escape.store, &base, "mkdir a; echo 1 > a/b; rm -r old; chmod 700 tmp", None);
        let blob = escape.store.pack(&kept.diff_id, Packing::Gzip).unwrap();
        // In another store, from that blob.
        let other = Escape::new();
        let mut blobs = MemoryBlobs::default();
        blobs.insert(escape.store.bytes(&blob.digest).unwrap());
        let mut moved = layers(&other.store, &[self::base()]);
        moved.push(TreeLayer { diff_id: kept.diff_id, blob: Some(blob) });
        let folders = other.store.trees(&moved, &blobs).unwrap();
        assert_eq!(shown(&folders, is_root()), told(&escape.store, &all, is_root()));
        // On another base its tree is another.
        let elsewhere = tar(&[dir("old", 0o755), file("old/x", "1"), dir("tmp", 0o755)]);
        let mut mixed = layers(&escape.store, &[elsewhere]);
        mixed.push(TreeLayer { diff_id: kept.diff_id, blob: None });
        let folders = trees(&escape.store, &mixed).unwrap();
        assert_eq!(shown(&folders, is_root()), told(&escape.store, &mixed, is_root()));
    });
}

// Out of the store.

/// Two layers, of which the second hides and changes some of the first.
fn image(store: &Store) -> (Vec<TreeLayer>, Kept) {
    let base = layers(store, &[base()]);
    let command = "echo 1 > usr/n; ln usr/n usr/bin/m; rm -r old; mkfifo tmp/p; chmod 4755 etc/a; ln -s ../etc usr/l; mkdir -m 500 shut";
    run(store, &base, command, None)
}

#[test]
fn the_files_of_an_image_as_a_tar_that_other_programs_unpack() {
    as_root_and_nobody("kept::the_files_of_an_image_as_a_tar_that_other_programs_unpack", || {
        let escape = Escape::new();
        let (all, _) = image(&escape.store);
        let mut tar = Vec::new();
        escape.store.export_tar(&all, &MemoryBlobs::default(), Some(1_500_000_000), &[], &mut tar).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("image.tar"), &tar).unwrap();
        let to = scratch.path().join("to");
        std::fs::create_dir(&to).unwrap();
        let mut command = Command::new("tar");
        command.args(["-x", "-p", "-f"]).arg(scratch.path().join("image.tar")).arg("-C").arg(&to);
        assert!(command.status().unwrap().success());
        let folders = trees(&escape.store, &all).unwrap();
        assert_eq!(shown(std::slice::from_ref(&to), is_root()), shown(&folders, is_root()));
        let newest = |path: &str| to.join(path).symlink_metadata().unwrap().mtime();
        assert!(["usr/l", "tmp", "etc/a"].iter().all(|path| newest(path) <= 1_500_000_000));
    });
}

#[test]
fn d18_files_are_written_into_a_folder_and_nowhere_else() {
    as_root_and_nobody("kept::d18_files_are_written_into_a_folder_and_nowhere_else", || {
        let escape = Escape::new();
        let (all, _) = image(&escape.store);
        let to = escape.folder.path().join("to");
        let out = escape.out();
        // What another export left there: links to outside where folders and files come, and files of the user's own.
        std::fs::create_dir_all(to.join("usr/bin/big")).unwrap();
        std::fs::write(to.join("mine"), "mine").unwrap();
        for (link, target) in [("etc", format!("{out}/dir")), ("bin", out.clone()), ("tmp", "..".into())] {
            std::os::unix::fs::symlink(target, to.join(link)).unwrap();
        }
        std::os::unix::fs::symlink(format!("{out}/victim"), to.join("usr/bin/.corten-incomplete")).unwrap();
        for _ in 0..2 {
            escape.store.export_folder(&all, &MemoryBlobs::default(), None, &[], &to).unwrap();
            assert_eq!(std::fs::read_to_string(to.join("mine")).unwrap(), "mine");
            let seen: String = shown(std::slice::from_ref(&to), false)
                .lines()
                .filter(|line| !line.starts_with("mine "))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_eq!(seen, told(&escape.store, &all, false));
        }
    });
}

/// A folder of the image that has the name of a file that is added gives way to it, in a folder as in a tar.
#[test]
fn d18_a_file_that_is_added_stands_for_a_folder_of_its_name() {
    let escape = Escape::new();
    let base = layers(&escape.store, &[base()]);
    let (all, _) = run(&escape.store, &base, "mkdir -p sbom.json/x; echo 1 > sbom.json/x/y", None);
    let name = LayerPath::new("sbom.json").unwrap();
    let added = [AddedFile { name, content: b"{}".to_vec(), mtime: 1 }];
    let to = escape.folder.path().join("to");
    for _ in 0..2 {
        escape.store.export_folder(&all, &MemoryBlobs::default(), None, &added, &to).unwrap();
        assert_eq!(std::fs::read(to.join("sbom.json")).unwrap(), b"{}");
        assert!(to.join("etc/a").is_file());
    }
}

#[test]
fn a_local_image_becomes_one_with_a_manifest_that_is_complete() {
    let escape = Escape::new();
    let store = &escape.store;
    let (all, _) = image(store);
    let ids: Vec<_> = all.iter().map(|layer| format!("\"{}\"", layer.diff_id)).collect();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}},"history":[{{"created_by":"base"}},{{"created_by":"ENV","empty_layer":true}},{{"created_by":"RUN x"}}]}}"#,
        ids.join(",")
    );
    // The first layer came with a base, as a plain tar.
    let given = corten_oci::Descriptor::new(
        MediaType::LAYER,
        all[0].diff_id.0,
        store.size(&all[0].diff_id.0).unwrap().unwrap(),
    );
    let layers = [TreeLayer { blob: Some(given.clone()), ..all[0].clone() }, all[1].clone()];
    let id = store.keep_local(config.as_bytes(), &layers).unwrap();
    assert!(store.local_config(&id).unwrap().is_some());
    assert_eq!(store.local_layers(&store.local_config(&id).unwrap().unwrap()).unwrap()[0].blob, Some(given.clone()));
    let mut options = ManifestOptions::default();
    let image = store.manifest_of(&id, &options).unwrap();
    assert_eq!((image.config_blob.digest, image.layers[0].blob.clone()), (id, given));
    let told: Vec<_> = image.layers.iter().map(|layer| layer.created_by.as_str()).collect();
    assert_eq!(told, ["base", "RUN x"]);
    assert!(image.layers[1].blob.media_type.is(MediaType::LAYER_GZIP));
    assert!(store.local_config(&image.manifest.digest).unwrap().is_none());
    (options.docker, options.repack) = (true, true);
    options.annotations.insert("a".into(), "b".into());
    let docker = store.manifest_of(&id, &options).unwrap();
    assert!(docker.manifest.media_type.is(MediaType::DOCKER_MANIFEST));
    assert!(docker.config_blob.media_type.is(MediaType::DOCKER_CONFIG));
    assert!(docker.layers.iter().all(|layer| layer.blob.media_type.is(MediaType::DOCKER_LAYER_GZIP)));
    let batch = store.batch();
    batch.image(&"local/a:1".parse().unwrap(), &image.manifest.digest).unwrap();
    batch.image(&"local/b:1".parse().unwrap(), &docker.manifest.digest).unwrap();
    batch.image(&"local/c:1".parse().unwrap(), &id).unwrap();
    batch.finish().unwrap();
    assert_clean(store);
    let sizes = store.sizes().unwrap();
    assert!(sizes.images.iter().any(|image| image.digest == id && image.bytes > 0));
}
