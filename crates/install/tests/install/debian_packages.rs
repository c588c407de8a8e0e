//! What becomes of the packages that people ask for beside a base: the table of docs/packages.md, from what the archive
//! had on a day.
//!
//! `data/packages-*.xz` has the stanzas of all packages that the 95 requests bring, and of the bases, with their
//! maintainer scripts without comments. To record it anew (1,400 small requests to the archive; of each package only the
//! head of its .deb is fetched): `CORTEN_RECORD=1 cargo test -p corten-install --test install debian_packages`, then the
//! table: the same with `CORTEN_WRITE_DOCS=1`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufReader, Read};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use corten_install::debian::index::Index;
use corten_install::debian::packages::choose;
use corten_install::debian::relation::Relation;
use corten_install::debian::seeds::Debian;
use corten_install::debian::solver::{self, Request};
use corten_install::debian::universe::{Id, Universe};
use corten_install::debian::{BaseRequest, LockedDeb, Mirror, Variant, base};
use corten_layer::ar::ArReader;
use corten_layer::tar::TarReader;
use corten_layer::xz;
use corten_net::{Client, Settings};
use corten_oci::Architecture;

use crate::debian_solver::REQUESTS;

/// Bytes of a .deb that are fetched; more only where its scripts do not end there.
const HEAD: u64 = 16 << 10;
const JOBS: usize = 16;
const SUITES: [&str; 2] = ["bookworm", "trixie"];
const VARIANTS: [Variant; 2] = [Variant::Distroless, Variant::Slim];

/// Scripts by name.
type Members = BTreeMap<String, Vec<u8>>;

/// The archive as it was recorded.
struct Recorded {
    suite: &'static str,
    index: Index,
    scripts: BTreeMap<String, Members>,
}

/// What becomes of a request: how many packages it brings, or why not.
type Verdict = Result<usize, String>;

#[test]
fn the_table_of_packages_is_what_becomes_of_them() {
    let mut rows: Vec<(Vec<Verdict>, BTreeSet<&str>)> = vec![Default::default(); requests().len()];
    for suite in SUITES {
        let recorded = Recorded::read(suite);
        let universe = Universe::new([(&recorded.index, Mirror::Main)]);
        for variant in VARIANTS {
            let base = base_of(&universe, suite, variant);
            for (row, name) in rows.iter_mut().zip(requests()) {
                let (verdict, undone) = recorded.verdict(&universe, variant, &base, name);
                row.0.push(verdict);
                row.1.extend(undone);
            }
        }
    }
    let refused = rows.iter().flat_map(|(verdicts, _)| verdicts).filter(|verdict| verdict.is_err()).count();
    assert!(refused < 40, "{refused} refusals");
    let table = table(&rows);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/packages.md");
    let text = fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once("<!-- table -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let wanted = format!("{before}<!-- table -->\n{table}<!-- end -->{after}");
    if std::env::var_os("CORTEN_WRITE_DOCS").is_some() {
        fs::write(path, wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/packages.md is stale: CORTEN_WRITE_DOCS=1 cargo test -p corten-install table");
    }
}

fn table(rows: &[(Vec<Verdict>, BTreeSet<&str>)]) -> String {
    let mut text = "| request | bookworm | trixie | what stays undone |\n|---|---|---|---|\n".to_owned();
    for (name, (verdicts, undone)) in requests().iter().zip(rows) {
        let cells: Vec<String> = verdicts.chunks(2).map(|of_suite| cell(&of_suite[0], &of_suite[1])).collect();
        let undone: Vec<&str> = undone.iter().copied().collect();
        text += &format!("| {name} | {} | {} |\n", cells.join(" | "), undone.join("; "));
    }
    text
}

/// What a suite makes of a request, in distroless and in slim.
fn cell(distroless: &Verdict, slim: &Verdict) -> String {
    let told = |verdict: &Verdict| match verdict {
        Ok(_) => "works".to_owned(),
        Err(why) => {
            let why = why.replace(" cannot do what its postinst does:", "");
            let why = why
                .trim_start_matches("choosing Debian packages: ")
                .trim_start_matches("adding packages to the base: ");
            format!("refused: {why}")
        }
    };
    match told(distroless) == told(slim) {
        true => told(distroless),
        false => format!("distroless: {}; slim: {}", told(distroless), told(slim)),
    }
}

/// Dependencies of added packages that are dropped on distroless, as `package → dependency`: each was looked at, and
/// only the package's maintainer scripts need what it names.
const DROPPED: &str = "
    cron → init-system-helpers, cron-daemon-common → adduser, dbus → init-system-helpers,
    dbus-system-bus-common → adduser, dirmngr → adduser, dirmngr → init-system-helpers, dirmngr → lsb-base,
    fontconfig-config → debconf, gpg → init-system-helpers, gpg-agent → init-system-helpers, iproute2 → debconf,
    libibverbs1 → adduser, libmagickcore-6.q16-6 → dpkg, libmagickcore-7.q16-10 → dpkg,
    libmagickwand-6.q16-6 → dpkg, libmagickwand-7.q16-10 → dpkg, libpam-modules → debconf,
    libpam-runtime → debconf, libpam0g → debconf, libpaper1 → debconf, libpaper1 → dpkg, libpaper1 → ucf,
    libpaper2 → debconf, libreoffice-common → ucf, locales → debconf, nginx-common → debconf,
    openjdk-17-jre-headless → util-linux, openjdk-21-jre-headless → util-linux, openssh-client → adduser,
    openssh-client → init-system-helpers, openssh-client → passwd, perl → dpkg, perl-base → dpkg,
    perl-modules-5.36 → dpkg, poppler-data → dpkg, procps → init-system-helpers, redis-tools → adduser,
    rsync → init-system-helpers, sudo → init-system-helpers, supervisor → init-system-helpers,
    supervisor → lsb-base, x11-common → lsb-base";

/// Everything that an added package needs is there, on a base without configuration packages, too.
#[test]
fn what_added_packages_need_is_there() {
    let mut dropped = BTreeSet::new();
    for suite in SUITES {
        let recorded = Recorded::read(suite);
        let universe = Universe::new([(&recorded.index, Mirror::Main)]);
        for variant in VARIANTS {
            let base = base_of(&universe, suite, variant);
            let installed: BTreeSet<Id> = base.iter().filter_map(|deb| universe.find(&deb.name)).collect();
            for chosen in requests().iter().filter_map(|name| recorded.chosen(&universe, variant, &base, name).ok()) {
                let is_there = |id: &Id| installed.contains(id) || chosen.contains(id);
                for id in &chosen {
                    let groups = universe.needs(*id).unwrap();
                    let unmet = groups.iter().filter(|group| {
                        let met = |one: &Relation<'_>| {
                            variant.met().contains(&one.name) || universe.targets(one).iter().any(is_there)
                        };
                        !group.iter().any(met)
                    });
                    let names = unmet.map(|group| group.first().unwrap().name);
                    let names: Vec<String> = names.map(|name| format!("{} → {name}", universe.name(*id))).collect();
                    assert!(variant == Variant::Distroless || names.is_empty(), "{suite}: {names:?}");
                    dropped.extend(names);
                }
            }
        }
    }
    let dropped: Vec<&str> = dropped.iter().map(String::as_str).collect();
    let known: Vec<&str> = DROPPED.split(',').map(str::trim).collect();
    assert_eq!(dropped, known);
}

impl Recorded {
    fn read(suite: &'static str) -> Self {
        let compressed = fs::read(place(suite)).unwrap();
        let mut text = String::new();
        xz::reader("x.xz", compressed.as_slice()).unwrap().read_to_string(&mut text).unwrap();
        let index = Index::parse(text.as_bytes(), Architecture::Amd64).unwrap();
        let scripts = text.split("\n\n").map(|stanza| {
            let name = stanza.lines().find_map(|line| line.strip_prefix("Package: ")).unwrap_or_default();
            (name.to_owned(), ["preinst", "postinst"].map(|field| (field.to_owned(), folded(stanza, field))).into())
        });
        let scripts = scripts.collect();
        Self { suite, index, scripts }
    }

    fn chosen(
        &self,
        universe: &Universe<'_>,
        variant: Variant,
        base: &[LockedDeb],
        name: &str,
    ) -> Result<Vec<Id>, String> {
        let extra = [name.to_owned()];
        let (suite, architecture) = (self.suite, Architecture::Amd64);
        let request = BaseRequest { suite, variant, architecture, extra: &extra, now: 0, seen: None };
        choose(universe, &request, base).map_err(|error| error.to_string())
    }

    /// And what stays undone.
    fn verdict(
        &self,
        universe: &Universe<'_>,
        variant: Variant,
        base: &[LockedDeb],
        name: &str,
    ) -> (Verdict, Vec<&'static str>) {
        let chosen = match self.chosen(universe, variant, base, name) {
            Ok(chosen) => chosen,
            Err(why) => return (Err(why), Vec::new()),
        };
        for id in &chosen {
            let scripts = &self.scripts[universe.name(*id)];
            let checked = base::check_scripts(universe.name(*id), |script| scripts.get(script).map(Vec::as_slice));
            if let Err(error) = checked {
                return (Err(error.to_string()), Vec::new());
            }
        }
        let undone = chosen.iter().filter_map(|id| base::undone(universe.name(*id))).collect();
        (Ok(chosen.len()), undone)
    }
}

/// The lines of a field, which begin with a blank.
fn folded(stanza: &str, field: &str) -> Vec<u8> {
    let lines = stanza.lines().skip_while(|line| *line != format!("{field}:")).skip(1);
    let lines = lines.map_while(|line| line.strip_prefix(' '));
    lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

fn place(suite: &str) -> String {
    format!("{}/tests/install/data/packages-{suite}.xz", env!("CARGO_MANIFEST_DIR"))
}

fn requests() -> Vec<&'static str> {
    let mut requests: Vec<&str> = REQUESTS.split_whitespace().collect();
    requests.sort_unstable();
    requests
}

#[test]
fn record() {
    if std::env::var_os("CORTEN_RECORD").is_none() {
        return;
    }
    let client = Client::new(Settings::default());
    for suite in SUITES {
        let indexes = indexes(&client, suite);
        let universe = Universe::new(indexes.iter().map(|(index, mirror)| (index, *mirror)));
        let (mut added, mut bases) = (BTreeSet::new(), BTreeSet::new());
        for variant in VARIANTS {
            let base = base_of(&universe, suite, variant);
            bases.extend(base.iter().filter_map(|deb| universe.find(&deb.name)));
            for name in requests() {
                let extra = [name.to_owned()];
                let architecture = Architecture::Amd64;
                let request = BaseRequest { suite, variant, architecture, extra: &extra, now: 0, seen: None };
                added.extend(choose(&universe, &request, &base).into_iter().flatten());
            }
        }
        let heads = heads(&client, &universe, &added);
        let none = Members::new();
        let stanzas = bases.union(&added).map(|id| stanza(&universe, *id, heads.get(id).unwrap_or(&none)));
        let plain = place(suite).replace(".xz", "");
        fs::write(&plain, stanzas.collect::<String>()).unwrap();
        assert!(Command::new("xz").args(["--force", "-9", &plain]).status().unwrap().success());
    }
}

/// What is kept of a package.
fn stanza(universe: &Universe<'_>, id: Id, members: &Members) -> String {
    let one = universe.get(id).unwrap().package;
    let mut text = String::new();
    for (field, value) in [
        ("Package", one.name),
        ("Version", one.version),
        ("Architecture", one.architecture),
        ("Essential", if one.essential { "yes" } else { "" }),
        ("Priority", &format!("{:?}", one.priority).to_lowercase()),
        ("Provides", one.provides),
        ("Pre-Depends", one.pre_depends),
        ("Depends", one.depends),
        ("Conflicts", one.conflicts),
        ("Breaks", one.breaks),
        ("Filename", one.path),
        ("Size", &one.size.to_string()),
        ("SHA256", &one.digest.hex()),
    ] {
        if !value.is_empty() {
            text += &format!("{field}: {value}\n");
        }
    }
    for script in ["preinst", "postinst"] {
        let content = String::from_utf8_lossy(members.get(script).map(Vec::as_slice).unwrap_or_default()).into_owned();
        let own = |line: &&str| !line.trim_start().starts_with('#') || line.starts_with("# Automatically added by dh_");
        let lines: Vec<&str> = content.lines().filter(|line| own(line) || line.starts_with("# End auto")).collect();
        if !lines.is_empty() {
            text += &format!("{script}:\n");
            text += &lines.iter().map(|line| format!(" {line}\n")).collect::<String>();
        }
    }
    text + "\n"
}

fn base_of(universe: &Universe<'_>, suite: &str, variant: Variant) -> Vec<LockedDeb> {
    let mut wanted = Debian::find(suite).unwrap().seeds(variant);
    if variant == Variant::Slim {
        wanted.extend(universe.iter().filter(|(_, one)| one.package.essential).map(|(_, one)| one.package.name));
    }
    let request = Request { wanted, cut: variant.cut(), met: variant.met(), installed: Vec::new() };
    solver::solve(universe, &request).unwrap().into_iter().map(|id| locked(universe, id)).collect()
}

fn locked(universe: &Universe<'_>, id: Id) -> LockedDeb {
    let one = universe.get(id).unwrap();
    LockedDeb {
        name: one.package.name.into(),
        version: one.package.version.into(),
        architecture: one.package.architecture.into(),
        mirror: one.mirror,
        path: one.package.path.into(),
        size: one.package.size,
        digest: one.package.digest,
    }
}

fn indexes(client: &Client, suite: &str) -> Vec<(Index, Mirror)> {
    let places = [
        (format!("debian/dists/{suite}"), Mirror::Main),
        (format!("debian/dists/{suite}-updates"), Mirror::Main),
        (format!("debian-security/dists/{suite}-security"), Mirror::Security),
    ];
    let read = |(place, mirror): (String, Mirror)| {
        let url = format!("http://deb.debian.org/{place}/main/binary-amd64/Packages.xz");
        let bytes = client.bytes(&corten_net::Request::get(&url), 64 << 20).unwrap();
        let packages = xz::reader("Packages.xz", bytes.as_slice()).unwrap();
        (Index::parse(packages, Architecture::Amd64).unwrap(), mirror)
    };
    places.into_iter().map(read).collect()
}

fn heads(client: &Client, universe: &Universe<'_>, ids: &BTreeSet<Id>) -> BTreeMap<Id, Members> {
    let ids: Vec<Id> = ids.iter().copied().collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(|| {
                while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let members = head(client, &locked(universe, *id));
                    found.lock().unwrap().insert(*id, members);
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// The control members of a package in the archive.
fn head(client: &Client, deb: &LockedDeb) -> Members {
    let root = if deb.mirror == Mirror::Main { "debian" } else { "debian-security" };
    let url = format!("http://deb.debian.org/{root}/{}", deb.path.replace('+', "%2B"));
    let fetched = |bytes: u64| {
        let request = corten_net::Request::get(&url).header("range", format!("bytes=0-{}", bytes - 1));
        let mut head = Vec::new();
        client.send(&request).unwrap().body.take(bytes).read_to_end(&mut head).unwrap();
        head
    };
    let first = fetched(HEAD.min(deb.size));
    // The length of the second member, in its header behind the first.
    let size: u64 = std::str::from_utf8(&first[72 + 48..72 + 58]).unwrap().trim().parse().unwrap();
    let wanted = 72 + 60 + size;
    members(if wanted > first.len() as u64 { fetched(wanted) } else { first })
}

fn members(head: Vec<u8>) -> Members {
    let mut archive = ArReader::new(head.as_slice()).unwrap();
    archive.next_member().unwrap();
    let (name, _) = archive.next_member().unwrap().unwrap();
    let mut tar = TarReader::new(BufReader::new(xz::reader(&name, archive.content()).unwrap()));
    let mut members = Members::new();
    while let Some(entry) = tar.next_entry().unwrap() {
        let mut content = Vec::new();
        tar.content().read_to_end(&mut content).unwrap();
        members.insert(entry.path.to_string(), content);
    }
    members
}
