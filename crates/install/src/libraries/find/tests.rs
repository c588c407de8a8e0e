use super::*;
use corten_oci::{Entry, Kind};

const SITE: &str = "opt/venv/lib/python3.11/site-packages";

fn path(text: &str) -> LayerPath {
    LayerPath::new(text).unwrap()
}

/// A layer: path, needed libraries, run path; or a link.
fn layer(programs: &[(&str, &[&str], &str)], links: &[(&str, &str)]) -> ImageLayer {
    let mut found = ImageLayer { index: LayerIndex::default(), programs: LayerPrograms::default() };
    let entry = |at: &str, kind| Entry {
        path: path(at),
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        size: 0,
        crc32: None,
        offset: 0,
        package: Some("pkg:pypi/a@1".into()),
    };
    for (at, needed, run_path) in programs {
        found.index.entries.push(entry(at, Kind::File));
        found.programs.programs.push(Program {
            path: path(at),
            machine: AMD64,
            soname: None,
            needed: needed.iter().map(|name| (*name).to_owned()).collect(),
            rpath: None,
            runpath: (!run_path.is_empty()).then(|| (*run_path).to_owned()),
            gpu: None,
        });
    }
    found.index.entries.extend(links.iter().map(|(at, to)| entry(at, Kind::Symlink((*to).to_owned()))));
    found
}

fn names(layers: &[ImageLayer]) -> Vec<(String, String, bool)> {
    let found = missing(layers, Architecture::Amd64, &["/opt/own".to_owned()]);
    found.into_iter().map(|one| (one.library, one.file.to_string(), one.breaks_import)).collect()
}

fn libc() -> ImageLayer {
    layer(
        &[("usr/lib/x86_64-linux-gnu/libc.so.6", &[], ""), ("opt/own/libown.so", &[], "")],
        &[
            ("lib", "usr/lib"),
            ("usr/lib/x86_64-linux-gnu/libm.so.6", "/etc/alternatives/m"),
            ("etc/alternatives/m", "../../lib/x86_64-linux-gnu/libc.so.6"),
        ],
    )
}

#[test]
fn a_library_of_no_layer_is_told_and_what_the_loader_finds_is_not() {
    let module = format!("{SITE}/cv2/cv2.abi3.so");
    let own = format!("{SITE}/cv2.libs/libq.so.5");
    let wheel = layer(
        &[
            (&module, &["libq.so.5", "libc.so.6", "libm.so.6", "libown.so", "libcuda.so.1"], "$ORIGIN/../cv2.libs"),
            (&own, &["libGL.so.1", "libc.so.6"], "${ORIGIN}"),
        ],
        &[],
    );
    assert_eq!(names(&[libc(), wheel.clone()]), [("libGL.so.1".to_owned(), own, true)]);
    let gl = layer(&[("usr/lib/x86_64-linux-gnu/libGL.so.1", &[], "")], &[]);
    assert_eq!(names(&[libc(), gl, wheel]), []);
}

#[test]
fn without_its_run_path_a_library_of_the_wheel_counts_as_loaded() {
    let (module, library) = (format!("{SITE}/x/_C.so"), format!("{SITE}/torch/lib/libtorch.so"));
    assert_eq!(names(&[layer(&[(&module, &["libtorch.so"], ""), (&library, &[], "")], &[])]), []);
}

/// `java` loads `lib/server/libjvm.so` by its path; what comes then finds it by its name.
#[test]
fn a_library_of_the_same_package_counts_as_loaded() {
    let programs: [(&str, &[&str], &str); 2] =
        [("usr/lib/jvm/lib/libnet.so", &["libjvm.so"], ""), ("usr/lib/jvm/lib/server/libjvm.so", &[], "")];
    let mut java = layer(&programs, &[]);
    assert_eq!(names(std::slice::from_ref(&java)), []);
    java.index.entries[1].package = Some("pkg:deb/debian/other@1".into());
    assert_eq!(names(&[java]).len(), 1);
}

/// As libcusparseLt of CUDA 12 is, whose names lie at the end of 26 MB of them.
#[test]
fn a_library_that_could_not_be_read_counts_as_loaded() {
    let module = format!("{SITE}/torch/lib/libtorch_cuda.so");
    let mut wheel = layer(&[(&module, &["libcusparseLt.so.0", "libother.so.0"], "")], &[]);
    wheel.programs.unread.push(path(&format!("{SITE}/nvidia/cusparselt/lib/libcusparseLt.so.0")));
    wheel.programs.unread.push(path("srv/libother.so.0"));
    assert_eq!(names(&[wheel]), [("libother.so.0".to_owned(), module, false)]);
}

#[test]
fn what_no_import_loads_breaks_none() {
    let plugin = format!("{SITE}/a/b/plugin.so");
    let missing = names(&[layer(&[(&plugin, &["libx.so.1"], "")], &[])]);
    assert_eq!(missing, [("libx.so.1".to_owned(), plugin, false)]);
}

#[test]
fn files_of_another_processor_and_hidden_ones_do_not_count() {
    let module = format!("{SITE}/a/a.so");
    let mut other = layer(&[(&module, &["libx.so.1"], "")], &[]);
    other.programs.programs[0].machine = ARM64;
    assert_eq!(names(&[other]), []);
    let low = layer(&[(&module, &["libx.so.1"], "")], &[]);
    let high = layer(&[(&module, &[], "")], &[]);
    assert_eq!(names(&[low, high]), []);
}

#[test]
fn circles_of_links_end() {
    let module = format!("{SITE}/a/a.so");
    let wheel = layer(&[(&module, &["libx.so.1"], "/a:/b/../../..")], &[("a", "b"), ("b", "/a")]);
    assert_eq!(names(&[wheel]).len(), 1);
}

/// The other way round: a library of the wheel that has no path of its own finds its own by that of what loads it.
#[test]
fn the_path_of_what_loads_a_library_leads_to_what_it_needs() {
    let module = format!("{SITE}/a/a.so");
    let (low, lower) = (format!("{SITE}/a/lib/liblow.so"), format!("{SITE}/a/lib/liblower.so"));
    let needed: [(&str, &[&str], &str); 3] =
        [(&module, &["liblow.so"], ""), (&low, &["/a/liblower.so"], ""), (&lower, &[], "")];
    let mut wheel = layer(&needed, &[("a", &format!("/{SITE}/a/lib"))]);
    wheel.programs.programs[0].rpath = Some("$ORIGIN/lib".into());
    assert_eq!(names(&[wheel]), []);
}

/// Whiteouts of folders that are not there, and files that a layer brings where it hides others.
#[test]
fn what_layers_hide_is_gone() {
    let module = format!("{SITE}/a/a.so");
    let low = layer(&[(&module, &["libx.so.1"], ""), ("usr/lib/libx.so.1", &[], "")], &[]);
    let mut high = layer(&[], &[]);
    let entry = |at: &str, kind| Entry {
        path: path(at),
        kind,
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        crc32: None,
        offset: 0,
        package: None,
    };
    high.index.entries = vec![entry("usr/lib", Kind::Opaque), entry("usr/lib-", Kind::Whiteout)];
    assert_eq!(names(&[low.clone(), high.clone()]), [("libx.so.1".to_owned(), module, true)]);
    high.index.entries.push(entry("", Kind::Opaque));
    assert_eq!(names(&[low, high]), []);
}

/// Libraries at random, in some folders, with names, paths and links of all kinds: the loader of this machine and ours
/// find the same files and lack the same names.
#[test]
fn the_real_loader_finds_the_same() {
    let loader = std::path::Path::new("/lib64/ld-linux-x86-64.so.2");
    if !loader.exists() {
        assert!(std::env::var_os("CI").is_none(), "no loader for amd64 on this machine");
        println!("skipped: no loader for amd64 on this machine");
        return;
    }
    let (mut found, mut lacking) = (0, 0);
    for seed in 1..=6 {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let layer = at_random(&root, seed);
        let library_path = [root.join("d4").to_str().unwrap().to_owned()];
        let layers = [layer];
        let image = Image::new(&layers, Architecture::Amd64, &library_path);
        for program in &layers[0].programs.programs {
            let process = image.load(&program.path);
            let real = |path: &str| std::fs::canonicalize(path).unwrap().to_str().unwrap().to_owned();
            let mut ours: BTreeSet<String> = process.lacking.iter().map(|(_, name)| (*name).to_owned()).collect();
            ours.extend(process.objects.iter().skip(1).map(|object| real(&format!("/{}", object.path))));
            let run = std::process::Command::new(loader)
                .arg(format!("/{}", program.path))
                .env("LD_TRACE_LOADED_OBJECTS", "1")
                .env("LD_LIBRARY_PATH", &library_path[0])
                .output()
                .unwrap();
            let text = String::from_utf8(run.stdout).unwrap();
            let theirs = text.lines().filter_map(|line| line.trim().split_once(" => "));
            let theirs: BTreeSet<String> = theirs
                .map(|(name, path)| path.rsplit_once(" (").map_or(name.to_owned(), |(path, _)| real(path)))
                .collect();
            // The file itself, found again, is listed or not.
            let own = real(&format!("/{}", program.path));
            let (ours, theirs) = [ours, theirs].map(|mut one| (one.remove(&own), one).1).into();
            assert_eq!(ours, theirs, "seed {seed}, {}: {text}", program.path);
            found += theirs.iter().filter(|one| one.starts_with('/')).count();
            lacking += theirs.iter().filter(|one| !one.starts_with('/')).count();
        }
    }
    assert!(found > 100 && lacking > 20, "{found} found, {lacking} lacking");
}

/// Twelve names in five folders below a root, on the disk and as a layer.
fn at_random(root: &std::path::Path, seed: u64) -> ImageLayer {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let mut made = ImageLayer { index: LayerIndex::default(), programs: LayerPrograms::default() };
    let in_image = |path: &std::path::Path| LayerPath::new(path.to_str().unwrap()).unwrap();
    let mut push = |path: LayerPath, kind| {
        made.index.entries.push(Entry {
            path,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            crc32: None,
            offset: 0,
            package: None,
        });
    };
    let mut programs = Vec::new();
    for number in 0..30 {
        let folder = root.join(format!("d{}", random(5)));
        let name = format!("libq{}.so", random(12));
        let path = folder.join(&name);
        if path.symlink_metadata().is_ok() {
            continue;
        }
        std::fs::create_dir_all(&folder).unwrap();
        if random(5) == 0 {
            let target = format!("../d{}/libq{}.so", random(5), random(12));
            std::os::unix::fs::symlink(&target, &path).unwrap();
            push(in_image(&path), Kind::Symlink(target));
            continue;
        }
        let mut list = || (0..=random(2)).map(|_| format!("$ORIGIN/../d{}", random(5))).collect::<Vec<_>>().join(":");
        let library = corten_testkit::elf::Library {
            rpath: (number % 3 != 0).then(&mut list),
            runpath: (number % 4 == 0).then(&mut list),
            soname: (number % 5 == 0).then(|| format!("libq{}.so", number % 12)),
            needed: Vec::new(),
        };
        let needed = (0..random(4)).map(|_| format!("libq{}.so", random(12))).collect();
        let library = corten_testkit::elf::Library { needed, ..library };
        std::fs::write(&path, library.build()).unwrap();
        push(in_image(&path), Kind::File);
        programs.push((in_image(&path), library.build()));
    }
    for (path, bytes) in programs {
        let elf = corten_elf::Elf::read(&bytes).unwrap().dynamic.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        made.programs.programs.push(Program {
            path,
            machine: AMD64,
            soname: elf.soname.map(text),
            needed: elf.needed.iter().map(|name| text(name)).collect(),
            rpath: elf.rpath.filter(|_| elf.runpath.is_none()).map(text),
            runpath: elf.runpath.map(text),
            gpu: None,
        });
    }
    made
}

/// As the wheels of torch 2.15 are: libraries of CUDA in wheels of their own, the driver's on the host, an InfiniBand plugin.
#[test]
fn torch_needs_its_wheels_and_the_driver_is_the_hosts() {
    let at = |below: &str| format!("{SITE}/{below}");
    let cuda = "$ORIGIN/../../nvidia/cu13/lib:$ORIGIN/../../nvidia/nccl/lib:$ORIGIN";
    let torch = layer(
        &[
            (&at("torch/_C.cpython-311-x86_64-linux-gnu.so"), &["libtorch_python.so"], "$ORIGIN/lib"),
            (&at("torch/lib/libtorch_python.so"), &["libtorch_cuda.so"], "$ORIGIN"),
            (
                &at("torch/lib/libtorch_cuda.so"),
                &["libcudart.so.13", "libcublas.so.13", "libnccl.so.2", "libcuda.so.1", "libnvidia-ml.so.1"],
                cuda,
            ),
        ],
        &[],
    );
    let of_cuda = layer(
        &[
            (&at("nvidia/cu13/lib/libcudart.so.13"), &[], ""),
            // Without a run path: it counts on being loaded after what it needs.
            (&at("nvidia/cu13/lib/libcublas.so.13"), &["libcublasLt.so.13", "libnvidia-ptxjitcompiler.so.1"], ""),
            (&at("nvidia/cu13/lib/libcublasLt.so.13"), &[], ""),
        ],
        &[],
    );
    let nccl = layer(&[(&at("nvidia/nccl/lib/libnccl.so.2"), &["libcuda.so.1"], "")], &[]);
    assert_eq!(names(&[torch.clone(), of_cuda.clone(), nccl.clone()]), []);
    let missing = ("libnccl.so.2".to_owned(), at("torch/lib/libtorch_cuda.so"), true);
    assert_eq!(names(&[torch.clone(), of_cuda.clone()]), [missing]);
    let rdma = at("nvidia/cu13/lib/libcufile_rdma.so.1");
    let plugin = layer(&[(&rdma, &["libmlx5.so.1", "libcuda.so.1"], "")], &[]);
    assert_eq!(names(&[torch, of_cuda, nccl, plugin]), [("libmlx5.so.1".to_owned(), rdma, false)]);
}
