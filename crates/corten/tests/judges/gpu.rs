//! What libraries of real wheels have of GPU code: our reader against NVIDIA's `cuobjdump`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use corten_elf::{CodeKind, FatbinScan};

use crate::place::new_folder;

/// Of PyPI, with the number of libraries that both read; cuobjdump refuses the seventh of bitsandbytes, made with CUDA 12.1, with a
/// fatal "Invalid ELF": cubins that are linked once more, LZ4 and zstd, PTX, architectures of all three kinds; 53 MB together.
const WHEELS: [(&str, &str, usize); 2] = [("bitsandbytes==0.50.2", "py3", 6), ("jax-cuda13-plugin==0.9.2", "cp311", 4)];

/// `1 sm_75`, as cuobjdump's `--all-fatbin` lists each entry. It writes `sm_100f` as `sm_100`.
type Counts = BTreeMap<(&'static str, String), u32>;

#[test]
fn cuobjdump_lists_the_same_code_of_real_wheels() {
    let Some(cuobjdump) = xtask::peers::need("cuobjdump") else { return };
    for (wheel, python, expected) in WHEELS {
        let folder = new_folder(&format!("gpu-{}", wheel.split('=').next().unwrap()));
        let mut judged = 0;
        for library in libraries(wheel, python, &folder) {
            let ours = ours(&library);
            let Some(theirs) = theirs(&cuobjdump, &library) else { continue };
            assert_eq!(ours, theirs, "{}", library.display());
            judged += usize::from(!ours.is_empty());
        }
        assert_eq!(judged, expected, "{wheel}: libraries with GPU code");
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// The wheel's libraries, unpacked.
fn libraries(wheel: &str, python: &str, folder: &Path) -> Vec<PathBuf> {
    let run = |arguments: &[&str]| {
        let status = Command::new("python3").current_dir(folder).args(arguments).status().unwrap();
        assert!(status.success(), "python3 {arguments:?}");
    };
    let version = python.strip_prefix("cp").map_or("311", |version| version);
    let platform = [
        "--platform",
        "manylinux_2_28_x86_64",
        "--platform",
        "manylinux_2_27_x86_64",
        "--platform",
        "manylinux_2_24_x86_64",
    ];
    let download =
        ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"];
    run(&[&download[..], &["--python-version", version], &platform, &[wheel]].concat());
    let file = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .unwrap();
    run(&["-m", "zipfile", "-e", file.to_str().unwrap(), "unpacked"]);
    let mut found = Vec::new();
    let mut folders = vec![folder.join("unpacked")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == "so") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

fn ours(library: &Path) -> Counts {
    let mut scan = FatbinScan::default();
    fs::read(library).unwrap().chunks(65_521).for_each(|chunk| scan.push(chunk));
    let mut counts = Counts::new();
    for ((kind, architecture), count) in scan.finish().entries {
        let kind = if kind == CodeKind::Cubin { "cubin" } else { "ptx" };
        *counts.entry((kind, architecture.to_string().trim_end_matches('f').to_owned())).or_default() += count;
    }
    counts
}

fn theirs(cuobjdump: &Path, library: &Path) -> Option<Counts> {
    let mut counts = Counts::new();
    for (list, kind) in [("--list-elf", "cubin"), ("--list-ptx", "ptx")] {
        let output = Command::new(cuobjdump).args(["--all-fatbin", list]).arg(library).output().unwrap();
        if String::from_utf8_lossy(&output.stderr).contains("fatal") {
            return None;
        }
        let text = String::from_utf8(output.stdout).unwrap();
        // ELF file    3: libbitsandbytes_cuda128.3.sm_80.cubin
        for line in text.lines() {
            let Some(architecture) = line.strip_suffix(&format!(".{kind}")).and_then(|name| name.rsplit_once(".sm_"))
            else {
                continue;
            };
            *counts.entry((kind, architecture.1.to_owned())).or_default() += 1;
        }
    }
    Some(counts)
}
