//! R22: a secret of a build is in nothing that the build leaves or says, however it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use corten_testkit::bar::{Bar, Random};
use flate2::read::MultiGzDecoder;

use super::boxes::{Player, files};

/// How a build ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Success,
    Failure,
    /// SIGKILL, while the command holds the secret.
    Killed,
    /// SIGTERM then, as `timeout` does.
    Timeout,
}

/// Whoever looks for a secret looks for all of these.
struct Needles(Vec<(&'static str, Vec<u8>)>);

impl Needles {
    fn of(secret: &str) -> Self {
        let bytes = secret.as_bytes();
        let join = |text: fn(&u8) -> String| bytes.iter().map(text).collect::<String>().into_bytes();
        let mut all = vec![
            ("raw", bytes.to_vec()),
            ("its first 16 bytes", bytes[..16].to_vec()),
            ("reversed", bytes.iter().rev().copied().collect()),
            ("hexadecimal", join(|byte| format!("{byte:02x}"))),
            ("HEXADECIMAL", join(|byte| format!("{byte:02X}"))),
            ("percent", percent(bytes)),
            ("JSON", join(|byte| format!("\\u{byte:04x}"))),
            ("JSON, as short as it goes", serde_json::to_string(secret).unwrap().trim_matches('"').into()),
        ];
        for (name, alphabet) in [("base64", b"+/"), ("base64url", b"-_")] {
            all.extend((0..3).map(|shift| (name, base64(bytes, shift, *alphabet))));
        }
        Self(all)
    }

    /// What of it is in these bytes, or in what they hold compressed.
    fn within(&self, bytes: &[u8], depth: usize) -> Vec<String> {
        let holds = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
        let found = self.0.iter().filter(|(_, needle)| holds(needle));
        let mut found: Vec<String> = found.map(|(name, _)| (*name).to_owned()).collect();
        if depth > 0 {
            for inner in compressed(bytes) {
                found.extend(self.within(&inner, depth - 1).into_iter().map(|name| format!("{name}, compressed")));
            }
        }
        found
    }

    fn below(&self, folder: &Path) -> Vec<String> {
        let read = |path: &Path| fs::read(path).unwrap_or_default();
        // Names of files, too. The program itself is not what a build leaves.
        let mut all = files(folder);
        all.retain(|path| !path.ends_with("program"));
        let names = all.iter().flat_map(|path| self.within(path.as_os_str().as_encoded_bytes(), 0));
        let names: Vec<_> = names.map(|name| format!("a name: {name}")).collect();
        let hits = all.iter().flat_map(|path| {
            self.within(&read(path), 2).into_iter().map(move |name| format!("{}: {name}", path.display()))
        });
        hits.chain(names).collect()
    }
}

fn percent(bytes: &[u8]) -> Vec<u8> {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect::<String>().into_bytes()
}

/// The letters of base64 that depend on these bytes alone, where `shift` bytes come before them in their group.
fn base64(bytes: &[u8], shift: usize, last: [u8; 2]) -> Vec<u8> {
    let plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".iter().copied();
    let letters: Vec<u8> = plain.chain(last).collect();
    let all = [vec![0; shift], bytes.to_vec()].concat();
    let bit = |at: usize| all.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let (from, to) = ((shift * 8).div_ceil(6), all.len() * 8 / 6);
    let letter = |at: usize| (0..6).fold(0, |value, place| value << 1 | usize::from(bit(at * 6 + place)));
    (from..to).map(|at| letters[letter(at)]).collect()
}

/// What gzip and zstd hold at the beginning of a block of an archive, or of the file.
fn compressed(bytes: &[u8]) -> Vec<Vec<u8>> {
    let media_type = corten_oci::MediaType(corten_oci::MediaType::LAYER_ZSTD.into());
    let mut found = Vec::new();
    for at in (0..bytes.len()).step_by(512) {
        let (rest, mut out) = (&bytes[at..], Vec::new());
        if rest.starts_with(&[0x1f, 0x8b, 8]) {
            // Behind a member in an archive comes something else.
            let _ = MultiGzDecoder::new(rest).take(64 << 20).read_to_end(&mut out);
        } else if rest.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let reader = corten_layer::gzip::reader(&media_type, rest);
            let _ = reader.map(|reader| reader.take(64 << 20).read_to_end(&mut out));
        }
        if !out.is_empty() {
            found.push(out);
        }
    }
    found
}

/// With letters that each encoding writes differently.
fn secret(random: &mut Random) -> String {
    format!("c{:016x}?>~\"\\/+ {:08x}é", random.number(), random.number() as u32)
}

fn dockerfile(way: Way, turn: usize) -> String {
    let end = match way {
        Way::Success => "exit 0",
        Way::Failure => "exit 7",
        Way::Killed | Way::Timeout => "sleep 1000",
    };
    format!(
        "FROM box:1\nARG NOTHING={turn}\nRUN --mount=type=secret,id=file --mount=type=secret,id=env,env=TOKEN --mount=type=secret,id=file,target=/deep/er/key \\\n\
         --mount=type=cache,id=r22,target=/cache --mount=type=tmpfs,target=/scratch <<EOF\n\
         cat /run/secrets/file /deep/er/key\necho \"$TOKEN\"; echo \"$TOKEN\" >&2\ncp /run/secrets/file /scratch/copy; cp /run/secrets/file /dev/shm/copy\n\
         [ -s /scratch/copy ] && [ ${{#TOKEN}} -gt 20 ] && touch /made /cache/made && echo holds\n{end}\nEOF\n\
         RUN --mount=type=secret,id=file cat /run/secrets/file; echo second; echo {turn} > /turn\nLABEL turn={turn}\n"
    )
}

/// One build; where the secret was found.
fn hits(player: &Player, way: Way, turn: usize, random: &mut Random) -> Vec<String> {
    let secret = secret(random);
    let needles = Needles::of(&secret);
    let keys = tempfile::tempdir().unwrap();
    fs::set_permissions(keys.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(keys.path().join("key"), &secret).unwrap();
    player.write("secrets/Dockerfile", dockerfile(way, turn));
    let child = build(player, &keys.path().join("key"), &secret).spawn().unwrap();
    let mut found = said(child, player, way, &needles);
    // Where it did not succeed the image is that of an earlier build, or there is none.
    for ran in AFTERWARDS.iter().map(|line| player.run(line)) {
        let said = [ran.stdout, ran.stderr].concat();
        found.extend(needles.within(said.as_bytes(), 0).into_iter().map(|name| format!("another command: {name}")));
    }
    found.extend(needles.below(&player.path("")));
    for name in ["out.tar", "docker.tar", "saved.tar", "tree"] {
        let _ = fs::remove_file(player.path(name)).or_else(|_| fs::remove_dir_all(player.path(name)));
    }
    found.into_iter().map(|what| format!("{} {way:?}: {what}", player.name)).collect()
}

/// With everything that a build can write.
fn build(player: &Player, key: &Path, secret: &str) -> Command {
    let file = format!("id=file,src={}", key.display());
    let mut command = player.command(&["build", "secrets", "--secret", &file, "--secret", "id=env,env=TOKEN"]);
    command.args([
        "-t",
        "held:1",
        "--why",
        "--metadata-file",
        "meta.json",
        "--iidfile",
        "id",
        "-v",
        "--format",
        "json",
    ]);
    command.args(["-o", "type=oci,dest=out.tar", "-o", "type=docker,dest=docker.tar", "-o", "type=local,dest=tree"]);
    command.env("TOKEN", secret).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Lets a build end as it is to end; where the secret was in what it said, and meanwhile.
fn said(mut child: Child, player: &Player, way: Way, needles: &Needles) -> Vec<String> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut said, mut found) = (Vec::new(), Vec::new());
    let signal = match way {
        Way::Killed => Some(rustix::process::Signal::KILL),
        Way::Timeout => Some(rustix::process::Signal::TERM),
        Way::Success | Way::Failure => None,
    };
    if let Some(signal) = signal {
        while !said.ends_with(b"holds\n") && stderr.read_until(b'\n', &mut said).unwrap() > 0 {}
        // While it is at work.
        found.extend(needles.within(&command_lines(), 0).into_iter().map(|name| format!("a command line: {name}")));
        found.extend(needles.below(&player.path("store")));
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
    stderr.read_to_end(&mut said).unwrap();
    let mut stdout = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    let status = child.wait().unwrap();
    assert!(said.windows(5).any(|part| part == b"holds"), "{way:?}: {}", String::from_utf8_lossy(&said));
    assert_eq!(status.success(), way == Way::Success, "{way:?}: {}", String::from_utf8_lossy(&said));
    for (sink, bytes) in [("standard output", &stdout), ("standard error", &said)] {
        found.extend(needles.within(bytes, 0).into_iter().map(|name| format!("{sink}: {name}")));
    }
    found
}

/// What looks at the image, and at all of its files.
const AFTERWARDS: [&[&str]; 6] = [
    &["history", "held:1", "--format", "json"],
    &["inspect", "held:1", "--format", "json"],
    &["save", "held:1", "-o", "saved.tar"],
    &["images", "--format", "json"],
    &["store", "verify", "--format", "json"],
    &[
        "run",
        "--rm",
        "--network",
        "none",
        "held:1",
        "sh",
        "-c",
        "cat /proc/self/environ; find / -xdev -type f | xargs cat",
    ],
];

fn command_lines() -> Vec<u8> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.collect::<Vec<_>>().concat()
}

#[test]
fn r22_a_secret_is_in_nothing_that_a_build_leaves_or_says() {
    let bar = Bar::begin("R22");
    let mut random = bar.random();
    let (mut found, mut builds) = (Vec::new(), 0);
    for player in Player::all() {
        for turn in 0..bar.length(1, 5) {
            for way in [Way::Success, Way::Failure, Way::Killed, Way::Timeout] {
                found.extend(hits(&player, way, turn, &mut random));
                builds += 1;
            }
        }
    }
    found.iter().for_each(|what| println!("{what}"));
    let kinds = Needles::of(&secret(&mut random)).0.len();
    let figure = format!("{} hits of {kinds} spellings in {builds} builds with all that they left", found.len());
    bar.finish(figure, found.is_empty());
}

/// Who looks finds it: in a layer as a tree, in gzip within an archive, in each spelling.
#[test]
fn r22_a_secret_that_a_command_keeps_is_found() {
    let bar = Bar::begin("R22");
    let (player, secret) = (Player::all().remove(0), secret(&mut bar.random()));
    let needles = Needles::of(&secret);
    for (name, needle) in &needles.0 {
        assert!(needles.within(&[b"xy", &needle[..], b"z"].concat(), 0).contains(&(*name).to_owned()), "{name}");
    }
    let key = player.write("key", &secret);
    player.write("kept/Dockerfile", "FROM box:1\nRUN --mount=type=secret,id=s cp /run/secrets/s /kept\n");
    let flag = format!("id=s,src={}", key.display());
    player.run(&["build", "kept", "--secret", &flag, "-o", "type=oci,dest=out.tar"]).expect(0);
    fs::remove_file(key).unwrap();
    let found = needles.below(&player.path(""));
    assert!(found.iter().any(|what| what.ends_with("out.tar: raw, compressed")), "{found:?}");
    assert!(found.iter().any(|what| what.ends_with("/kept: raw")), "{found:?}");
}
