//! Downloads against a server that breaks off, lies and refuses.

use std::sync::Mutex;
use std::time::Duration;

use corten_diagnostic::{Diagnose, Event, Events, Fault as Whose, Nobody};
use corten_install::fetch::{Download, FetchError, fetch, fetch_all};
use corten_net::{Client, Settings};
use corten_oci::Digest;
use corten_store::Store;
use corten_testkit::archive::{Fault, FileServer};

/// Long enough for several reads.
fn content() -> Vec<u8> {
    (0..500_000u32).flat_map(|number| number.to_le_bytes()).collect()
}

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    server: FileServer,
    client: Client,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let server = FileServer::start();
        server.put("/a", content());
        let settings =
            Settings { retries: 2, pause: Duration::ZERO, longest_pause: Duration::ZERO, ..Settings::default() };
        Self { _folder: folder, store, server, client: Client::new(settings) }
    }

    fn download(&self, paths: &[&str]) -> Download {
        let urls = paths.iter().map(|path| self.server.url(path)).collect();
        Download { urls, digest: Digest::of(content()), size: Some(content().len() as u64), what: "a thing".to_owned() }
    }

    fn fetch(&self, download: &Download) -> Result<(), FetchError> {
        fetch(&self.client, &self.store, download, &Nobody)
    }

    fn stored(&self) -> Option<Vec<u8>> {
        let digest = Digest::of(content());
        self.store.size(&digest).unwrap().map(|_| self.store.bytes(&digest).unwrap())
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.server.server().asked().iter().map(|asked| asked.header("range").map(str::to_owned)).collect()
    }
}

#[test]
fn what_has_come_is_not_asked_for_again() {
    let world = World::new();
    world.fetch(&world.download(&["/a"])).unwrap();
    assert_eq!(world.stored(), Some(content()));
    world.fetch(&world.download(&["/a"])).unwrap();
    assert_eq!(world.server.server().count("/a"), 1);
}

#[test]
fn a_broken_connection_is_gone_on_with_where_it_broke() {
    let world = World::new();
    world.server.fault("/a", Fault::TruncatedOnce(700_001));
    world.fetch(&world.download(&["/a"])).unwrap();
    assert_eq!(world.stored(), Some(content()));
    assert_eq!(world.ranges(), [None, Some("bytes=700001-".to_owned())]);
}

#[test]
fn another_run_goes_on_where_this_one_gave_up() {
    let world = World::new();
    world.server.fault("/a", Fault::Truncated(100_000));
    let error = world.fetch(&world.download(&["/a"])).unwrap_err();
    assert!(matches!(error, FetchError::Broken { got, .. } if got == 300_000), "{error}");
    assert!(error.hints()[0].contains("run again"));
    assert_eq!(world.stored(), None);
    world.server.heal();
    world.fetch(&world.download(&["/a"])).unwrap();
    assert_eq!(world.stored(), Some(content()));
    assert_eq!(world.ranges().last().unwrap().as_deref(), Some("bytes=300000-"));
}

#[test]
fn a_server_without_ranges_is_read_from_the_start() {
    let world = World::new();
    world.server.fault("/a", Fault::Truncated(100_000));
    world.fetch(&world.download(&["/a"])).unwrap_err();
    world.server.fault("/a", Fault::NoRanges);
    world.fetch(&world.download(&["/a"])).unwrap();
    assert_eq!(world.stored(), Some(content()));
}

#[test]
fn rubbish_from_an_earlier_run_is_thrown_away() {
    for rubbish in [vec![0xff; 1000], vec![0xff; content().len()], vec![0xff; content().len() + 1]] {
        let world = World::new();
        world.server.put("/a", rubbish);
        let unknown_size = Download { size: None, ..world.download(&["/a"]) };
        // Leaves its bytes behind: broken off just before the end.
        world.server.fault("/a", Fault::Truncated(999));
        world.fetch(&unknown_size).unwrap_err();
        world.server.heal();
        world.server.put("/a", content());
        world.fetch(&world.download(&["/a"])).unwrap();
        assert_eq!(world.stored(), Some(content()));
    }
}

#[test]
fn wrong_bytes_are_refused_naming_both_digests() {
    let world = World::new();
    world.server.fault("/a", Fault::WrongBytes);
    let error = world.fetch(&world.download(&["/a"])).unwrap_err();
    let text = error.to_string();
    let mut wrong = content();
    *wrong.last_mut().unwrap() ^= 0xff;
    assert!(
        text.contains(&Digest::of(content()).to_string()) && text.contains(&Digest::of(wrong).to_string()),
        "{text}"
    );
    assert_eq!(error.fault(), Whose::World);
    assert_eq!(world.stored(), None);
    let kept = std::fs::read_dir(world.store.root().join("downloads")).unwrap();
    assert_eq!(kept.count(), 0, "nothing of the wrong bytes is kept");
    world.server.heal();
    world.fetch(&world.download(&["/a"])).unwrap();
    assert_eq!(world.ranges().last().unwrap().as_deref(), None);
}

#[test]
fn a_wrong_size_is_refused_before_it_is_downloaded() {
    let world = World::new();
    world.server.put("/a", vec![0; 10]);
    let error = world.fetch(&world.download(&["/a"])).unwrap_err();
    assert!(error.to_string().contains("expected 2000000 bytes, got 10 bytes"), "{error}");
}

#[test]
fn the_next_address_is_tried_and_the_first_ones_error_told() {
    let world = World::new();
    world.server.put("/b", content());
    world.server.fault("/a", Fault::WrongBytes);
    world.fetch(&world.download(&["/missing", "/a", "/b"])).unwrap();
    assert_eq!(world.stored(), Some(content()));
    let world = World::new();
    let error = world.fetch(&world.download(&["/missing", "/gone"])).unwrap_err();
    assert!(error.to_string().contains("/missing: the server answered 404"), "{error}");
    let error = world.fetch(&world.download(&[])).unwrap_err();
    assert!(matches!(error, FetchError::Nowhere { .. }));
}

#[derive(Default)]
struct Listener {
    started: Mutex<u64>,
    advanced: Mutex<u64>,
    finished: Mutex<u64>,
}

impl Events for Listener {
    fn emit(&self, event: Event<'_>) {
        match event {
            Event::Started { .. } => *self.started.lock().unwrap() += 1,
            Event::Advanced { by, .. } => *self.advanced.lock().unwrap() += by,
            Event::Finished { .. } => *self.finished.lock().unwrap() += 1,
            _ => {}
        }
    }
}

fn many(world: &World, count: u8) -> Vec<Download> {
    let one = |number: u8| {
        let bytes = vec![number; 100_000];
        let path = format!("/{number}");
        world.server.put(&path, bytes.clone());
        let urls = vec![world.server.url(&path)];
        Download { urls, digest: Digest::of(&bytes), size: Some(100_000), what: path }
    };
    (0..count).map(one).collect()
}

#[test]
fn many_come_at_once_and_every_byte_is_told_once() {
    let world = World::new();
    let downloads = many(&world, 20);
    world.server.fault("/3", Fault::TruncatedOnce(50_000));
    let listener = Listener::default();
    fetch_all(&world.client, &world.store, &downloads, 6, &listener).unwrap();
    for download in &downloads {
        assert_eq!(world.store.size(&download.digest).unwrap(), Some(100_000));
    }
    let told = [&listener.started, &listener.advanced, &listener.finished].map(|count| *count.lock().unwrap());
    assert_eq!(told, [20, 2_000_000, 20]);
    fetch_all(&world.client, &world.store, &downloads, 6, &listener).unwrap();
    assert_eq!(*listener.started.lock().unwrap(), 20, "what is there is no task");
}

#[test]
fn one_failure_stops_the_rest_and_keeps_what_is_complete() {
    let world = World::new();
    let downloads = many(&world, 20);
    world.server.remove("/5");
    let error = fetch_all(&world.client, &world.store, &downloads, 1, &Nobody).unwrap_err();
    assert!(error.to_string().contains("/5"), "{error}");
    let there = |number: usize| world.store.size(&downloads[number].digest).unwrap().is_some();
    assert!((0..5).all(there) && !(5..20).any(there));
}
