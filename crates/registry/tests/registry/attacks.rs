//! Hostile registries: recipes B1, C1, C3, C8, C9, C10 of the project's catalogue of attacks.

use std::io::Read;

use corten_oci::{Descriptor, Digest, MediaType};
use corten_registry::{Credentials, NoCredentials, RegistryError, Which};
use corten_testkit::http::{Answer, Server};
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind, Lock};

use super::{Known, client, remote, repository, small_image, tag};

fn me() -> Known {
    Known(Credentials::Basic { user: "me".into(), password: "secret".into() })
}

fn locked() -> Habits {
    Habits { lock: Lock::Basic("me", "secret"), ..Habits::default() }
}

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
fn c1_other_hosts_learn_no_credentials_and_their_challenges_are_not_answered() {
    let (fake, client, me) = (FakeRegistry::start(locked()), client(), me());
    let digest = fake.add_blob("a", b"blob");
    let blob = Descriptor::new(MediaType::LAYER, digest, 4);
    let other = Server::start(|asked| match asked.path.as_str() {
        "/signed" => Answer::ok("blob"),
        _ => Answer::status(401).header("WWW-Authenticate", "Basic realm=\"give\""),
    });
    let stranger = |path: &str| other.url(path).replace("127.0.0.1", "localhost");
    let from = remote(&client, &me, &repository(&fake, "a"));
    from.tags().unwrap();
    fake.fault(Kind::Blob, 1, Fault::Answer(Answer::redirect(307, &stranger("/signed"))));
    let mut bytes = Vec::new();
    from.blob(&blob, 0).unwrap().body.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"blob");
    fake.fault(Kind::Blob, 1, Fault::Answer(Answer::redirect(307, &stranger("/locked"))));
    assert!(matches!(from.blob(&blob, 0), Err(RegistryError::Denied { .. })));
    assert_eq!(other.asked().len(), 2);
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn c3_no_byte_of_a_blob_goes_to_another_host() {
    let (fake, client, me) = (FakeRegistry::start(locked()), client(), me());
    let other = Server::start(|_| Answer::status(201));
    let stranger = other.url("/upload").replace("127.0.0.1", "localhost");
    fake.fault(Kind::Begin, 9, Fault::Header("Location", stranger));
    let error = small_image().push(&remote(&client, &me, &repository(&fake, "a"))).unwrap_err();
    assert!(matches!(error, RegistryError::Unsafe { .. }), "{error}");
    assert!(other.asked().is_empty());
}

#[test]
fn c8_floods_end() {
    let (fake, client) = (FakeRegistry::start(Habits { referrers: true, ..Habits::default() }), client());
    let from = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let flood = || Answer::ok(vec![b' '; 5 << 20]);
    for kind in [Kind::Manifest, Kind::Tags, Kind::Referrers] {
        fake.fault(kind, 1, Fault::Answer(flood()));
    }
    fake.fault(Kind::HasBlob, 1, Fault::Answer(Answer { status: 400, ..flood() }));
    let digest = Digest::of(b"");
    let errors = [
        from.manifest(&Which::Tag(tag("1"))).map(|_| ()).unwrap_err(),
        from.tags().map(|_| ()).unwrap_err(),
        from.referrers(&digest).map(|_| ()).unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("longer than 4194304 bytes"), "{error}");
    }
    assert!(from.has_blob(&Descriptor::new(MediaType::LAYER, digest, 0)).is_err());
}

#[test]
fn c9_pages_lead_neither_in_circles_nor_away() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let from = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let page =
        |link: &str| Fault::Answer(Answer::ok(r#"{"tags":["x"]}"#).header("Link", &format!("<{link}>; rel=\"next\"")));
    for link in ["/v2/a/tags/list?n=1000", "http://attacker.example/", "//attacker.example/v2/", "file:///x"] {
        fake.fault(Kind::Tags, 1, page(link));
        let error = from.tags().unwrap_err();
        assert!(matches!(error, RegistryError::Wrong { .. }), "{link}: {error}");
        fake.heal();
    }
    fake.fault(Kind::Tags, 5000, page("/v2/a/tags/list?more"));
    assert!(from.tags().unwrap_err().to_string().contains("its own next"));
}

#[test]
fn c10_the_own_hash_decides() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let image = small_image();
    image.push(&to).unwrap();
    let which = Which::Digest(image.root.digest);
    fake.fault(Kind::Manifest, 1, Fault::Flip);
    assert!(matches!(to.manifest(&which), Err(RegistryError::Wrong { .. })));
    let lie = Fault::Header("Docker-Content-Digest", Digest::of(b"lie").to_string());
    fake.fault(Kind::Manifest, 1, lie);
    assert_eq!(to.manifest(&which).unwrap().descriptor, image.root);
    fake.fault(Kind::Manifest, 9, Fault::Cut(10));
    assert!(to.manifest(&which).is_err());
}

#[test]
fn redirects_end() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let from = remote(&client, &NoCredentials, &repository(&fake, "a"));
    fake.fault(Kind::Manifest, 99, Fault::Answer(Answer::redirect(302, "/v2/a/manifests/1")));
    let error = from.manifest(&Which::Tag(tag("1"))).unwrap_err();
    assert!(error.to_string().contains("more than 5 times"), "{error}");
    fake.heal();
    fake.fault(Kind::Manifest, 1, Fault::Answer(Answer::redirect(302, "file:///etc/passwd")));
    assert!(matches!(from.manifest(&Which::Tag(tag("1"))), Err(RegistryError::Wrong { .. })));
}
