//! The client against a registry that knows the rules and breaks them on demand. Tests of a published rule are named
//! after its section (`s6_1` being let in, `s6_2` uploads, `s6_4` referrers, `s6_5` habits of known registries, `s6_6`
//! limits) or its recipe (`c1` …: attacks on clients; `r12`: pushes that are cut).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod attacks;
mod auth;
mod interrupted;
mod limits;
mod referrers;
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
    Registry { client, keychain, plain: vec![], mirrors: vec![] }.remote(repository).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::new(text).unwrap()
}

/// Bytes that say whose they are.
fn content(name: u8, size: usize) -> Vec<u8> {
    let mut bytes = (0..251).map(|at| name ^ at).collect::<Vec<u8>>().repeat(size / 251 + 1);
    bytes.truncate(size);
    bytes
}

/// An image in memory.
struct Image {
    blobs: MemoryBlobs,
    root: Descriptor,
    layers: Vec<Descriptor>,
}

fn image(layers: &[Vec<u8>]) -> Image {
    let mut image = image_of(layers.iter().map(|layer| Descriptor::of(MediaType::LAYER_GZIP, layer)).collect());
    for layer in layers {
        image.blobs.insert(layer.clone());
    }
    image
}

/// An image of layers that are not there.
fn image_of(layers: Vec<Descriptor>) -> Image {
    let mut blobs = MemoryBlobs::default();
    let mut add = |kind: &str, bytes: &[u8]| {
        blobs.insert(bytes.to_vec());
        Descriptor::of(kind, bytes)
    };
    let config =
        add(MediaType::CONFIG, br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
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
    let (_, image) = with_index(small_image());
    image.push(&to).unwrap();
    assert_whole(&fake, "a", &image);
    assert_eq!(to.manifest(&Which::Digest(image.root.digest)).unwrap().descriptor.media_type.0, MediaType::INDEX);
}

/// Recipe B1 of the catalogue.
#[test]
fn b1_a_document_that_is_two_things_is_neither() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let from = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let descriptor = r#"{"mediaType":"application/x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;
    let both = format!(r#"{{"schemaVersion":2,"config":{descriptor},"layers":[],"manifests":[{descriptor}]}}"#);
    for kind in [MediaType::MANIFEST, MediaType::INDEX] {
        fake.add_manifest("a", "1", kind, both.as_bytes());
        let error = from.manifest(&Which::Tag(tag("1"))).unwrap_err();
        assert!(matches!(error, RegistryError::Wrong { .. }), "{error}");
    }
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, MediaType::INDEX);
    fake.add_manifest("a", "1", MediaType::MANIFEST, index.as_bytes());
    let error = from.manifest(&Which::Tag(tag("1"))).unwrap_err();
    assert!(error.to_string().contains("it says itself"), "{error}");
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

/// The image, and the same below an index.
fn with_index(image: Image) -> (Image, Image) {
    let index = Index {
        schema_version: 2,
        media_type: Some(MediaType::INDEX.into()),
        artifact_type: None,
        manifests: vec![image.root.clone()],
        subject: None,
        annotations: Default::default(),
    };
    let bytes = serde_json::to_vec(&index).unwrap();
    let mut whole = Image {
        root: Descriptor::of(MediaType::INDEX, &bytes),
        blobs: image.blobs.clone(),
        layers: image.layers.clone(),
    };
    whole.blobs.insert(bytes);
    (image, whole)
}

fn read(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = corten_oci::Blobs::open(&image.blobs, &image.root).unwrap();
    std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
    bytes
}
