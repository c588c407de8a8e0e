//! Layers that want out, or that are not what they seem (the catalogue of attacks, A1 to A19).

use super::*;

#[test]
fn a1_a2_a3_a7_containerds_breakouts_stay_inside_or_are_refused() {
    as_root_and_nobody("attacks::a1_a2_a3_a7_containerds_breakouts_stay_inside_or_are_refused", || {
        let Some(folder) = data("attacks/layers") else { return };
        let cases: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
        let cases = cases.as_array().unwrap();
        assert_eq!(cases.len(), 34);
        let escape = Escape::new();
        for case in cases {
            let files = ["base", "layer"].into_iter().filter_map(|key| case[key].as_str());
            let tars: Vec<_> = files.map(|file| std::fs::read(folder.join(file)).unwrap()).collect();
            match case["expect"] == "refuse" {
                true => drop(refused(&escape.store, &tars)),
                false => drop(agree(&escape.store, &tars)),
            }
        }
    });
}

#[test]
fn a1_traversal_archives_have_nothing_outside() {
    as_root_and_nobody("attacks::a1_traversal_archives_have_nothing_outside", || {
        let Some(folder) = data("attacks/traversal") else { return };
        let escape = Escape::new();
        for name in ["absolute1", "absolute2", "dirsymlink2a", "dirsymlink2b", "symlink"] {
            agree(&escape.store, &[std::fs::read(folder.join(format!("{name}.tar"))).unwrap()]);
        }
        for name in ["dirsymlink", "relative0", "relative2"] {
            refused(&escape.store, &[std::fs::read(folder.join(format!("{name}.tar"))).unwrap()]);
        }
    });
}

#[test]
fn a2_to_a6_links_lead_nowhere_outside() {
    as_root_and_nobody("attacks::a2_to_a6_links_lead_nowhere_outside", || {
        let escape = Escape::new();
        let out = escape.out();
        let hostile = |parts: &[Vec<u8>]| drop(agree(&escape.store, &[tar(parts)]));
        // A2: through a link, and through a chain of them.
        hostile(&[symlink("l", &out), file("l/victim", "x")]);
        hostile(&[symlink("a", "b"), symlink("b", &format!("/../../..{out}")), file("a/victim", "x")]);
        // A3: a hard link to a file of the host, then the file.
        assert!(refused(&escape.store, &[tar(&[hard_link("x", &format!("{out}/victim"))])]).contains("not there"));
        hostile(&[symlink("v", &format!("{out}/victim")), hard_link("x", "v"), file("x", "y")]);
        // A4: a directory over a link.
        hostile(&[symlink("d", &format!("{out}/dir")), dir("d", 0o777), file("d/x", "y")]);
        // A5: parents that nobody told of, behind a link.
        hostile(&[symlink("s", ".."), file("s/a/b/c", "x")]);
        // A6: the root replaced.
        for name in ["/.", ".", "./", "/"] {
            hostile(&[symlink(name, &out), file("victim", "x")]);
        }
    });
}

#[test]
fn a4_a_directory_over_a_link_of_a_lower_layer() {
    as_root_and_nobody("attacks::a4_a_directory_over_a_link_of_a_lower_layer", || {
        let escape = Escape::new();
        let out = escape.out();
        let base = tar(&[symlink("l", &out), symlink("s", "real"), dir("real", 0o750), file("real/old", "1")]);
        // Behind a link of a lower layer, inside; the tree is not that of the layer alone.
        let through = tar(&[file("s/new", "2"), file("l/victim", "x")]);
        let layers = agree(&escape.store, &[base.clone(), through.clone()]);
        let alone = agree(&escape.store, &[through]);
        let folders = trees(&escape.store, &layers).unwrap();
        assert!(folders[0].join("real/new").is_file(), "where the link leads");
        assert_ne!(folders[0], trees(&escape.store, &alone).unwrap()[0]);
        agree(&escape.store, &[base.clone(), tar(&[dir("l", 0o700), file("l/victim", "x")])]);
        agree(&escape.store, &[base, tar(&[dir("s", 0o700)]), tar(&[file("s/x", "x")])]);
    });
}

#[test]
fn a3_hard_links_to_files_of_lower_layers_are_one_file_with_them() {
    as_root_and_nobody("attacks::a3_hard_links_to_files_of_lower_layers_are_one_file_with_them", || {
        let escape = Escape::new();
        let base = tar(&[dir("d", 0o755), file("d/one", "1"), symlink("soft", "d/one")]);
        agree(&escape.store, &[base.clone(), tar(&[hard_link("two", "d/one")])]);
        agree(&escape.store, &[base, tar(&[hard_link("again", "soft"), hard_link("d/three", "d/one")])]);
    });
}

#[test]
fn a7_whiteouts_hide_lower_layers_only_wherever_they_stand() {
    as_root_and_nobody("attacks::a7_whiteouts_hide_lower_layers_only_wherever_they_stand", || {
        let escape = Escape::new();
        let base =
            || tar(&[dir("d", 0o711), file("d/old", "1"), file("d/both", "2"), file("e", "3"), symlink("s", "d")]);
        let uppers = [
            vec![file("d/.wh.both", ""), file("d/both", "new")],
            vec![file("d/both", "new"), file("d/.wh.both", "")],
            vec![file("d/new", "4"), file("d/.wh..wh..opq", "")],
            vec![file("d/.wh..wh..opq", ""), file("d/new", "4")],
            vec![file("s/.wh..wh..opq", "")],
            vec![file(".wh.d", "")],
            vec![file(".wh.d", ""), file(".wh.d", "")],
            vec![file("d/x", "5"), file(".wh.d", "")],
            vec![dir("d", 0o700), file(".wh.d", "")],
            vec![file(".wh..wh..opq", ""), file("x", "6")],
            vec![file(".wh..wh..opq", ""), file("d/x", "6")],
            vec![file(".wh.gone", ""), file("no/.wh.gone", "")],
            vec![file("s/.wh.old", "")],
        ];
        for upper in &uppers {
            agree(&escape.store, &[base(), tar(upper)]);
            // What is gone may come again.
            agree(&escape.store, &[base(), tar(upper), tar(&[file("d/old", "again"), file("e", "again")])]);
        }
        for name in [".wh..", ".wh...", ".wh.", "d/.wh..", ".wh..wh.x"] {
            refused(&escape.store, &[base(), tar(&[file(name, "")])]);
        }
    });
}

#[test]
fn a8_overlayfs_own_marks_never_come_from_a_layer() {
    as_root_and_nobody("attacks::a8_overlayfs_own_marks_never_come_from_a_layer", || {
        let escape = Escape::new();
        let error = refused(&escape.store, &[tar(&[device("gone", b'3', 0, 0)])]);
        assert!(error.contains("device 0:0 is an overlayfs whiteout"), "{error}");
        let marks = [
            ("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", "y"),
            ("SCHILY.xattr.user.overlay.opaque", "y"),
            ("SCHILY.xattr.user.overlay.redirect", "/etc"),
            ("SCHILY.xattr.user.kept", "yes"),
        ];
        let upper = tar(&[pax(&marks), dir("d", 0o755), pax(&marks), file("d/f", "x")]);
        let layers = agree(&escape.store, &[tar(&[dir("d", 0o755), file("d/old", "1")]), upper]);
        let folders = trees(&escape.store, &layers).unwrap();
        for path in ["d", "d/f"] {
            let output = Command::new("python3")
                .args(["-c", "import os, sys; print(os.listxattr(sys.argv[1]))"])
                .arg(folders[0].join(path))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "['user.kept']\n", "{path}");
        }
    });
}

#[test]
fn a9_a10_devices_pipes_and_set_user_id_lie_where_nobody_else_comes() {
    as_root_and_nobody("attacks::a9_a10_devices_pipes_and_set_user_id_lie_where_nobody_else_comes", || {
        let escape = Escape::new();
        let su = [block("su", b'0', 0o4755, 0, ""), block("pipe", b'6', 0o644, 0, "")];
        let parts =
            [su.concat(), device("sda", b'4', 8, 0), device("null", b'3', 1, 3), dir("shut", 0), file("shut/x", "")];
        // A pipe is never opened: reading it would wait for ever.
        let layers = agree(&escape.store, &[tar(&parts)]);
        let folders = trees(&escape.store, &layers).unwrap();
        assert_eq!(folders[0].join("su").metadata().unwrap().mode() & 0o7777, 0o4755);
        let wrapper = folders[0].parent().unwrap().metadata().unwrap();
        assert_eq!(wrapper.mode() & 0o7777, 0o700, "nobody else may enter");
        assert_eq!(escape.store.verify(&corten_diagnostic::Nobody).unwrap(), []);
    });
}

#[test]
fn a15_a16_deep_paths_and_loops_are_refused() {
    as_root_and_nobody("attacks::a15_a16_deep_paths_and_loops_are_refused", || {
        let escape = Escape::new();
        let deep = "d/".repeat(600);
        let error = refused(&escape.store, &[tar(&[pax(&[("path", &format!("{deep}x"))]), file("x", "")])]);
        assert!(error.contains("over the limit of 512"), "{error}");
        let error = refused(&escape.store, &[tar(&[symlink("a", "b"), symlink("b", "a"), file("a/x", "")])]);
        assert!(error.contains("perhaps a loop"), "{error}");
        let long = "l".repeat(90);
        let mut chain: Vec<_> = (0..16).map(|at| symlink(&format!("{at}"), &format!("{}/{long}", at + 1))).collect();
        chain.push(file("0/x", ""));
        agree(&escape.store, &[tar(&chain)]);
        chain.push(file("0/../../x", ""));
        let error = refused(&escape.store, &[tar(&chain)]);
        assert!(error.contains("climbs out of the root"), "{error}");
        let deepest: String = "d/".repeat(400);
        agree(&escape.store, &[tar(&[pax(&[("path", &format!("{deepest}x"))]), file("x", "y")])]);
    });
}

/// Archives that readers disagree about (CVE-2025-62518 and others), that are malformed, or whose files are holes: what is unpacked is
/// what the index lists, which is what Python's reader lists, or nothing at all.
#[test]
fn a11_a12_a13_archives_that_readers_disagree_about_are_one_thing_or_refused() {
    as_root_and_nobody("attacks::a11_a12_a13_archives_that_readers_disagree_about_are_one_thing_or_refused", || {
        let escape = Escape::new();
        let (mut read, mut sparse) = (0, 0);
        for folder in ["tokio-tar-archives", "go-archive-testdata/tar"] {
            let Some(folder) = data(folder) else { return };
            let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
            for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "tar")) {
                let bytes = std::fs::read(&path).unwrap();
                match corten_layer::tar::index(bytes.as_slice()) {
                    Ok(_) => {
                        agree(&escape.store, std::slice::from_ref(&bytes));
                        read += 1;
                    }
                    Err(error) => {
                        refused(&escape.store, std::slice::from_ref(&bytes));
                        sparse += usize::from(error.to_string().contains("sparse"));
                    }
                }
            }
        }
        assert!(read > 20 && sparse > 8, "{read} read, {sparse} refused for their holes");
        let used = Command::new("du").args(["-sk"]).arg(escape.store.root()).output().unwrap();
        let used = String::from_utf8_lossy(&used.stdout).split_whitespace().next().and_then(|size| size.parse().ok());
        assert!(used.is_some_and(|kilobytes: u64| kilobytes < 64 << 10), "{used:?} kB for archives of holes");
    });
}

#[test]
fn a18_a_layer_with_another_byte_at_its_very_end_gets_no_name() {
    as_root_and_nobody("attacks::a18_a_layer_with_another_byte_at_its_very_end_gets_no_name", || {
        let escape = Escape::new();
        let right = [tar(&[file("f", "x")]), vec![0; 512]].concat();
        let mut blobs = MemoryBlobs::default();
        let digest = blobs.insert(right[..right.len() - 512].to_vec());
        let blob = corten_oci::Descriptor::new(MediaType::LAYER, digest, right.len() as u64 - 512);
        let layer = TreeLayer { diff_id: DiffId(Digest::of(&right)), blob: Some(blob) };
        let error = escape.store.trees(std::slice::from_ref(&layer), &blobs).unwrap_err().to_string();
        assert!(error.contains("its bytes have the diff id"), "{error}");
        // Also where the index is known already.
        let index = corten_layer::tar::index(right.as_slice()).unwrap().index;
        let batch = escape.store.batch();
        batch.layer_index(&layer.diff_id, &index).unwrap();
        batch.finish().unwrap();
        let error = escape.store.trees(std::slice::from_ref(&layer), &blobs).unwrap_err().to_string();
        assert!(error.ends_with("its bytes are not those that its diff id names"), "{error}");
        let path = escape.store.root().join("layers").join(layer.diff_id.0.hex()).join("tree");
        assert!(!path.exists());
        assert_clean(&escape.store);
    });
}

/// Whoever made a layer is to blame for its bytes, but not for those that the disk has changed.
#[test]
fn a18_a_layer_that_was_made_wrong_and_one_that_is_damaged_are_told_apart() {
    as_root_and_nobody("attacks::a18_a_layer_that_was_made_wrong_and_one_that_is_damaged_are_told_apart", || {
        let escape = Escape::new();
        let content: String = (0..3000).map(|number| format!("{number}\n")).collect();
        let entries = corten_layer::tar::index(tar(&[file("f", &content)]).as_slice()).unwrap().index.entries;
        for (media_type, compression) in [
            (MediaType::LAYER, Compression::Stored),
            (MediaType::LAYER_GZIP, Compression::Gzip),
            (MediaType::LAYER_ZSTD, Compression::Zstd),
        ] {
            let mut writer = LayerWriter::new(Vec::new(), compression, 0);
            writer.file(entries[0].clone(), &mut content.as_bytes()).unwrap();
            let (whole, written) = writer.finish().unwrap();
            for at in [3, whole.len() / 2, whole.len() - 5] {
                let mut wrong = whole.clone();
                wrong[at] ^= 0x55;
                let mut blobs = MemoryBlobs::default();
                let digest = blobs.insert(wrong.clone());
                let blob = corten_oci::Descriptor::new(media_type, digest, wrong.len() as u64);
                let layer = TreeLayer { diff_id: written.diff_id, blob: Some(blob) };
                let error = escape.store.trees(&[layer], &blobs).unwrap_err();
                assert_eq!(error.fault(), Fault::Input, "{media_type} {at}: {error}");
                // The same bytes under the name of the right ones.
                let batch = escape.store.batch();
                let digest = batch.put(&whole).unwrap();
                batch.finish().unwrap();
                let path = escape.store.root().join("blobs/sha256").join(digest.hex());
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, &wrong).unwrap();
                let blob = corten_oci::Descriptor::new(media_type, digest, whole.len() as u64);
                let layer = TreeLayer { diff_id: written.diff_id, blob: Some(blob) };
                let error = escape.store.trees(&[layer], &escape.store).unwrap_err();
                assert_eq!(error.fault(), Fault::World, "{media_type} {at}: {error}");
                assert!(error.to_string().contains(&digest.hex()), "{error}");
            }
        }
    });
}

#[test]
fn a19_names_are_bytes() {
    as_root_and_nobody("attacks::a19_names_are_bytes", || {
        let escape = Escape::new();
        let mut odd = file("odd-x", "1");
        odd[4] = 0xff;
        odd[148..156].fill(b' ');
        let sum: u32 = odd[..512].iter().map(|&byte| u32::from(byte)).sum();
        odd[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let parts = [odd, file("Case", "1"), file("case", "2"), file("a b\tc\u{1b}[31m", "3"), file("ö", "4")];
        let layers = layers(&escape.store, &[tar(&parts)]);
        let folders = trees(&escape.store, &layers).unwrap();
        assert_eq!(std::fs::read_dir(&folders[0]).unwrap().count(), 5);
        assert_clean(&escape.store);
    });
}

#[test]
fn folders_without_an_entry_are_as_those_below() {
    as_root_and_nobody("attacks::folders_without_an_entry_are_as_those_below", || {
        let escape = Escape::new();
        let base = tar(&[dir("./", 0o711), dir("tmp", 0o1777), dir("root", 0o700), dir("usr", 0o755)]);
        let upper = tar(&[file("tmp/x", "1"), file("root/x", "2"), file("usr/x", "3"), file("new/x", "4")]);
        let layers = agree(&escape.store, &[base.clone(), upper.clone()]);
        let folders = trees(&escape.store, &layers).unwrap();
        assert_eq!(folders[0].metadata().unwrap().mode() & 0o7777, 0o711, "the root too");
        // Another image with the same folders has the same tree; one with others has its own.
        let other = agree(&escape.store, &[tar(&[dir("etc", 0o755)]), base, upper.clone()]);
        assert_eq!(trees(&escape.store, &other).unwrap()[0], folders[0]);
        let alone = agree(&escape.store, &[upper]);
        assert_ne!(trees(&escape.store, &alone).unwrap()[0], folders[0]);
        assert!(trees(&escape.store, &alone).unwrap()[0].ends_with("tree/root"));
    });
}

#[test]
fn a15_folders_without_end_are_refused_and_removed() {
    as_root_and_nobody("attacks::a15_folders_without_end_are_refused_and_removed", || {
        let escape = Escape::new();
        let folder = escape.store.upper_folder().unwrap();
        std::fs::create_dir(folder.path().join("upper")).unwrap();
        let script =
            "import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(3000): os.mkdir('d', 0o500 | 0o200); os.chdir('d')";
        let made = Command::new("python3").args(["-c", script]).arg(folder.path().join("upper")).status().unwrap();
        assert!(made.success());
        let places = folder.path().parent().unwrap().to_owned();
        let upper = Upper { folder, layers: &[], lower: &[], epoch: None, owners: Owners::OnDisk };
        // 512 calls within calls need more than a test's thread has, as long as nothing is optimised.
        let error = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(8 << 20);
            let keep = || escape.store.keep_upper(upper).unwrap_err().to_string();
            thread.spawn_scoped(scope, keep).unwrap().join().unwrap()
        });
        assert!(error.ends_with("its folders are nested deeper than 512"), "{}", &error[..200]);
        assert_eq!(std::fs::read_dir(places).unwrap().count(), 0, "nothing stays");
    });
}

#[test]
fn a17_who_swaps_a_folder_for_a_link_meanwhile_changes_nothing_outside() {
    as_root_and_nobody("attacks::a17_who_swaps_a_folder_for_a_link_meanwhile_changes_nothing_outside", || {
        use std::sync::atomic::{AtomicBool, Ordering};
        let escape = Escape::new();
        let files: Vec<_> = (0..300).map(|number| file(&format!("d/{number}"), "x")).collect();
        let all = layers(&escape.store, &[tar(&[vec![dir("d", 0o777)], files].concat())]);
        let to = escape.folder.path().join("to");
        std::fs::create_dir_all(to.join("d")).unwrap();
        std::os::unix::fs::symlink(format!("{}/dir", escape.out()), to.join("swap")).unwrap();
        let done = AtomicBool::new(false);
        let swaps = std::thread::scope(|scope| {
            let racer = scope.spawn(|| {
                let mut swaps = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    let (one, other) = (to.join("d"), to.join("swap"));
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    swaps += u64::from(
                        rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, other, flags).is_ok(),
                    );
                }
                swaps
            });
            for _ in 0..20 {
                // It may fail, it may succeed; what counts is looked at in the end.
                drop(escape.store.export_folder(&all, &MemoryBlobs::default(), None, &[], &to));
                if to.join("swap").symlink_metadata().is_err() {
                    drop(std::os::unix::fs::symlink(format!("{}/dir", escape.out()), to.join("swap")));
                }
            }
            done.store(true, Ordering::Relaxed);
            racer.join().unwrap()
        });
        assert!(swaps > 0, "nothing was swapped");
    });
}
