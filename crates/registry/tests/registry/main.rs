//! The client against a registry that knows the rules and breaks them on demand. Tests of a published rule are named
//! after its section (distribution specification, token specification) or its recipe (`c1` …: attacks on clients).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod attacks;
mod auth;
mod uploads;

use std::time::Duration;

use corten_diagnostic::{Event, Events};
use corten_net::{Client, Settings};
use corten_oci::{Descriptor, Digest, Index, Manifest, MediaType, MemoryBlobs, Repository, Tag};
use corten_registry::{
    Credentials, Keychain, NoCredentials, PushOptions, Pushed, Registry, RegistryError, Remote, Which, push,
};
use corten_testkit::registry::{FakeRegistry, Habits, Kind};

struct Silent;

impl Events for Silent {
    fn emit(&self, _: Event<'_>) {}
}

/// Somebody.
struct Known(Credentials);

impl Keychain for Known {
    fn credentials(&self, _: &Repository) -> Result<Credentials, RegistryError> {
        Ok(self.0.clone())
    }
}

fn client() -> Client {
    Client::new(Settings { pause: Duration::ZERO, longest_pause: Duration::ZERO, ..Settings::default() })
}

fn repository(fake: &FakeRegistry, path: &str) -> Repository {
    format!("{}/{path}", fake.place()).parse().unwrap()
}

fn remote<'a>(client: &'a Client, keychain: &'a dyn Keychain, repository: &Repository) -> Remote<'a> {
    Registry { client, keychain, plain: &[] }.remote(repository).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

/// Bytes that say whose they are.
fn content(name: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| name ^ (at % 251) as u8).collect()
}

/// An image in memory.
struct Image {
    blobs: MemoryBlobs,
    root: Descriptor,
    layers: Vec<Descriptor>,
}

fn image(layers: &[Vec<u8>]) -> Image {
    let mut blobs = MemoryBlobs::default();
    let mut add = |kind: &str, bytes: &[u8]| {
        blobs.insert(bytes.to_vec());
        Descriptor::of(kind, bytes)
    };
    let config =
        add(MediaType::CONFIG, br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
    let layers: Vec<Descriptor> = layers.iter().map(|layer| add(MediaType::LAYER_GZIP, layer)).collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::MANIFEST.into()),
        artifact_type: None,
        config,
        layers: layers.clone(),
        subject: None,
        annotations: Default::default(),
    };
    let root = add(MediaType::MANIFEST, &serde_json::to_vec(&manifest).unwrap());
    Image { blobs, root, layers }
}

fn small_image() -> Image {
    image(&[content(b'a', 1000), content(b'b', 70_000)])
}

impl Image {
    fn push(&self, remote: &Remote<'_>) -> Result<Pushed, RegistryError> {
        self.push_with(remote, &PushOptions { jobs: 3, ..PushOptions::default() })
    }

    fn push_with(&self, remote: &Remote<'_>, options: &PushOptions) -> Result<Pushed, RegistryError> {
        push(remote, &self.root, &[tag("1"), tag("latest")], &self.blobs, options, &Silent)
    }
}

/// Every byte is there, under both names.
fn assert_whole(fake: &FakeRegistry, path: &str, image: &Image) {
    for layer in &image.layers {
        assert_eq!(fake.blob(path, &layer.digest).map(|bytes| Digest::of(&bytes)), Some(layer.digest));
    }
    assert_eq!((fake.tag(path, "1"), fake.tag(path, "latest")), (Some(image.root.digest), Some(image.root.digest)));
    assert_eq!((fake.torn(), fake.breaches()), (vec![], vec![]));
}

#[test]
fn what_goes_up_comes_back_and_nothing_goes_up_twice() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "team/a"));
    let image = small_image();
    let pushed = image.push(&to).unwrap();
    assert_eq!((pushed.sent.0, pushed.there.0), (3, 0));
    assert_whole(&fake, "team/a", &image);

    let again = image.push(&to).unwrap();
    assert_eq!((again.sent, again.there.0), ((0, 0), 3));
    assert_eq!(fake.count(Kind::Begin), 3);

    let fetched = to.manifest(&Which::Tag(tag("1"))).unwrap();
    assert_eq!(fetched.descriptor, image.root);
    assert_eq!(to.resolve(&Which::Tag(tag("1"))).unwrap(), Some(image.root.digest));
    assert_eq!(to.resolve(&Which::Tag(tag("2"))).unwrap(), None);
    assert_eq!(to.tags().unwrap(), ["1", "latest"]);
    let mut bytes = Vec::new();
    let from = |from: u64| to.blob(&image.layers[1], from).unwrap();
    std::io::Read::read_to_end(&mut from(0).body, &mut bytes).unwrap();
    assert_eq!(bytes, content(b'b', 70_000));
    bytes.clear();
    let part = from(69_990);
    assert_eq!(part.status, 206);
    std::io::Read::read_to_end(&mut { part.body }, &mut bytes).unwrap();
    assert_eq!(bytes, content(b'b', 70_000)[69_990..]);
}

#[test]
fn an_index_goes_up_after_its_images() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let mut image = small_image();
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::INDEX.into()),
        artifact_type: None,
        manifests: vec![image.root.clone()],
        subject: None,
        annotations: Default::default(),
    };
    let bytes = serde_json::to_vec(&index).unwrap();
    image.root = Descriptor::of(MediaType::INDEX, &bytes);
    image.blobs.insert(bytes);
    image.push(&to).unwrap();
    assert_whole(&fake, "a", &image);
    assert_eq!(to.manifest(&Which::Digest(image.root.digest)).unwrap().descriptor.media_type.0, MediaType::INDEX);
}

#[test]
fn a_list_of_tags_has_pages() {
    let (fake, client) = (FakeRegistry::start(Habits { page: Some(2), ..Habits::default() }), client());
    for name in ["a", "b", "c", "d", "e"] {
        fake.add_manifest("x", name, MediaType::MANIFEST, b"{}");
    }
    let from = remote(&client, &NoCredentials, &repository(&fake, "x"));
    assert_eq!(from.tags().unwrap(), ["a", "b", "c", "d", "e"]);
    assert_eq!(fake.count(Kind::Tags), 3);
}

/// Section 6.4 of the specification's "Listing Referrers", and its fallback.
#[test]
fn referrers_by_list_and_by_tag() {
    for referrers in [true, false] {
        let (fake, client) = (FakeRegistry::start(Habits { referrers, ..Habits::default() }), client());
        let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
        let image = small_image();
        image.push(&to).unwrap();
        for name in [b'x', b'y'] {
            let mut bill = self::image(&[content(name, 10)]);
            let manifest = Manifest {
                artifact_type: Some("application/spdx+json".into()),
                subject: Some(image.root.clone()),
                ..Manifest::parse(&read(&bill)).unwrap()
            };
            let bytes = serde_json::to_vec(&manifest).unwrap();
            bill.root = Descriptor::of(MediaType::MANIFEST, &bytes);
            bill.blobs.insert(bytes);
            for _ in 0..2 {
                push(&to, &bill.root, &[], &bill.blobs, &PushOptions::default(), &Silent).unwrap();
            }
            let found = to.referrers(&image.root.digest).unwrap();
            let mine: Vec<_> = found.iter().filter(|one| one.digest == bill.root.digest).collect();
            assert_eq!(mine.len(), 1);
            assert_eq!(mine[0].artifact_type.as_ref().unwrap().0, "application/spdx+json");
        }
        assert_eq!(to.referrers(&image.root.digest).unwrap().len(), 2);
        let listed = fake.tag("a", &image.root.digest.to_string().replace(':', "-"));
        assert_eq!(listed.is_some(), !referrers);
        assert_eq!(fake.breaches(), Vec::<String>::new());
    }
}

fn read(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = corten_oci::Blobs::open(&image.blobs, &image.root).unwrap();
    std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
    bytes
}
