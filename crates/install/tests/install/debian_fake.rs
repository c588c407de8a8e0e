//! A fake archive that lies, lags, loses files and dies; a lock and its .debs must come through or say why not.

use std::cell::Cell;
use std::time::Duration;

use corten_diagnostic::{Diagnose, Event, Events, Fault as Whose, Nobody};
use corten_install::debian::seeds::Debian;
use corten_install::debian::{
    Archive, ArchiveError, BaseRequest, Keyring, LockedBase, Mirror, Mirrors, Variant, fetch_debs, lock_base,
};
use corten_net::{Client, Settings};
use corten_oci::{Architecture, Digest};
use corten_store::Store;
use corten_testkit::archive::{Fault, FileServer};

use crate::gpg::{Gpg, MADE};

const DAY: u64 = 86_400;
const NOW: u64 = MADE + 10 * DAY;

/// `Tue, 14 Nov 2023 22:13:20 UTC`.
fn date(seconds: u64) -> String {
    let time = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

/// How one suite is published.
#[derive(Clone)]
struct Suite {
    codename: &'static str,
    date: u64,
    valid_until: Option<u64>,
    /// Name, version, further lines.
    packages: Vec<(String, String, String)>,
}

struct Fake {
    gpg: Gpg,
    key: String,
    server: FileServer,
    suites: Vec<Suite>,
    folder: tempfile::TempDir,
    by_hash: Cell<bool>,
}

impl Fake {
    /// All packages of a distroless base in main; a newer libc6 among the security updates.
    fn new() -> Option<Self> {
        let gpg = Gpg::new()?;
        let key = gpg.key("archive", "ed25519", "sign", "never");
        let seeds = Debian::find("bookworm").unwrap().seeds(Variant::Distroless);
        let packages = seeds.iter().map(|name| (name.to_string(), "1.0-1".into(), String::new())).collect();
        let libc = vec![("libc6".into(), "1.0-1+deb12u1".into(), "Depends: extra (>= 2)\n".into())];
        let suite = |codename, packages| Suite { codename, date: NOW - DAY, valid_until: None, packages };
        let extra = vec![
            ("extra".into(), "2:1".into(), String::new()),
            ("rude".into(), "1".into(), "Conflicts: libc6\n".into()),
        ];
        let fake = Self {
            gpg,
            key,
            server: FileServer::start(),
            suites: vec![
                suite("bookworm", packages),
                suite("bookworm-updates", extra),
                suite("bookworm-security", libc),
            ],
            folder: tempfile::tempdir().unwrap(),
            by_hash: Cell::new(true),
        };
        fake.publish();
        Some(fake)
    }

    fn root(codename: &str) -> &'static str {
        if codename.ends_with("-security") { "/debian-security" } else { "/debian" }
    }

    fn publish(&self) {
        for suite in &self.suites {
            self.publish_signed_by(suite, &self.key);
        }
    }

    fn publish_signed_by(&self, suite: &Suite, key: &str) {
        let mut packages = String::new();
        for (name, version, more) in &suite.packages {
            let path = format!("pool/{name}_{}.deb", version.replace(':', "_"));
            let content = format!("{name} {version}");
            let digest = Digest::of(&content).hex();
            packages.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: {path}\nSize: {}\nSHA256: {digest}\n{more}\n",
                content.len()
            ));
            self.server.put(&format!("{}/{}", Self::root(suite.codename), path.replace('+', "%2B")), content);
        }
        let folder = format!("{}/dists/{}", Self::root(suite.codename), suite.codename);
        let index = xz(packages.as_bytes());
        let digest = Digest::of(&index).hex();
        let until = suite.valid_until.map(|until| format!("Valid-Until: {}\n", date(until))).unwrap_or_default();
        let by_hash = if self.by_hash.get() { "Acquire-By-Hash: yes\n" } else { "" };
        let release = format!(
            "Origin: Debian\nCodename: {}\nDate: {}\n{until}{by_hash}SHA256:\n {digest} {} main/binary-amd64/Packages.xz\n",
            suite.codename,
            date(suite.date),
            index.len()
        );
        self.server.put(&format!("{folder}/InRelease"), self.gpg.sign(key, &release, suite.date));
        self.server.put(&format!("{folder}/main/binary-amd64/by-hash/SHA256/{digest}"), index.clone());
        self.server.put(&format!("{folder}/main/binary-amd64/Packages.xz"), index);
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors { main: self.server.url("/debian"), security: self.server.url("/debian-security/"), snapshot: None }
    }

    fn with<T>(&self, mirrors: &Mirrors, events: &dyn Events, work: impl FnOnce(&Archive<'_>) -> T) -> T {
        let store = Store::open(self.folder.path().join("store")).unwrap();
        let settings = Settings { pause: Duration::ZERO, longest_pause: Duration::ZERO, ..Settings::default() };
        let client = Client::new(settings);
        let keyring = Keyring::from_bytes(&self.gpg.export(&[&self.key])).unwrap();
        work(&Archive { client: &client, store: &store, mirrors, keyring: &keyring, events })
    }

    fn lock(&self, request: BaseRequest<'_>) -> Result<LockedBase, ArchiveError> {
        self.with(&self.mirrors(), &Nobody, |archive| lock_base(archive, &request))
    }

    fn fetch(&self, base: &LockedBase, mirrors: &Mirrors) -> Result<(), ArchiveError> {
        self.with(mirrors, &Nobody, |archive| fetch_debs(archive, &base.debs, base.epoch))
    }
}

fn request() -> BaseRequest<'static> {
    BaseRequest {
        suite: "bookworm",
        variant: Variant::Distroless,
        architecture: Architecture::Amd64,
        extra: &[],
        now: NOW,
        seen: None,
    }
}

fn xz(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = std::process::Command::new("xz")
        .args(["--format=xz", "-c"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("xz");
    child.stdin.take().unwrap().write_all(content).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// An error of the world with these words; gives its hints.
fn world(result: Result<impl std::fmt::Debug, ArchiveError>, words: &[&str]) -> String {
    let error = result.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.fault(), Whose::World, "{text}");
    for word in words {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
    error.hints().join("\n")
}

#[test]
fn the_highest_version_of_three_suites_is_locked_with_what_it_needs() {
    let Some(fake) = Fake::new() else { return };
    let base = fake.lock(request()).unwrap();
    let deb = |name: &str| base.debs.iter().find(|deb| deb.name == name).unwrap();
    assert_eq!((deb("libc6").version.as_str(), deb("libc6").mirror), ("1.0-1+deb12u1", Mirror::Security));
    assert_eq!((deb("extra").version.as_str(), deb("extra").mirror), ("2:1", Mirror::Main));
    assert_eq!((base.epoch, base.glibc.as_str(), base.python.as_str()), (NOW - DAY, "1.0", "1.0"));
    assert!(base.debs.is_sorted_by_key(|deb| &deb.name));
    assert!(base.debs.iter().all(|deb| deb.name != "rude"));
    fake.fetch(&base, &fake.mirrors()).unwrap();
    let asked = fake.server.server().asked().len();
    fake.server.remove("/debian-security/pool/libc6_1.0-1%2Bdeb12u1.deb");
    fake.fetch(&base, &fake.mirrors()).unwrap();
    assert_eq!(fake.server.server().asked().len(), asked, "what is in the store is not asked for");
    assert_eq!(fake.lock(request()).unwrap(), base);
    assert_eq!(fake.server.server().asked().len(), asked + 3, "the second time only the Release files are read");
}

#[test]
fn indexes_come_by_digest_or_by_name() {
    let Some(fake) = Fake::new() else { return };
    for suite in ["debian/dists/bookworm", "debian/dists/bookworm-updates", "debian-security/dists/bookworm-security"] {
        fake.server.remove(&format!("/{suite}/main/binary-amd64/Packages.xz"));
    }
    fake.lock(request()).unwrap();
    let Some(fake) = Fake::new() else { return };
    fake.by_hash.set(false);
    fake.publish();
    fake.lock(request()).unwrap();
    assert!(fake.server.server().asked().iter().all(|asked| !asked.path.contains("by-hash")));
}

#[test]
fn extra_packages_are_added_and_leave_the_base_as_it_is() {
    let Some(mut fake) = Fake::new() else { return };
    let more = |name: &str, more: &str| (name.to_owned(), "1".to_owned(), more.to_owned());
    fake.suites[0].packages.extend([
        more("tool", "Depends: part | other, adduser, python3 (>= 9)\n"),
        more("part", "Provides: mail\n"),
        more("other", "Provides: mail\n"),
        more("broken", "Depends: tool, nowhere (>= 3) | nothing\n"),
    ]);
    fake.publish();
    let extra = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        fake.lock(BaseRequest { extra: &names, ..request() })
    };
    let plain = extra(&[]).unwrap();
    let base = extra(&["tool", "python3"]).unwrap();
    let mut added: Vec<&str> = base.debs.iter().map(|deb| deb.name.as_str()).collect();
    added.retain(|name| plain.debs.iter().all(|deb| deb.name != *name));
    assert_eq!(added, ["part", "tool"], "adduser is cut, python3 is made");
    assert_eq!(base.seeds, ["python3", "tool"]);
    for (name, words) in [
        ("tol", &["no package 'tol'"][..]),
        ("mail", &["virtual package of other, part"]),
        ("broken", &["broken needs nowhere (>= 3) | nothing"]),
        ("rude", &["rude conflicts with libc6"]),
        ("../x", &["no package"]),
    ] {
        let error = extra(&[name]).unwrap_err();
        assert_eq!(error.fault(), Whose::Usage);
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
    assert_eq!(extra(&["tol"]).unwrap_err().hints(), ["did you mean 'tool'?"]);
    let other = fake.lock(BaseRequest { suite: "potato", ..request() }).unwrap_err();
    assert_eq!((other.fault(), other.hints().len()), (Whose::Usage, 1));
}

#[test]
fn a_state_that_has_expired_or_goes_back_is_refused_with_its_age() {
    let Some(mut fake) = Fake::new() else { return };
    fake.suites[2].valid_until = Some(NOW - 3 * DAY);
    fake.publish();
    world(fake.lock(request()), &["bookworm-security", "expired 3 days ago"]);
    fake.suites[2].valid_until = Some(NOW + DAY);
    fake.publish();
    let base = fake.lock(request()).unwrap();
    let seen = Some(base.epoch + 7200);
    world(fake.lock(BaseRequest { seen, ..request() }), &["2 hours older than the one that was seen"]);
    fake.suites[0].date = NOW + DAY;
    fake.publish();
    world(fake.lock(request()), &["bookworm", "from the future"]);
}

#[test]
fn an_old_state_without_an_end_is_taken_with_a_warning() {
    struct Heard(std::sync::Mutex<Vec<String>>);
    impl Events for Heard {
        fn emit(&self, event: Event<'_>) {
            if let Event::Warning { text } = event {
                self.0.lock().unwrap().push(text.to_owned());
            }
        }
    }
    let Some(fake) = Fake::new() else { return };
    let heard = Heard(std::sync::Mutex::default());
    let later = BaseRequest { now: NOW + 40 * DAY, ..request() };
    fake.with(&fake.mirrors(), &heard, |archive| lock_base(archive, &later)).unwrap();
    let mut heard = heard.0.into_inner().unwrap();
    heard.sort();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[0].contains("bookworm-security is 41 days old") && heard[1].contains("bookworm-updates"));
}

#[test]
fn what_is_not_signed_by_the_right_key_or_is_of_another_release_is_refused() {
    let Some(mut fake) = Fake::new() else { return };
    let stranger = fake.gpg.key("stranger", "ed25519", "sign", "never");
    fake.publish_signed_by(&fake.suites[1], &stranger);
    let hints = world(fake.lock(request()), &["signature of bookworm-updates", "not a key that may sign this"]);
    assert!(hints.contains("keyring"), "{hints}");
    fake.publish();
    fake.server.fault("/debian/dists/bookworm/InRelease", Fault::WrongBytes);
    world(fake.lock(request()), &["signature of bookworm:"]);
    fake.server.heal();
    fake.server.put("/debian/dists/bookworm-updates/InRelease", "Codename: bookworm-updates\n");
    world(fake.lock(request()), &["not one cleartext-signed message"]);
    let swapped = Suite { codename: "bookworm-backports", ..fake.suites[1].clone() };
    let before = fake.suites.clone();
    fake.suites = vec![swapped];
    fake.publish();
    let inrelease = Client::new(Settings::default())
        .bytes(&corten_net::Request::get(&fake.server.url("/debian/dists/bookworm-backports/InRelease")), 1 << 20)
        .unwrap();
    fake.suites = before;
    fake.server.put("/debian/dists/bookworm-updates/InRelease", inrelease);
    world(fake.lock(request()), &["is of 'bookworm-backports', not of 'bookworm-updates'"]);
    // Debian's own keyring trusts none of this.
    let keyring = Keyring::debian();
    let debian = fake
        .with(&fake.mirrors(), &Nobody, |archive| lock_base(&Archive { keyring: &keyring, ..*archive }, &request()));
    world(debian, &["not a key that may sign this"]);
}

#[test]
fn an_index_or_deb_that_differs_or_is_cut_is_refused() {
    let Some(fake) = Fake::new() else { return };
    let asked = || fake.server.server().asked();
    let base = fake.lock(request()).unwrap();
    let path = asked().iter().map(|asked| asked.path.clone()).find(|path| path.contains("by-hash")).unwrap();
    let Some(fresh) = Fake::new() else { return };
    fresh.server.fault(&path, Fault::WrongBytes);
    world(fresh.lock(request()), &["package index of", "expected"]);
    fresh.server.fault(&path, Fault::Truncated(20));
    world(fresh.lock(request()), &["package index of"]);
    let libc = "/debian-security/pool/libc6_1.0-1%2Bdeb12u1.deb";
    fake.server.fault(libc, Fault::WrongBytes);
    world(fake.fetch(&base, &fake.mirrors()), &["libc6 1.0-1+deb12u1", "expected"]);
    fake.server.heal();
    fake.fetch(&base, &fake.mirrors()).unwrap();
}

#[test]
fn an_unreachable_archive_is_named() {
    let Some(fake) = Fake::new() else { return };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mirrors = Mirrors { main: format!("http://{closed}/debian"), ..fake.mirrors() };
    let result = fake.with(&mirrors, &Nobody, |archive| lock_base(archive, &request()));
    world(result, &["state of bookworm", &closed.to_string()]);
}

#[test]
fn a_deb_that_has_left_the_archive_is_sought_at_the_snapshot_service_and_then_named() {
    let Some(fake) = Fake::new() else { return };
    let base = fake.lock(request()).unwrap();
    let (path, content) = ("pool/libc6_1.0-1%2Bdeb12u1.deb", "libc6 1.0-1+deb12u1");
    fake.server.remove(&format!("/debian-security/{path}"));
    let hints =
        world(fake.fetch(&base, &fake.mirrors()), &["libc6 1.0-1+deb12u1", "neither in the store nor in the archive"]);
    assert!(hints.contains("`corten lock`") && hints.contains("snapshot"), "{hints}");
    let mirrors = Mirrors { snapshot: Some(fake.server.url("/snapshot/")), ..fake.mirrors() };
    let hints = world(fake.fetch(&base, &mirrors), &["nor at the snapshot service"]);
    assert!(hints.contains("`corten lock`"), "{hints}");
    // 2023-11-23 22:13:20 is the epoch; half a day later the service has seen it.
    fake.server.put(&format!("/snapshot/archive/debian-security/20231124T101320Z/{path}"), content);
    fake.fetch(&base, &mirrors).unwrap();
}
