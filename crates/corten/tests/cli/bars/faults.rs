//! R11: registries that fail in thirty ways, while something is resolved, pulled and pushed. Each ends in success or in an
//! error that names the registry; nothing wrong is ever kept, there or here.
//!
//! docs/registries.md has the table; `CORTEN_WRITE_DOCS=1 cargo test -p corten --test cli r11` writes it anew.

use std::collections::BTreeSet;
use std::time::Duration;

use corten_diagnostic::{Fault as Whose, Nobody, Report};
use corten_flow::registry::{Platforms, RegistryOptions, pull, push, resolve};
use corten_flow::{AuthFiles, Client, Indexes, Network, Store, World};
use corten_oci::{Digest, Reference};
use corten_testkit::bar::Bar;
use corten_testkit::http::{Answer, Trouble};
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind};

use crate::reached::add_image;

/// How often a fault comes back that does not pass.
const ALWAYS: usize = 99;
/// How long a server may be silent here, where silence is the fault.
const PATIENCE: Duration = Duration::from_millis(300);

/// Where it is not.
const LONG: Duration = Duration::from_secs(30);

type Row = (&'static str, usize, fn() -> Fault);

fn answer(answer: Answer) -> Fault {
    Fault::Answer(answer)
}

fn status(status: u16) -> Fault {
    answer(Answer::status(status))
}

fn header(name: &'static str, value: &str) -> Fault {
    Fault::Header(name, value.to_owned())
}

fn dated() -> Answer {
    let answer = Answer::status(429).header("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT");
    answer.header("Date", "Sun, 06 Nov 1994 08:49:07 GMT")
}

/// What goes wrong, how often, and how.
const FAULTS: [Row; 30] = [
    ("503 with `Retry-After`, once", 1, || answer(Answer::status(503).header("Retry-After", "20"))),
    ("503, always", ALWAYS, || status(503)),
    ("429 with a date, once", 1, || answer(dated())),
    ("429, always", ALWAYS, || status(429)),
    ("500, once", 1, || status(500)),
    ("502, always", ALWAYS, || status(502)),
    ("408, once", 1, || status(408)),
    ("401 without a challenge, always", ALWAYS, || status(401)),
    ("401, tokens at another host, always", ALWAYS, || {
        answer(Answer::status(401).header("WWW-Authenticate", "Bearer realm=\"http://169.254.169.254/token\""))
    }),
    ("403, always", ALWAYS, || status(403)),
    ("404, always", ALWAYS, || status(404)),
    ("413, always", ALWAYS, || status(413)),
    ("418, always", ALWAYS, || status(418)),
    ("connection closed instead of an answer, once", 1, || Fault::Gone),
    ("connection closed instead of an answer, always", ALWAYS, || Fault::Gone),
    ("done, and connection closed instead of an answer, once", 1, || Fault::Unanswered),
    ("connection closed in what is sent, once", 1, || Fault::HangUp(5)),
    ("connection closed in what is sent, always", ALWAYS, || Fault::HangUp(5)),
    ("connection closed in the answer, once", 1, || Fault::Cut(3)),
    ("connection closed in the answer, always", ALWAYS, || Fault::Cut(3)),
    ("silence after the head, once", 1, || Fault::Trouble(Trouble::Silence)),
    ("a byte now and then, always", ALWAYS, || Fault::Trouble(Trouble::Trickle(Duration::from_millis(15)))),
    ("one byte is another, always", ALWAYS, || Fault::Flip),
    ("something else, always", ALWAYS, || Fault::Body(b"<html>welcome to our network</html>".to_vec())),
    ("nothing, always", ALWAYS, || Fault::Body(Vec::new())),
    ("5 MiB of blanks, always", ALWAYS, || Fault::Body(vec![b' '; 5 << 20])),
    ("a wrong `Docker-Content-Digest`, always", ALWAYS, || {
        header("Docker-Content-Digest", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }),
    ("compressed though nobody asked, always", ALWAYS, || header("Content-Encoding", "gzip")),
    ("a redirect to a private address, always", ALWAYS, || answer(Answer::redirect(307, "http://169.254.169.254/"))),
    ("taken, and not kept, always", ALWAYS, || Fault::Lost),
];

/// What a verb asks a registry.
const VERBS: [(&str, &[Kind]); 3] = [
    ("resolve", &[Kind::HasManifest]),
    ("pull", &[Kind::Manifest, Kind::Blob, Kind::Referrers]),
    ("push", &[Kind::HasBlob, Kind::Begin, Kind::Finish, Kind::PutManifest, Kind::HasManifest, Kind::Referrers]),
];

/// What a verb works with.
struct Place {
    store: Store,
    client: Client,
    indexes: Indexes,
    auth: AuthFiles,
    registries: corten_flow::registry::RegistryOptions,
    git_ssh: corten_flow::dockerfile::GitSsh,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self::of(LONG)
    }

    /// In memory, where there is room for it: nothing here is about disks.
    fn of(timeout: Duration) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (pause, longest_pause) = (Duration::ZERO, Duration::ZERO);
        let network = Network { pause, longest_pause, timeout, ..Network::default() };
        Self {
            store: Store::open(folder.path().join("store")).unwrap(),
            client: Client::new(network),
            indexes: Indexes::default(),
            auth: AuthFiles::default(),
            registries: corten_flow::registry::RegistryOptions::default(),
            git_ssh: corten_flow::dockerfile::GitSsh::default(),
            _folder: folder,
        }
    }

    fn world(&self) -> World<'_> {
        World {
            store: &self.store,
            client: &self.client,
            indexes: &self.indexes,
            auth: &self.auth,
            registries: &self.registries,
            passage: corten_sandbox::Passage::none(),
            git_ssh: &self.git_ssh,
            events: &Nobody,
            jobs: 2,
            now: 0,
            source_date_epoch: None,
            store_cap: None,
            tool: "test",
        }
    }

    fn images(&self) -> usize {
        self.store.images().unwrap().len()
    }
}

fn habits() -> Habits {
    // A layer of five bytes more than one piece takes two.
    Habits { referrers: true, largest_piece: Some(4 << 20), ..Habits::default() }
}

/// One run of a verb against a registry that fails at one kind of request. Was it done?
fn run(verb: &str, kind: Kind, (what, times, fault): Row, holder: &Place, image: Digest) -> bool {
    let registry = FakeRegistry::start(habits());
    let when = format!("{what}: {verb}, {kind:?}");
    let there = add_image(&registry, "a", "1");
    assert_eq!(there, image);
    let name = |tag: &str| -> Reference { format!("{}/{tag}", registry.place()).parse().unwrap() };
    let is_slow = matches!(fault(), Fault::Trouble(_));
    let (place, options) = (Place::of(if is_slow { PATIENCE } else { LONG }), RegistryOptions::default());
    registry.fault(kind, times, fault());
    let holder = World { client: &place.client, ..holder.world() };
    let result: Result<(), Report> = match verb {
        // Of a tag the registry's word is all there is.
        "resolve" => resolve(&name("a:1"), &options, &place.world())
            .map(|found| assert!(found == image || what.starts_with("a wrong `Docker-"), "{when}: {found}")),
        "pull" => pull(&name("a:1"), Platforms::All, &options, &place.world()).map(|pulled| {
            assert_eq!(pulled.digest, image, "{when}");
            assert_eq!(place.images(), 1);
        }),
        _ => push(&image, &[name("b:2")], &options, &holder).map(drop),
    };
    // Nothing wrong is kept, here or there, and nobody was asked too often.
    assert_eq!(place.store.verify(&Nobody).unwrap().len(), 0, "{when}");
    assert_eq!(registry.torn(), [], "{when}");
    // Who loses blobs is told of manifests without them.
    let lost = matches!(fault(), Fault::Lost) && kind == Kind::Finish;
    assert!(lost || registry.breaches().is_empty(), "{when}: {:?}", registry.breaches());
    assert!(registry.server().asked().len() < 80, "{when}: {} requests", registry.server().asked().len());
    registry.heal();
    match result {
        Ok(()) if verb == "push" => assert_eq!(registry.tag("b", "2"), Some(image), "{when}: done, and is not there"),
        Ok(()) => {}
        Err(error) => {
            assert_eq!(error.error().fault(), Whose::World, "{when}: {error}");
            assert!(error.to_string().contains("127.0.0.1"), "{when}: {error}");
            assert!(
                verb != "pull" || place.images() == 0 || kind == Kind::Referrers,
                "{when}: a name of what is not whole"
            );
            return false;
        }
    }
    true
}

fn word(outcomes: &BTreeSet<bool>) -> &'static str {
    match (outcomes.contains(&true), outcomes.contains(&false)) {
        (true, false) => "done",
        (false, _) => "told",
        _ => "done or told",
    }
}

/// Short: each verb meets each fault at one kind of request, by chance; the outcome is one that the table has.
#[test]
fn r11_thirty_faults() {
    let bar = Bar::begin("R11");
    let (mut random, writes) = (bar.random(), std::env::var_os("CORTEN_WRITE_DOCS").is_some());
    let is_whole = bar.is_whole() || writes;
    let (holder, registry) = (Place::new(), FakeRegistry::start(habits()));
    let image = add_image(&registry, "a", "1");
    let name: Reference = format!("{}/a:1", registry.place()).parse().unwrap();
    pull(&name, Platforms::All, &RegistryOptions::default(), &holder.world()).unwrap();
    let mut lines = vec!["| what a registry does | resolve | pull | push |".to_owned(), "|---|---|---|---|".to_owned()];
    for row in FAULTS {
        let cells = VERBS.map(|(verb, kinds)| {
            let chosen = if is_whole { kinds.to_vec() } else { vec![*random.pick(kinds)] };
            word(&chosen.iter().map(|kind| run(verb, *kind, row, &holder, image)).collect())
        });
        lines.push(format!("| {} | {} |", row.0, cells.join(" | ")));
    }
    compare(&lines, is_whole, writes);
    let again = sent_again();
    assert!(again <= 4 << 20, "{again} bytes that the registry had were sent again");
    let cells = FAULTS.len() * VERBS.len();
    bar.finish(format!("{cells} of 90 done or told, 0 wrong bytes kept, {again} bytes sent again"), cells == 90);
}

/// How many bytes go twice when an upload, or a download, of more than one piece breaks anywhere.
fn sent_again() -> u64 {
    let mut again = 0;
    let place = Place::new();
    let size = 6 << 20;
    let bytes = vec![7; size];
    for at in [0, 1, size / 2, size - 1] {
        let registry = FakeRegistry::start(Habits { referrers: true, ..Habits::default() });
        let image = crate::reached::add_image_of(&registry, "a", "1", &bytes);
        let name = |tag: &str| -> Reference { format!("{}/{tag}", registry.place()).parse().unwrap() };
        let options = RegistryOptions::default();
        let fresh = Place::new();
        registry.fault(Kind::Blob, 1, Fault::Cut(at.min(200)));
        registry.fault(Kind::Blob, 1, Fault::Cut(at));
        pull(&name("a:1"), Platforms::All, &options, &fresh.world()).unwrap();
        pull(&name("a:1"), Platforms::All, &options, &place.world()).unwrap();
        registry.fault(Kind::Finish, 2, Fault::HangUp(at as u64));
        push(&image, &[name("b:1")], &options, &place.world()).unwrap();
        let size: usize = registry.blobs("b").iter().sum();
        again += registry.received() - size as u64;
    }
    again
}

/// Whole: the table is as it was found. Short: what was found is in it.
fn compare(lines: &[String], is_whole: bool, writes: bool) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/registries.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- faults -->\n", "<!-- /faults -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (old, after) = rest.split_once(end).unwrap();
    if writes {
        return std::fs::write(path, format!("{before}{begin}{}\n{end}{after}", lines.join("\n"))).unwrap();
    }
    let known: Vec<&str> = old.lines().collect();
    assert_eq!(known.len(), lines.len(), "{STALE}");
    for (known, found) in known.iter().zip(lines) {
        let fits = |(known, found): (&str, &str)| known == found || (!is_whole && known == " done or told ");
        assert!(known.split('|').zip(found.split('|')).all(fits), "{STALE}\n{known}\n{found}");
    }
}

const STALE: &str = "docs/registries.md is stale: CORTEN_WRITE_DOCS=1 cargo test -p corten --test cli r11";
