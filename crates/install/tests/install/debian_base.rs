//! Bases made from the real archive: slim against mmdebstrap, file by file; both variants at work in a chroot.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use corten_diagnostic::Nobody;
use corten_install::debian::base::{Base, BaseOptions, ExtraOptions, NodeKind, add_packages, build_base};
use corten_install::debian::bytecode::{Invocation, OwnInterpreter};
use corten_install::debian::deb::DebFile;
use corten_install::debian::{
    Archive, BaseRequest, Keyring, LockedBase, LockedDeb, Mirrors, Variant, fetch_debs, lock_base, lock_packages,
};
use corten_layer::tar::TarReader;
use corten_layer::write::{Compression, LayerWriter};
use corten_net::{Client, Settings};
use corten_oci::{Architecture, Digest, Kind};
use corten_store::Store;

/// What slim begins with beside what is Essential, as mmdebstrap wants it. apt comes by its variant.
const INCLUDE: &str = "python3,ca-certificates,tzdata,libgomp1,libstdc++6,netbase";
const PRUNED: [&str; 7] = ["man", "doc", "locale", "groff", "info", "linda", "lintian"];

const PYTHON_AT_WORK: &str = "
import ssl, sqlite3, ctypes.util, zoneinfo, socket, os, locale, difflib
assert os.getuid() == 10001
assert len(ssl.create_default_context().get_ca_certs()) > 100
assert sqlite3.connect(':memory:').execute('select 40 + 2').fetchone() == (42,)
for name in ['c', 'm', 'ssl', 'crypto', 'z', 'gomp', 'stdc++', 'sqlite3']:
    assert ctypes.util.find_library(name), name
assert zoneinfo.ZoneInfo('Europe/Berlin').key == 'Europe/Berlin'
assert socket.getaddrinfo('localhost', 80) and socket.getservbyname('http') == 80
locale.setlocale(locale.LC_ALL, 'C.UTF-8')
assert os.path.exists(difflib.__cached__), 'no bytecode'
assert difflib.ndiff.__code__.co_filename == difflib.__file__ == difflib.__spec__.origin
print('at work')
";

/// Small packages whose scripts make something: users, folders, links, copies, joined files.
const EXTRA: [(&str, &str); 2] = [
    ("bookworm", "cron git-lfs libgs-common nginx-light openssh-client redis-tools unixodbc"),
    // cron brings systemd there.
    ("trixie", "git-lfs libgs-common nginx-light openssh-client redis-tools unixodbc"),
];

/// Base and added packages are two layers; mmdebstrap installs all in one go.
#[test]
fn slim_with_packages_is_what_mmdebstrap_makes() {
    if !may_make_roots("mmdebstrap") {
        return;
    }
    for (suite, extra) in EXTRA {
        let folder = tempfile::tempdir().unwrap();
        let extra: Vec<String> = extra.split_whitespace().map(str::to_owned).collect();
        let (locked, base, added) = make_with(suite, Variant::Slim, &extra, folder.path());
        let mut ours = read_tree(&write_layer(&base, locked.epoch, folder.path()));
        ours.extend(read_tree(&write_layer_as(&added, locked.epoch, &folder.path().join("added.tar"))));
        let truth = read_tree(&mmdebstrap(suite, &extra, locked.epoch, folder.path()));
        assert!(truth.len() > 3000, "{} files to compare", truth.len());
        compare(&truth, &ours, suite);
        let root = unpack(folder.path());
        run(Command::new("tar")
            .args(["--numeric-owner", "-xpf"])
            .arg(folder.path().join("added.tar"))
            .arg("-C")
            .arg(&root));
        library_cache_is_ldconfigs(&root, &added);
        dpkg_is_content(&root);
        apt_installs(&root);
    }
}

#[test]
fn distroless_has_python_at_work() {
    if !may_make_roots("tar") {
        return;
    }
    for (suite, limit) in [("bookworm", 24_000_000), ("trixie", 25_000_000)] {
        let folder = tempfile::tempdir().unwrap();
        let (locked, base) = make(suite, Variant::Distroless, folder.path());
        write_layer(&base, locked.epoch, folder.path());
        let root = unpack(folder.path());
        fs::write(root.join("tmp/at_work.py"), PYTHON_AT_WORK).unwrap();
        let user = ["--userspec=10001:10001", root.to_str().unwrap(), "/usr/bin/python3", "/tmp/at_work.py"];
        assert_eq!(text(&run(Command::new("chroot").args(user).env_remove("LC_ALL"))), "at work\n");
        library_cache_is_ldconfigs(&root, &base);
        assert!(!base.tree.exists("bin/sh") && !base.tree.exists("usr/bin/dpkg"));
        let size = gzip_size(&base, locked.epoch);
        assert!(size <= limit, "{suite}: {size} bytes");
    }
}

/// Root and a program, or a reason.
fn may_make_roots(program: &str) -> bool {
    let is_root = text(&run(Command::new("id").arg("-u"))) == "0\n";
    if is_root && Command::new(program).arg("--version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "this test needs root and {program}");
    println!("skipped: not root, or no {program} on this machine");
    false
}

fn make(suite: &str, variant: Variant, folder: &Path) -> (LockedBase, Base) {
    let (locked, base, _) = make_with(suite, variant, &[], folder);
    (locked, base)
}

/// A base, and what packages add to it.
fn make_with(suite: &str, variant: Variant, extra: &[String], folder: &Path) -> (LockedBase, Base, Base) {
    let store = Store::open(folder.join("store")).unwrap();
    let client = Client::new(Settings::default());
    let (mirrors, keyring) = (Mirrors::default(), Keyring::debian());
    let archive = Archive { client: &client, store: &store, mirrors: &mirrors, keyring: &keyring, events: &Nobody };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let architecture = Architecture::Amd64;
    let request = BaseRequest { suite, variant, architecture, extra: &[], now, seen: None };
    let locked = lock_base(&archive, &request).unwrap();
    let more = lock_packages(&archive, &BaseRequest { extra, ..request }, &locked.debs).unwrap();
    fetch_debs(&archive, &[locked.debs.as_slice(), &more.debs].concat(), locked.epoch).unwrap();
    let file = |deb: &LockedDeb| DebFile {
        name: deb.name.clone(),
        version: deb.version.clone(),
        architecture: deb.architecture.clone(),
        path: store.blob_path(&deb.digest),
    };
    let debs: Vec<_> = locked.debs.iter().map(file).collect();
    let more: Vec<_> = more.debs.iter().map(file).collect();
    let scratch = folder.join("scratch");
    fs::create_dir(&scratch).unwrap();
    let python = (3, locked.python.split('.').nth(1).unwrap().parse().unwrap());
    let interpreter = OwnInterpreter { architecture, python, run: run_invocation };
    let options = BaseOptions {
        suite,
        variant,
        architecture,
        epoch: locked.epoch,
        seeds: &locked.seeds,
        python: Some(python),
        bytecode: Some(&interpreter),
        compiler: None,
        dockerfiles: None,
        scratch: &scratch,
        jobs: 2.try_into().unwrap(),
    };
    let base = build_base(&debs, &options).unwrap();
    let added = add_packages(base.clone(), &more, &options, &ExtraOptions { asked: extra, unconfigured: &[] }).unwrap();
    (locked, base, added)
}

fn run_invocation(invocation: &Invocation) -> io::Result<Vec<u8>> {
    let mut command = Command::new(&invocation.program);
    command.args(&invocation.arguments).env_clear().envs(invocation.environment.iter().cloned());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(&invocation.input));
        let output = child.wait_with_output()?;
        output.status.success().then_some(output.stdout).ok_or_else(|| io::Error::other("the interpreter failed"))
    })
}

fn write_layer(base: &Base, epoch: u64, folder: &Path) -> std::path::PathBuf {
    write_layer_as(base, epoch, &folder.join("ours.tar"))
}

fn write_layer_as(base: &Base, epoch: u64, path: &Path) -> std::path::PathBuf {
    let mut writer = LayerWriter::new(fs::File::create(path).unwrap(), Compression::Stored, epoch);
    base.write_layer(&mut writer).unwrap();
    writer.finish().unwrap();
    path.to_owned()
}

fn gzip_size(base: &Base, epoch: u64) -> usize {
    let mut writer = LayerWriter::new(Vec::new(), Compression::Gzip, epoch);
    base.write_layer(&mut writer).unwrap();
    writer.finish().unwrap().0.len()
}

/// As our slim base: the same packages, the same documents left out.
fn mmdebstrap(suite: &str, extra: &[String], epoch: u64, folder: &Path) -> std::path::PathBuf {
    let path = folder.join("truth.tar");
    let extra = extra.join(",");
    let mut command = Command::new("mmdebstrap");
    command.env("SOURCE_DATE_EPOCH", epoch.to_string()).env("TMPDIR", "/tmp");
    command.args(["--quiet", "--variant=apt", "--architectures=amd64", "--aptopt=Apt::Install-Recommends \"false\""]);
    for name in PRUNED {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{name}/*"));
    }
    command.arg("--dpkgopt=path-include=/usr/share/doc/*/copyright");
    if suite == "bookworm" {
        command.arg(format!("--include={INCLUDE},usr-is-merged,{extra}"));
        command.arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr");
    } else {
        command.arg(format!("--include={INCLUDE},{extra}"));
    }
    command.arg(suite).arg(&path);
    for (place, name) in [
        ("debian", suite.to_owned()),
        ("debian", format!("{suite}-updates")),
        ("debian-security", format!("{suite}-security")),
    ] {
        command.arg(format!("deb http://deb.debian.org/{place} {name} main"));
    }
    run(&mut command);
    path
}

/// What is compared of a file: kind with target, mode, owner, content.
type Seen = (Kind, u32, u64, u64, Option<Vec<u8>>);

fn read_tree(tar: &Path) -> BTreeMap<String, Seen> {
    let mut reader = TarReader::new(BufReader::new(fs::File::open(tar).unwrap()));
    let mut tree: BTreeMap<String, Seen> = BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = None;
        match &entry.kind {
            Kind::File => {
                let mut bytes = Vec::new();
                reader.content().read_to_end(&mut bytes).unwrap();
                content = Some(bytes);
            }
            // Which name of a hard link carries the content depends on the order.
            Kind::HardLink(target) => {
                let seen = tree.get(target.to_string().as_str()).unwrap().clone();
                tree.insert(entry.path.to_string(), seen);
                continue;
            }
            _ => {}
        }
        let mode = if matches!(entry.kind, Kind::Symlink(_)) { 0o777 } else { entry.mode };
        tree.insert(entry.path.to_string(), (entry.kind, mode, entry.uid, entry.gid, content));
    }
    tree
}

fn compare(truth: &BTreeMap<String, Seen>, ours: &BTreeMap<String, Seen>, suite: &str) {
    let names: std::collections::BTreeSet<_> =
        truth.keys().chain(ours.keys()).filter(|name| !is_documented(name)).collect();
    let mut different = Vec::new();
    for name in names {
        let (theirs, own) = (truth.get(name), ours.get(name).cloned());
        let same = match (theirs, own) {
            (Some(theirs), Some(own)) if name.ends_with(".pyc") => {
                is_same_bytecode(theirs.4.as_deref().unwrap(), own.4.as_deref().unwrap()) || name.contains("/argparse.")
            }
            // Packages bring users; which numbers they get depends on the order.
            (Some(theirs), Some(own)) if ACCOUNTS.contains(&name.as_str()) => accounts(theirs) == accounts(&own),
            // Set-id bits are never in an image; everything else of the file is the same.
            (Some(theirs), Some(own)) => with_any_id(theirs) == with_any_id(&own),
            _ => false,
        };
        if !same {
            let show = |seen: Option<&Seen>| {
                seen.map(|(kind, mode, uid, gid, content)| {
                    (kind.clone(), format!("{mode:o}"), *uid, *gid, content.as_ref().map(Digest::of))
                })
            };
            different.push(format!("{name}: mmdebstrap {:?}, ours {:?}", show(truth.get(name)), show(ours.get(name))));
        }
    }
    assert!(different.is_empty(), "{suite}: {} files differ:\n{}", different.len(), different.join("\n"));
    let triggers = |tree: &BTreeMap<String, Seen>| {
        let text = String::from_utf8(tree["var/lib/dpkg/triggers/File"].4.clone().unwrap()).unwrap();
        text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(triggers(truth), triggers(ours));
    // Order of records differs: dpkg writes them as its hash table has them.
    let records = |tree: &BTreeMap<String, Seen>| {
        let text = String::from_utf8(tree["var/lib/dpkg/diversions"].4.clone().unwrap()).unwrap();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let mut records: Vec<_> = lines.chunks(3).map(<[String]>::to_vec).collect();
        records.sort();
        records
    };
    assert_eq!(records(truth), records(ours));
}

/// And git-lfs writes its lines in any order.
const ACCOUNTS: [&str; 5] = ["etc/gitconfig", "etc/group", "etc/gshadow", "etc/passwd", "etc/shadow"];

/// Each line without numbers, sorted.
fn accounts(seen: &Seen) -> Vec<String> {
    let text = String::from_utf8(seen.4.clone().unwrap()).unwrap();
    let is_word = |field: &&str| !field.bytes().all(|byte| byte.is_ascii_digit());
    let mut lines: Vec<String> =
        text.lines().map(|line| line.split(':').filter(is_word).collect::<Vec<_>>().join(":")).collect();
    lines.sort();
    lines
}

/// With one number for all users and groups that packages bring, and without set-id bits. A file of theirs is root's
/// in an image: its group is of use with those bits alone.
fn with_any_id(seen: &Seen) -> Seen {
    let (kind, mode, uid, gid, content) = seen.clone();
    let any = |id: u64| if (100..1000).contains(&id) { 100 } else { id };
    let gid = if mode & 0o2000 != 0 && kind == Kind::File && gid >= 100 { 0 } else { any(gid) };
    (kind, mode & 0o1777, any(uid), gid, content)
}

/// Ours says "never look at the source", theirs "compare its hash": one bit of the header.
fn is_same_bytecode(theirs: &[u8], ours: &[u8]) -> bool {
    theirs[..4] == ours[..4] && (theirs[4], ours[4]) == (3, 1) && theirs[8..] == ours[8..]
}

/// What differs on purpose.
fn is_documented(name: &str) -> bool {
    const EXACT: [&str; 24] = [
        // what mmdebstrap itself writes
        "etc/apt/apt.conf.d/99mmdebstrap",
        "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
        "etc/apt/sources.list",
        "etc/fstab",
        "etc/hostname",
        "etc/resolv.conf",
        // our words for the same
        "etc/dpkg/dpkg.cfg.d/corten",
        // locks and backups
        "etc/.pwd.lock",
        "etc/group-",
        "etc/passwd-",
        "var/lib/apt/lists/lock",
        "var/lib/dpkg/diversions-old",
        "var/lib/dpkg/lock",
        "var/lib/dpkg/lock-frontend",
        "var/lib/dpkg/status-old",
        "var/lib/dpkg/triggers/Lock",
        "etc/gshadow-",
        "etc/shadow-",
        // set-id bits that an administrator would keep
        "var/lib/dpkg/statoverride",
        // where fonts of the administrator may be put, by root's staff
        "usr/local/share/fonts",
        // compared as records
        "var/lib/dpkg/triggers/File",
        "var/lib/dpkg/diversions",
        // ours has all that nobody asked for, mmdebstrap's what apt installed after dpkg did
        "var/lib/apt/extended_states",
        "dev",
    ];
    // services, answers to debconf, pam-auth-update's notes, caches, devices
    const BELOW: [&str; 17] = [
        "dev/",
        "etc/rc",
        "etc/systemd/system/timers.target.wants",
        "var/cache/apt/",
        "var/cache/debconf/",
        "etc/systemd/system/",
        "etc/systemd/user/",
        "usr/lib/python3/dist-packages/",
        "usr/share/fonts/X11/Type1/",
        "var/cache/fontconfig/",
        "var/cache/ldconfig/",
        "var/lib/nginx/",
        "var/lib/systemd/",
        "var/lib/ucf/",
        "var/log/nginx/",
        "var/lib/pam/",
        "var/lib/systemd/deb-systemd-helper-enabled",
    ];
    name.is_empty() || EXACT.contains(&name) || BELOW.iter().any(|folder| name.starts_with(folder))
}

fn unpack(folder: &Path) -> std::path::PathBuf {
    let root = folder.join("root");
    fs::create_dir(&root).unwrap();
    run(Command::new("tar").args(["--numeric-owner", "-xpf"]).arg(folder.join("ours.tar")).arg("-C").arg(&root));
    for (name, minor) in [("null", "3"), ("zero", "5"), ("urandom", "9")] {
        run(Command::new("mknod").args(["-m", "666"]).arg(root.join("dev").join(name)).args(["c", "1", minor]));
    }
    root
}

fn chroot(root: &Path, command: &[&str]) -> Output {
    run(Command::new("chroot")
        .arg(root)
        .args(command)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8"))
}

fn library_cache_is_ldconfigs(root: &Path, base: &Base) {
    chroot(root, &["/usr/sbin/ldconfig"]);
    let NodeKind::File(ours) = &base.tree.get(&corten_oci::LayerPath::new("etc/ld.so.cache").unwrap()).unwrap().kind
    else {
        panic!("no cache")
    };
    assert!(fs::read(root.join("etc/ld.so.cache")).unwrap() == ours.to_vec(), "ldconfig writes another cache");
}

fn dpkg_is_content(root: &Path) {
    assert_eq!(text(&chroot(root, &["dpkg", "--audit"])), "");
    let verify = Command::new("chroot").arg(root).args(["dpkg", "-V"]).output().unwrap();
    let is_pruned = |line: &&str| PRUNED.iter().any(|name| line.contains(&format!(" /usr/share/{name}/")));
    let text = text(&verify);
    let others: Vec<_> = text.lines().filter(|line| !is_pruned(line)).collect();
    assert!(others.is_empty(), "{others:?}");
}

fn apt_installs(root: &Path) {
    // Names are looked up as on this machine.
    fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf")).unwrap();
    fs::copy("/etc/hosts", root.join("etc/hosts")).unwrap();
    chroot(root, &["apt-get", "update", "-qq"]);
    let removable = text(&chroot(root, &["apt-get", "-s", "autoremove"]));
    assert!(removable.contains(" 0 to remove"), "{removable}");
    chroot(root, &["apt-get", "install", "-y", "-qq", "--no-install-recommends", "jq", "file"]);
    assert_eq!(text(&chroot(root, &["sh", "-c", "echo '[1]' | jq -c ."])), "[1]\n");
    assert_eq!(text(&chroot(root, &["dpkg", "--audit"])), "");
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
