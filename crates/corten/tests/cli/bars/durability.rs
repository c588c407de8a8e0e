//! R4: what durability costs. The same build with syncs as they are, and with syncs that do nothing.
//!
//! No switch of the program turns them off, nor should there be one: a filter of system calls, set before the program
//! starts, answers `fsync`, `fdatasync` and `syncfs` with 0. The other runs have a filter of the same length that lets
//! them through, so that the filter's own cost is on both sides. That the filter meets what the store relies on shows
//! a third one: with EIO as its answer, the build fails.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use corten_testkit::bar::{Bar, Random};
use corten_testkit::wheel::WheelBuilder;

use crate::ground::{Ground, corten_at, paths};
use crate::service::{Wheel, digest};

/// `python3 - ACTION PROGRAM …`: sets the filter, becomes the program. Numbers as in `linux/seccomp.h` and
/// `linux/filter.h`.
const FILTERED: &str = "import ctypes, os, platform, struct, sys
calls = (74, 75, 306) if platform.machine() == 'x86_64' else (82, 83, 267)
answer = {'through': 0x7fff0000, 'nothing': 0x00050000, 'fails': 0x00050005}[sys.argv[1]]
code = struct.pack('HBBI', 0x20, 0, 0, 0)
for number, call in enumerate(calls):
    code += struct.pack('HBBI', 0x15, 3 - number, 0, call)
code += struct.pack('HBBI', 0x06, 0, 0, 0x7fff0000) + struct.pack('HBBI', 0x06, 0, 0, answer)
code = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 6, ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[2], sys.argv[2:])";

/// Its share of the wall time without it.
const MOST: f64 = 0.10;
const MEGABYTE: usize = 1_000_000;

#[test]
fn r4_what_durability_costs() {
    let bar = Bar::begin("R4");
    let (rounds, wheels, size) = (bar.length(1, 5), bar.length(1, 4), bar.length(2, 250) * MEGABYTE);
    let ground = Ground::new();
    // Not in memory: there a sync costs nothing.
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let home = disk.path().join("store");
    let mut random = bar.random();
    let large: Vec<Wheel> = (0..wheels).map(|number| wheel(number, size, &mut random)).collect();
    require(&ground, &large);
    let expected = digest(&corten_at(&home).run(&ground.service.folder(), ["build", "--format", "json"]));
    let bytes: u64 = paths(&home).iter().map(|path| fs::metadata(home.join(path)).unwrap().len()).sum();
    let (mut durable, mut hasty) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (action, times) in [("through", &mut durable), ("nothing", &mut hasty)] {
            forget_what_was_made(&home, &large);
            let (status, output, took) = built(&ground, &home, action);
            assert!(status == 0 && output.contains(&expected), "{action}: {output}");
            times.push(took);
        }
    }
    forget_what_was_made(&home, &large);
    let (status, output, _) = built(&ground, &home, "fails");
    assert_eq!(status, 3, "without a single sync: {output}");
    let (durable, hasty) = (median(durable), median(hasty));
    let cost = durable.as_secs_f64() / hasty.as_secs_f64() - 1.0;
    let value = format!("{:.1} % of {:.2} s (a store of {} MB)", cost * 100.0, hasty.as_secs_f64(), bytes / 1_000_000);
    let is_met = cost <= MOST || !bar.is_whole();
    bar.finish(value, is_met);
}

/// As weights and libraries are: half of it is noise, the rest compresses well.
fn wheel(number: usize, size: usize, random: &mut Random) -> Wheel {
    const NAMES: [&str; 4] = ["tensor", "gradient", "matrix", "vector"];
    let noise = (0..size / 16).flat_map(|at| [random.number(), at as u64]);
    let content: Vec<u8> = noise.flat_map(u64::to_le_bytes).collect();
    let builder = WheelBuilder::new(NAMES[number], "2.0")
        .platlib()
        .tag("cp311-cp311-manylinux_2_17_x86_64")
        .file(&format!("{}/core.bin", NAMES[number]), content);
    Wheel { name: NAMES[number], version: "2.0", file: builder.file_name(), bytes: builder.build() }
}

/// Lets the service depend on the wheels, which its index has.
fn require(ground: &Ground, wheels: &[Wheel]) {
    let service = &ground.service;
    for wheel in wheels {
        service.index.add(wheel.name, &wheel.file, &wheel.bytes);
    }
    let mut all: Vec<Wheel> = crate::service::wheels().into_iter().filter(|wheel| wheel.name != "tensor").collect();
    all.extend_from_slice(wheels);
    service.write("uv.lock", service.lock_of(&all));
}

/// The store as if its wheels had just been downloaded: layers, manifests and names are gone.
fn forget_what_was_made(home: &Path, wheels: &[Wheel]) {
    for folder in ["layers", "images", "referrers", "cache"] {
        fs::remove_dir_all(home.join(folder)).unwrap();
    }
    let kept: Vec<String> = wheels.iter().map(|wheel| corten_oci::Digest::of(&wheel.bytes).hex()).collect();
    for entry in fs::read_dir(home.join("blobs/sha256")).unwrap().map(Result::unwrap) {
        if !kept.contains(&entry.file_name().into_string().unwrap()) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    // What was written before is not paid for by the next run.
    rustix::fs::sync();
}

fn built(ground: &Ground, home: &Path, action: &str) -> (i32, String, Duration) {
    let corten = corten_at(home);
    let inner = corten.command(&ground.service.folder());
    let mut python = Command::new("python3");
    python.current_dir(ground.service.folder()).env_clear();
    python.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    python.args(["-c", FILTERED, action]).arg(inner.get_program()).args(["build", "--format", "json"]);
    let begun = Instant::now();
    let mut child = python.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    (status.code().unwrap_or(-1), said, begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
