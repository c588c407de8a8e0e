//! Is what the solver chooses what apt-get chooses? apt reads the real archive into a folder of its own; the solver
//! reads the very files that apt has fetched.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use corten_install::debian::index::Index;
use corten_install::debian::seeds::Debian;
use corten_install::debian::solver::{self, Request};
use corten_install::debian::universe::{Id, Universe};
use corten_install::debian::{Mirror, Variant};
use corten_oci::Architecture;

/// What people ask for beside a Python base.
pub const REQUESTS: &str = "
    libxext6 libxrender1 libgomp1 libsndfile1 sox libsox-fmt-all tesseract-ocr-eng poppler-utils git curl wget libpq5
    libpq-dev unixodbc libaio1 pandoc libhdf5-103 libnetcdf19 proj-data libmagic1 file libicu72 tini dumb-init
    postgresql-client fonts-dejavu-core fonts-noto-cjk libheif1 libturbojpeg0 libportaudio2 espeak-ng libcairo2 numactl
    libnuma1 libtcmalloc-minimal4 libjemalloc2 pciutils htop jq unzip zstd libzmq5 gosu net-tools ninja-build
    libspatialindex6 mediainfo openssl libsqlite3-0 libmariadb3 build-essential gcc libopenblas0 liblapack3
    libatlas3-base libgdal32 nodejs default-libmysqlclient-dev procps gnupg cmake vim-tiny libsm6 rsync sudo supervisor
    xvfb python3-dev python3-pip libglib2.0-0 libgirepository-1.0-1 libgstreamer1.0-0 libpango-1.0-0 tesseract-ocr
    libvips42 libavcodec-extra ffmpeg libgl1 redis-tools openssh-client libopenmpi3 openmpi-bin cron
    default-jre-headless imagemagick ghostscript git-lfs nginx-light iputils-ping graphviz locales libreoffice-core
    libgtk-3-0 chromium gstreamer1.0-plugins-good";
const RANDOM_SETS: usize = 25;
const PER_SET: usize = 25;

#[test]
fn chooses_what_apt_chooses_on_bookworm() {
    chooses_what_apt_chooses("bookworm", 109, 95);
}

#[test]
fn chooses_what_apt_chooses_on_trixie() {
    chooses_what_apt_chooses("trixie", 87, 88);
}

/// `known`: how many of the requests the release has.
fn chooses_what_apt_chooses(suite: &str, in_slim: usize, known: usize) {
    let Some(apt) = Apt::with(suite) else { return };
    let indexes = apt.indexes();
    let universe = Universe::new(indexes.iter().map(|index| (index, Mirror::Main)));
    let slim = slim(&universe, suite);
    assert_eq!(names(&universe, &slim).len(), in_slim);
    let requests: Vec<&str> = REQUESTS.split_whitespace().collect();
    assert_eq!(requests.len(), 95);
    let mut sets: Vec<Vec<&str>> = requests.iter().map(|name| vec![*name]).collect();
    let there = |name: &&str| universe.find(name).is_some() || !universe.providers_of(name).is_empty();
    let requests: Vec<&str> = requests.into_iter().filter(there).collect();
    assert_eq!(requests.len(), known);
    sets.push(requests.clone());
    sets.extend(random_sets(&requests));
    let status = apt.status_of(&universe, &slim);
    apt.reduce(universe.iter().filter(|(_, one)| one.package.essential).map(|(_, one)| one.package.name));
    let empty = apt.with_status("empty", "");
    let installed = apt.with_status("slim", &status);
    compare(&universe, &sets, &[(empty, Vec::new()), (installed, slim)]);
}

/// Every set on every machine (apt's folder, and what is installed there).
fn compare(universe: &Universe<'_>, sets: &[Vec<&str>], machines: &[(PathBuf, Vec<Id>)]) {
    let jobs: Vec<_> = machines.iter().flat_map(|machine| sets.iter().map(move |set| (set, machine))).collect();
    for (folder, _) in machines {
        install(folder, &["base-files"]); // makes apt's cache, once
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((set, (folder, installed))) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let request = Request { wanted: set.to_vec(), installed: installed.clone(), ..Request::default() };
                    let ours = solver::solve(universe, &request).map(|ids| names(universe, &ids));
                    let theirs = install(folder, set);
                    match (ours, theirs) {
                        (Ok(ours), Some(theirs)) => {
                            let more: Vec<_> = ours.difference(&theirs).collect();
                            let less: Vec<_> = theirs.difference(&ours).collect();
                            assert!(more.is_empty() && less.is_empty(), "{set:?}: more {more:?}, less {less:?}");
                        }
                        (Err(_), None) => {}
                        (ours, theirs) => panic!("{set:?}: solver {ours:?}, apt {theirs:?}"),
                    }
                }
            });
        }
    });
}

fn slim(universe: &Universe<'_>, suite: &str) -> Vec<Id> {
    let mut wanted = Debian::find(suite).unwrap().seeds(Variant::Slim);
    wanted.extend(universe.iter().filter(|(_, one)| one.package.essential).map(|(_, one)| one.package.name));
    solver::solve(universe, &Request { wanted, ..Request::default() }).unwrap()
}

/// `name=version` of packages.
fn names(universe: &Universe<'_>, ids: &[Id]) -> BTreeSet<String> {
    let name = |id: &Id| universe.get(*id).map(|one| format!("{}={}", one.package.name, one.package.version)).unwrap();
    ids.iter().map(name).collect()
}

/// Sets that differ in every run; the seed is printed, and can be given again.
fn random_sets<'a>(requests: &[&'a str]) -> Vec<Vec<&'a str>> {
    let given = std::env::var("CORTEN_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let seed: u64 = given.unwrap_or_else(clock);
    println!("CORTEN_TEST_SEED={seed}");
    let mut state = seed | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 11).unwrap() % below
    };
    (0..RANDOM_SETS)
        .map(|_| {
            let mut pool = requests.to_vec();
            (0..PER_SET).map(|_| pool.swap_remove(random(pool.len()))).collect()
        })
        .collect()
}

/// apt-get with a folder of its own.
struct Apt {
    root: tempfile::TempDir,
}

impl Apt {
    /// Reads the archive's indexes. None where this machine has no apt (with a reason).
    fn with(suite: &str) -> Option<Self> {
        if Command::new("apt-get").arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "apt-get is missing");
            println!("skipped: no apt-get on this machine");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let sources = format!(
            "deb [trusted=yes] http://deb.debian.org/debian {suite} main\n\
             deb [trusted=yes] http://deb.debian.org/debian {suite}-updates main\n\
             deb [trusted=yes] http://deb.debian.org/debian-security {suite}-security main\n"
        );
        fs::create_dir(root.path().join("shared")).unwrap();
        fs::write(root.path().join("shared/sources.list"), sources).unwrap();
        let apt = Self { root };
        let update = apt.with_status("update", "");
        let output = command(&update).args(["update", "-qq"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(update.join("lists"), apt.root.path().join("shared/lists")).unwrap();
        Some(apt)
    }

    /// A machine with this dpkg status; its lists are the shared ones.
    fn with_status(&self, name: &str, status: &str) -> PathBuf {
        let folder = self.root.path().join(name);
        let lists = self.root.path().join("shared/lists");
        for part in ["cache/archives/partial", "etc"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        if lists.exists() {
            std::os::unix::fs::symlink(lists, folder.join("lists")).unwrap();
        } else {
            fs::create_dir_all(folder.join("lists/partial")).unwrap();
        }
        fs::copy(self.root.path().join("shared/sources.list"), folder.join("sources.list")).unwrap();
        fs::write(folder.join("status"), status).unwrap();
        folder
    }

    fn lists(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.root.path().join("shared/lists")).unwrap();
        let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.to_str().unwrap().ends_with("_Packages"));
        assert_eq!(files.len(), 3);
        files
    }

    fn indexes(&self) -> Vec<Index> {
        let read = |path: PathBuf| Index::parse(fs::File::open(path).unwrap(), Architecture::Amd64).unwrap();
        self.lists().into_iter().map(read).collect()
    }

    /// Leaves in apt's lists only what can play a part: whatever is named, as a package or as provided, in a dependency
    /// of the requests, of that, and so on. apt takes a second per call with all of Debian. The solver keeps it all.
    fn reduce<'a>(&self, essential: impl Iterator<Item = &'a str>) {
        let texts: Vec<String> = self.lists().into_iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let stanzas: Vec<&str> = texts.iter().flat_map(|text| text.split("\n\n")).collect();
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, stanza) in stanzas.iter().enumerate() {
            for name in words(stanza, &["Package: ", "Provides: "]) {
                by_name.entry(name).or_default().push(at);
            }
        }
        let mut waiting: Vec<&str> = REQUESTS.split_whitespace().chain(essential).collect();
        let (mut seen, mut kept) = (HashSet::new(), HashSet::new());
        while let Some(name) = waiting.pop() {
            if seen.insert(name) {
                for at in by_name.get(name).into_iter().flatten() {
                    if kept.insert(*at) {
                        waiting.extend(words(stanzas[*at], &["Depends: ", "Pre-Depends: "]));
                    }
                }
            }
        }
        assert!(kept.len() > 1000, "{} packages can play a part", kept.len());
        println!("{} packages can play a part", kept.len());
        let mut first = 0;
        for (path, text) in self.lists().into_iter().zip(&texts) {
            let count = text.split("\n\n").count();
            let part =
                (first..first + count).filter(|at| kept.contains(at)).map(|at| format!("{}\n\n", stanzas[at].trim()));
            fs::write(path, part.collect::<String>()).unwrap();
            first += count;
        }
    }

    /// A dpkg status with these packages installed, from the archive's own stanzas.
    fn status_of(&self, universe: &Universe<'_>, ids: &[Id]) -> String {
        let wanted = names(universe, ids);
        let mut found = BTreeSet::new();
        let mut status = String::new();
        for path in self.lists() {
            for stanza in fs::read_to_string(path).unwrap().split("\n\n") {
                let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                let name = format!("{}={}", field("Package: "), field("Version: "));
                if wanted.contains(&name) && found.insert(name) {
                    status.push_str(&format!("{}\nStatus: install ok installed\n\n", stanza.trim()));
                }
            }
        }
        assert_eq!(found, wanted);
        status
    }
}

/// Every word of these fields of a stanza that may be a package's name.
fn words<'a>(stanza: &'a str, fields: &[&str]) -> Vec<&'a str> {
    let values = stanza.lines().filter_map(|line| fields.iter().find_map(|field| line.strip_prefix(field)));
    let names = values.flat_map(|value| value.split([',', '|'])).filter_map(|one| one.split_whitespace().next());
    names.map(|name| name.split(':').next().unwrap_or(name)).collect()
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let path = |name: &str| folder.join(name).display().to_string();
    let options = [
        format!("Dir={}", folder.display()),
        format!("Dir::State={}", folder.display()),
        format!("Dir::State::Lists={}", path("lists")),
        format!("Dir::State::status={}", path("status")),
        format!("Dir::Cache={}", path("cache")),
        "Dir::Cache::pkgcache=pkgcache.bin".into(),
        "Dir::Cache::srcpkgcache=srcpkgcache.bin".into(),
        format!("Dir::Etc={}", path("etc")),
        format!("Dir::Etc::SourceList={}", path("sources.list")),
        "Dir::Etc::SourceParts=/dev/null".into(),
        "Dir::Log=/dev/null".into(),
        "APT::Architecture=amd64".into(),
        "APT::Architectures=amd64".into(),
        "APT::Sandbox::User=root".into(),
        "Acquire::Languages=none".into(),
        "Acquire::GzipIndexes=false".into(),
        "Debug::NoLocking=1".into(),
    ];
    command.env("LC_ALL", "C");
    for option in options {
        command.args(["-o", &option]);
    }
    command
}

/// What apt would install; none where it refuses.
fn install(folder: &Path, packages: &[&str]) -> Option<BTreeSet<String>> {
    let output =
        command(folder).args(["-s", "install", "--no-install-recommends"]).args(packages).output().expect("apt-get");
    if !output.status.success() {
        return None;
    }
    let lines = String::from_utf8(output.stdout).unwrap();
    // Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64]) []
    let installed = lines.lines().filter_map(|line| line.strip_prefix("Inst "));
    let name = |line: &str| {
        let (name, rest) = line.split_once(" (").expect("a version");
        format!("{}={}", name, rest.split(' ').next().unwrap())
    };
    Some(installed.map(name).collect())
}
