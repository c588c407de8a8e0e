//! Hostile registries: recipes C1 to C13 of the project's catalogue of attacks on clients.
//!
//! The registry has a public name, `registry.test`, and TLS by an authority of the tests; `other.test` and 127.0.0.2 are
//! others. In the end nobody but the registry has seen credentials, or a byte of a blob, and nobody at a private address
//! was asked for anything.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corten_diagnostic::Diagnose;
use corten_net::{Client, Settings};
use corten_oci::{Descriptor, Digest, MediaType, Repository};
use corten_registry::{AuthFile, Credentials, Found, Mirror, NoCredentials, Registry, RegistryError, Remote, Which};
use corten_testkit::bar::Bar;
use corten_testkit::http::{Answer, Asked, Server, Trouble};
use corten_testkit::proxy::Proxy;
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind, Lock};
use corten_testkit::tls;
use serde_json::json;

use super::{Known, assert_whole, client, remote, repository, small_image, tag};

/// How often it was looked whether anything has left.
static CASES: AtomicUsize = AtomicUsize::new(0);

fn me() -> Known {
    Known(Credentials::Basic { user: "me".into(), password: "secret".into() })
}

fn identity() -> Known {
    Known(Credentials::IdentityToken("secret-identity".into()))
}

fn basic() -> Habits {
    Habits { lock: Lock::Basic("me", "secret"), referrers: true, ..Habits::default() }
}

fn bearer(realm: &str) -> Habits {
    let lock = Lock::Bearer { realm: realm.to_owned(), user: ("me", "secret"), identity: "secret-identity", lasts: 99 };
    Habits { lock, ..Habits::default() }
}

/// A registry with a public name, another host with one, and one at a private address.
struct World {
    registry: FakeRegistry,
    other: Server,
    private: Server,
    proxy: Proxy,
    client: Client,
}

impl World {
    fn new(habits: Habits) -> Self {
        let answer = |asked: &Asked| match asked.path.split('?').next().unwrap() {
            "/signed" => Answer::ok("blob"),
            "/token" => Answer::ok(r#"{"token":"t"}"#),
            _ => Answer::status(401).header("WWW-Authenticate", "Basic realm=\"give\""),
        };
        let registry = FakeRegistry::start_at("127.0.0.1", Some(Arc::new(tls::server())), habits);
        let private = Server::start_at("127.0.0.2", Some(Arc::new(tls::server())), answer);
        let away = format!("https://{}/signed", private.place());
        let leads = move |asked: &Asked| match asked.path.as_str() {
            "/away" => Answer::redirect(307, &away),
            _ => answer(asked),
        };
        let other = Server::start_at("127.0.0.1", Some(Arc::new(tls::server())), leads);
        let routes = [("registry.test", registry.place()), ("other.test", other.place())];
        let proxy = Proxy::start(&routes.each_ref().map(|(name, place)| (*name, place.as_str())), None);
        let settings = Settings {
            certificate_authorities: tls::AUTHORITY.to_vec(),
            proxy: Some(proxy.url()),
            plain_proxy: Some(proxy.url()),
            no_proxy: vec!["127.0.0.0/8".to_owned()],
            pause: Duration::ZERO,
            longest_pause: Duration::ZERO,
            ..Settings::default()
        };
        Self { registry, other, private, proxy, client: Client::new(settings) }
    }

    fn remote<'w>(&'w self, keychain: &'w Known) -> Remote<'w> {
        let repository: Repository = "registry.test/a".parse().unwrap();
        Registry { client: &self.client, keychain, plain: vec![], mirrors: vec![] }.remote(&repository).unwrap()
    }

    fn private(&self, path: &str) -> String {
        format!("https://{}{path}", self.private.place())
    }

    /// Nobody else has seen what is the registry's.
    fn assert_kept(&self) {
        CASES.fetch_add(1, Ordering::Relaxed);
        assert!(self.private.asked().is_empty(), "a private address was asked");
        for asked in self.other.asked() {
            assert!(asked.header("authorization").is_none() && asked.header("cookie").is_none(), "{asked:?}");
            assert!(!asked.path.contains("secret") && matches!(asked.method.as_str(), "GET" | "HEAD"), "{asked:?}");
        }
    }
}

/// A blob that the registry has.
fn blob(registry: &FakeRegistry) -> Descriptor {
    Descriptor::new(MediaType::LAYER, registry.add_blob("a", b"blob"), 4)
}

#[test]
fn c1_where_a_redirect_leads_no_credentials_go_and_its_challenge_is_not_answered() {
    for (habits, me) in [(basic(), me()), (bearer(""), me()), (bearer(""), identity())] {
        let realm = matches!(habits.lock, Lock::Bearer { .. });
        let habits = if realm { bearer("https://registry.test/token") } else { habits };
        let world = World::new(habits);
        let (blob, from) = (blob(&world.registry), world.remote(&me));
        from.tags().unwrap();
        for status in [301, 302, 303, 307, 308] {
            world.registry.fault(
                Kind::Blob,
                1,
                Fault::Answer(Answer::redirect(status, "https://other.test/signed?s=1")),
            );
            let mut bytes = Vec::new();
            from.blob(&blob, 0).unwrap().body.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, b"blob");
        }
        world.registry.fault(Kind::Blob, 1, Fault::Answer(Answer::redirect(307, "https://other.test/locked")));
        assert!(matches!(from.blob(&blob, 0), Err(RegistryError::Denied { .. })));
        world.registry.fault(
            Kind::Blob,
            1,
            Fault::Answer(Answer::redirect(307, "https://me:secret@other.test/signed")),
        );
        drop(from.blob(&blob, 0));
        assert_eq!(world.other.asked().len(), 7);
        world.assert_kept();
    }
}

#[test]
fn c2_realms_of_others_learn_no_password() {
    let realms = [
        "https://other.test/token",
        "https://registry.test.other.test/token",
        "http://registry.test/token",
        "https://127.0.0.2/token",
        "https://169.254.169.254/latest/api/token",
        "https://[fd00:ec2::254]/",
        "https://localhost/token",
        "file:///etc/passwd",
        "ftp://registry.test/",
        "//other.test/token",
        "relative",
    ];
    for keychain in [me(), identity()] {
        for realm in realms {
            let world = World::new(bearer(realm));
            let error = world.remote(&keychain).manifest(&Which::Tag(tag("1"))).unwrap_err();
            assert!(matches!(error, RegistryError::Unsafe { .. }), "{realm}: {error}");
            let host = realm.split("//").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or(realm);
            assert!(error.to_string().contains("registry.test") && error.to_string().contains(host), "{error}");
            assert!(world.other.asked().is_empty());
            world.assert_kept();
        }
    }
}

/// Who is nobody may ask another host of the world, as Docker Hub's mirrors make one do; no private one.
#[test]
fn c2_without_credentials_other_realms_are_asked_and_private_ones_are_not() {
    let nobody = Known(Credentials::Anonymous);
    let world = World::new(bearer("https://other.test/token"));
    drop(world.remote(&nobody).tags());
    assert_eq!(world.other.count("/token?service=fake&scope=repository:a:pull"), 1);
    for realm in ["https://169.254.169.254/", "https://10.0.0.1/token", "http://other.test/token"] {
        let world = World::new(bearer(realm));
        assert!(matches!(world.remote(&nobody).tags(), Err(RegistryError::Unsafe { .. })), "{realm}");
        world.assert_kept();
    }
    let world = World::new(Habits::default());
    let challenge = format!("Bearer realm=\"{}\"", world.private("/token"));
    let refusal = Answer::status(401).header("WWW-Authenticate", &challenge);
    world.registry.fault(Kind::Tags, 9, Fault::Answer(refusal));
    assert!(matches!(world.remote(&nobody).tags(), Err(RegistryError::Unsafe { .. })));
    world.assert_kept();
}

#[test]
fn c3_no_byte_of_a_blob_goes_where_a_location_of_another_host_says() {
    let me = me();
    let places =
        ["https://other.test/upload", "http://registry.test/v2/a/blobs/uploads/1", "https://registry.test:444/x"];
    for place in places.map(str::to_owned).into_iter().chain(["//other.test/x".to_owned(), "file:///x".to_owned()]) {
        for kind in [Kind::Begin, Kind::Piece, Kind::Progress] {
            let world = World::new(basic());
            let image = super::image(&[super::content(b'x', 5000)]);
            // What breaks off is asked about, and gone on with in pieces.
            if kind != Kind::Begin {
                world.registry.fault(Kind::Finish, 1, Fault::HangUp(10));
            }
            world.registry.fault(kind, 9, Fault::Header("Location", place.clone()));
            let error = image.push(&world.remote(&me)).unwrap_err();
            assert!(matches!(error, RegistryError::Unsafe { .. } | RegistryError::Wrong { .. }), "{place}: {error}");
            assert!(world.other.asked().is_empty() && world.registry.count(Kind::PutManifest) == 0);
            world.assert_kept();
        }
    }
    let world = World::new(basic());
    world.registry.fault(Kind::Begin, 9, Fault::Header("Location", world.private("/upload")));
    assert!(matches!(small_image().push(&world.remote(&me)), Err(RegistryError::Unsafe { .. })));
    world.assert_kept();
}

/// Not even where it is a redirect: what is sent is sent to the registry.
#[test]
fn c3_uploads_are_not_redirected() {
    let (world, me) = (World::new(basic()), me());
    for kind in [Kind::Begin, Kind::Finish, Kind::PutManifest] {
        world.registry.fault(kind, 1, Fault::Answer(Answer::redirect(307, "https://other.test/upload")));
        let error = small_image().push(&world.remote(&me)).unwrap_err();
        assert!(matches!(error, RegistryError::Status { status: 307, .. }), "{kind:?}: {error}");
        world.registry.heal();
    }
    assert!(world.other.asked().is_empty());
    world.assert_kept();
}

#[test]
fn c4_redirects_from_https_to_http_and_to_private_addresses_are_refused() {
    let (world, me) = (World::new(basic()), me());
    let (blob, from) = (blob(&world.registry), world.remote(&me));
    let targets = [
        "http://registry.test/v2/a/blobs/x".to_owned(),
        "http://other.test/signed".to_owned(),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[::ffff:10.0.0.1]/".to_owned(),
        "https://localhost/".to_owned(),
        world.private("/signed"),
    ];
    for target in &targets {
        for kind in [Kind::Blob, Kind::Manifest] {
            world.registry.fault(kind, 1, Fault::Answer(Answer::redirect(307, target)));
            let error = match kind {
                Kind::Blob => from.blob(&blob, 0).map(drop).unwrap_err(),
                _ => from.manifest(&Which::Tag(tag("1"))).map(drop).unwrap_err(),
            };
            assert!(matches!(error, RegistryError::Unsafe { .. }), "{target}: {error}");
        }
    }
    // The registry itself leads there in turn, then the other host does.
    world.registry.fault(Kind::Blob, 1, Fault::Answer(Answer::redirect(307, "https://registry.test/v2/a/blobs/y")));
    world.registry.fault(Kind::Blob, 1, Fault::Answer(Answer::redirect(307, &world.private("/signed"))));
    assert!(matches!(from.blob(&blob, 0), Err(RegistryError::Unsafe { .. })));
    assert!(world.other.asked().is_empty());
    world.registry.heal();
    world.registry.fault(Kind::Blob, 1, Fault::Answer(Answer::redirect(307, "https://other.test/away")));
    assert!(matches!(from.blob(&blob, 0), Err(RegistryError::Unsafe { .. })));
    assert_eq!(world.other.asked().len(), 1);
    world.assert_kept();
}

/// A server of tokens gives them itself.
#[test]
fn c4_redirects_of_token_servers_are_not_followed() {
    for keychain in [me(), identity()] {
        let world = World::new(bearer("https://registry.test/token"));
        for target in [world.private("/token"), "https://other.test/token".to_owned()] {
            world.registry.fault(Kind::Token, 9, Fault::Answer(Answer::redirect(307, &target)));
            let error = world.remote(&keychain).tags().unwrap_err();
            assert!(matches!(error, RegistryError::Status { status: 307, .. }), "{error}");
            world.registry.heal();
        }
        assert!(world.other.asked().is_empty());
        world.assert_kept();
    }
}

/// Of all answers on the way the server's certificate is looked at: the registry's, its token server's, a redirect's.
#[test]
fn c7_certificates_are_looked_at_everywhere() {
    let distrusting = |world: &World, no_proxy: &str| {
        let settings = Settings {
            certificate_authorities: Vec::new(),
            no_proxy: vec![no_proxy.to_owned()],
            ..world.client.settings().clone()
        };
        Client::new(settings)
    };
    let world = World::new(bearer("https://registry.test/token"));
    let (me, stranger) = (me(), distrusting(&world, "127.0.0.0/8"));
    let place: Repository = "registry.test/a".parse().unwrap();
    let error = remote(&stranger, &me, &place).tags().unwrap_err();
    assert!(error.to_string().contains("TLS with registry.test:443 failed: invalid peer certificate"), "{error}");
    assert!(world.registry.server().asked().is_empty(), "nothing was said to it");
    // A plain registry whose tokens are elsewhere, behind a certificate that nobody knows.
    let plain = FakeRegistry::start(bearer(&format!("https://{}/token", world.registry.place())));
    let error = remote(&stranger, &me, &repository(&plain, "a")).tags().unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    assert!(world.registry.server().asked().is_empty());
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
fn c8_who_says_nothing_or_a_byte_now_and_then_holds_nobody_up() {
    let settings = Settings { timeout: Duration::from_millis(60), retries: 1, ..client().settings().clone() };
    let hasty = Client::new(settings);
    let troubles = [Trouble::Silence, Trouble::Trickle(Duration::from_millis(25))];
    for (trouble, words) in troubles.into_iter().zip(["was silent for 0.06 s", " bytes in 0.06 s"]) {
        let fake = FakeRegistry::start(Habits::default());
        fake.add_manifest("a", "1", MediaType::MANIFEST, &[b' '; 50]);
        fake.fault(Kind::Manifest, 9, Fault::Trouble(trouble));
        let error =
            remote(&hasty, &NoCredentials, &repository(&fake, "a")).manifest(&Which::Tag(tag("1"))).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(fake.count(Kind::Manifest), 2);
    }
}

#[test]
fn c9_pages_lead_neither_in_circles_nor_away() {
    let world = World::new(basic());
    let (me, subject) = (me(), Digest::of(b"x"));
    let from = world.remote(&me);
    let page = |kind: Kind, link: &str| {
        let body = if kind == Kind::Tags { r#"{"tags":["x"]}"# } else { r#"{"schemaVersion":2,"manifests":[]}"# };
        Fault::Answer(Answer::ok(body).header("Link", &format!("<{link}>; rel=\"next\"")))
    };
    let list = |kind: Kind| match kind {
        Kind::Tags => from.tags().map(drop),
        _ => from.referrers(&subject).map(drop),
    };
    let itself = format!("/v2/a/referrers/{subject}");
    for kind in [Kind::Tags, Kind::Referrers] {
        let own = if kind == Kind::Tags { "/v2/a/tags/list?n=1000" } else { &itself };
        for link in [
            own,
            "https://other.test/",
            "//other.test/v2/",
            "http://registry.test/v2/",
            "file:///x",
            &world.private("/"),
        ] {
            world.registry.fault(kind, 1, page(kind, link));
            let error = list(kind).unwrap_err();
            assert!(matches!(error, RegistryError::Wrong { .. }), "{link}: {error}");
            world.registry.heal();
        }
    }
    assert!(world.other.asked().is_empty());
    world.assert_kept();
    world.registry.fault(Kind::Tags, 5000, page(Kind::Tags, "/v2/a/tags/list?more"));
    assert!(from.tags().unwrap_err().to_string().contains("its own next"));
}

#[test]
fn c9_two_pages_that_are_each_others_next_have_an_end() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let from = remote(&client, &NoCredentials, &repository(&fake, "a"));
    for _ in 0..501 {
        for page in ["one", "two"] {
            let link = format!("</v2/a/tags/list?{page}>; rel=\"next\"");
            fake.fault(Kind::Tags, 1, Fault::Answer(Answer::ok(r#"{"tags":[]}"#).header("Link", &link)));
        }
    }
    let error = from.tags().unwrap_err();
    assert!(error.to_string().ends_with("there are more than 1000 pages"), "{error}");
}

#[test]
fn c10_the_own_hash_decides() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let image = small_image();
    image.push(&to).unwrap();
    let which = Which::Digest(image.root.digest);
    fake.fault(Kind::Manifest, 1, Fault::Flip);
    assert_eq!(to.manifest(&which).unwrap().descriptor, image.root, "asked for once more");
    fake.fault(Kind::Manifest, 2, Fault::Flip);
    assert!(matches!(to.manifest(&which), Err(RegistryError::Wrong { .. })));
    let lie = Fault::Header("Docker-Content-Digest", Digest::of(b"lie").to_string());
    fake.fault(Kind::Manifest, 1, lie);
    assert_eq!(to.manifest(&which).unwrap().descriptor, image.root);
    fake.fault(Kind::Manifest, 1, Fault::Cut(10));
    assert_eq!(to.manifest(&which).unwrap().descriptor, image.root, "the rest is asked for");
    fake.fault(Kind::Manifest, 99, Fault::Cut(10));
    let error = to.manifest(&which).unwrap_err();
    assert!(error.to_string().contains("the answer broke off"), "{error}");
}

/// A tag that moves after it was asked for moves nothing: the rest goes by digest.
#[test]
fn c11_what_was_resolved_is_what_comes() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let (image, whole) = super::with_index(small_image());
    whole.push(&to).unwrap();
    let found = to.resolve(&Which::Tag(tag("1"))).unwrap().unwrap();
    fake.add_manifest("a", "1", MediaType::INDEX, br#"{"schemaVersion":2,"manifests":[]}"#);
    let fetched = to.manifest(&Which::Digest(found)).unwrap();
    assert_eq!(fetched.descriptor, whole.root);
    assert_eq!(to.manifest(&Which::Digest(image.root.digest)).unwrap().descriptor, image.root);
    // What is pushed is named by what was pushed, whatever the tag says meanwhile.
    fake.fault(Kind::PutManifest, 9, Fault::Header("Docker-Content-Digest", Digest::of(b"theirs").to_string()));
    let error = image.push(&to).unwrap_err();
    assert!(error.to_string().contains("it has changed it"), "{error}");
}

/// Nothing that is no name gets as far as a request.
#[test]
fn c12_names_that_would_be_more_than_names_are_none() {
    for name in [
        "h.test/a\r\nHost: x",
        "h.test/a\0b",
        "h.test/a b",
        "h.test/../b",
        "h.test/a?x=y",
        "h.test/a#b",
        "h.test/%2e%2e/b",
    ] {
        assert!(name.parse::<Repository>().is_err(), "{name:?}");
    }
    for name in ["a\r\nb", "a\0", "a b", "../b", "a/b", "a?b", "", "-a", &"a".repeat(129)] {
        assert!(corten_oci::Tag::new(name).is_err(), "{name:?}");
    }
}

/// Without TLS only where the user says so, and where nobody listens: `.local`, private addresses and port 80 are no reason.
#[test]
fn c13_no_host_is_guessed_to_have_no_tls() {
    let world = World::new(Habits::default());
    let plain = FakeRegistry::start(Habits::default());
    for host in ["registry.local", "registry.test:80", "registry.test:5000", "10.0.0.1:5000", "localhost.test"] {
        let repository: Repository = format!("{host}/a").parse().unwrap();
        let known = me();
        let error = remote(&world.client, &known, &repository).tags().map(drop);
        let asked = world.proxy.asked();
        if host.starts_with("registry.test") {
            assert!(error.is_ok(), "{host}: {error:?}");
        } else {
            let text = error.unwrap_err().to_string();
            assert!(text.contains(&format!("https://{host}/v2/")), "{text}");
        }
        assert!(asked.iter().all(|asked| !asked.ends_with("local:80")), "{asked:?}");
    }
    // The proxy leads to one that has none: it is not spoken to in plain words.
    let proxy = Proxy::start(&[("registry.test", &plain.place())], None);
    let settings = Settings { proxy: Some(proxy.url()), plain_proxy: Some(proxy.url()), ..client().settings().clone() };
    let (client, me) = (Client::new(settings), me());
    let place: Repository = "registry.test/a".parse().unwrap();
    let error = remote(&client, &me, &place).tags().unwrap_err();
    assert!(error.to_string().contains("registry.test:443"), "{error}");
    assert!(!error.hints().is_empty() && plain.server().asked().is_empty());
    let asked = Registry { client: &client, keychain: &me, plain: vec!["registry.test".to_owned()], mirrors: vec![] };
    asked.remote(&place).unwrap().tags().unwrap();
    let image = small_image();
    image.push(&asked.remote(&place).unwrap()).unwrap();
    assert_whole(&plain, "a", &image);
}

/// As the clouds' helpers of others once did not: hosts are compared whole.
#[test]
fn c5_hosts_are_compared_whole() {
    let file = r#"{"auths":{"evil.azurecr.io":{"auth":"bWU6c2VjcmV0"},"registry.test:5000":{"auth":"bWU6c2VjcmV0"}},
        "credHelpers":{"123.dkr.ecr.eu-central-1.amazonaws.com":"ecr-login","gcr.io":"gcloud"}}"#;
    let file = AuthFile::parse(file).unwrap();
    let found = |name: &str| file.find(&format!("{name}/a").parse().unwrap()).unwrap();
    for host in [
        "evil.azurecr.io.attacker.test",
        "xevil.azurecr.io",
        "azurecr.io",
        "registry.test",
        "registry.test:50000",
        "sub.registry.test:5000",
        "123.dkr.ecr.eu-central-1.amazonaws.com.attacker.test",
        "dkr.ecr.eu-central-1.amazonaws.com",
        "eu.gcr.io",
        "gcr.io.attacker.test",
    ] {
        assert_eq!(found(host), Found::Nothing, "{host}");
    }
    assert_ne!(found("evil.azurecr.io"), Found::Nothing);
    assert_eq!(found("gcr.io"), Found::Helper { name: "gcloud".into(), server: "gcr.io".into() });
}

#[test]
fn c6_names_of_helpers_start_no_other_program() {
    for name in ["x; touch /tmp/p", "../../bin/sh", "/bin/sh", "-x", "..", "a b", "a\n", "$(id)", "a/b", "\u{e4}"] {
        let stores = [json!({"credsStore": name}), json!({"credHelpers": {"registry.test": name}})];
        for store in stores {
            let found = AuthFile::parse(&store.to_string()).unwrap().find(&"registry.test/a".parse().unwrap());
            assert!(found.unwrap_err().ends_with("is no name of a credential helper"), "{name}");
        }
    }
}

/// What is for Docker Hub is for no mirror of it, and what is for a part of a host not for the rest.
#[test]
fn c7_keys_are_exact() {
    let world = World::new(basic());
    struct Keys<'k>(&'k AuthFile);
    impl corten_registry::Keychain for Keys<'_> {
        fn credentials(&self, repository: &Repository) -> Result<Credentials, RegistryError> {
            match self.0.find(repository).map_err(RegistryError::Unusable)? {
                Found::Own(credentials) => Ok(credentials),
                _ => Ok(Credentials::Anonymous),
            }
        }
    }
    let mirror: Mirror = "docker.io=registry.test".parse().unwrap();
    for (key, lets_in) in [
        ("https://index.docker.io/v1/", false),
        ("registry.test:444", false),
        ("registry.test/library/other", false),
        ("registry.test", true),
        ("registry.test/library", true),
    ] {
        let file = AuthFile::parse(&json!({"auths": {key: {"auth": "bWU6c2VjcmV0"}}}).to_string()).unwrap();
        let keys = Keys(&file);
        let registry =
            Registry { client: &world.client, keychain: &keys, plain: vec![], mirrors: vec![mirror.clone()] };
        let before = world.registry.server().asked().len();
        drop(registry.remote(&"ubuntu".parse().unwrap()).unwrap().resolve(&Which::Tag(tag("1"))));
        let asked = world.registry.server().asked();
        assert!(asked.len() > before, "{key}: the mirror is asked");
        let sent = asked[before..].iter().any(|asked| asked.header("authorization").is_some());
        assert_eq!(sent, lets_in, "{key}");
    }
    world.assert_kept();
}

/// R23: all of the above, counted. Short: three of them, as each is a test of its own anyway.
#[test]
fn r23_credentials_stay() {
    let bar = Bar::begin("R23");
    let cases: [(&str, fn()); 20] = [
        ("c1", c1_where_a_redirect_leads_no_credentials_go_and_its_challenge_is_not_answered),
        ("c2", c2_realms_of_others_learn_no_password),
        ("c2", c2_without_credentials_other_realms_are_asked_and_private_ones_are_not),
        ("c3", c3_no_byte_of_a_blob_goes_where_a_location_of_another_host_says),
        ("c3", c3_uploads_are_not_redirected),
        ("c4", c4_redirects_from_https_to_http_and_to_private_addresses_are_refused),
        ("c4", c4_redirects_of_token_servers_are_not_followed),
        ("c5", c5_hosts_are_compared_whole),
        ("c6", c6_names_of_helpers_start_no_other_program),
        ("c7", c7_certificates_are_looked_at_everywhere),
        ("c7", c7_keys_are_exact),
        ("c8", c8_floods_end),
        ("c8", c8_who_says_nothing_or_a_byte_now_and_then_holds_nobody_up),
        ("c9", c9_pages_lead_neither_in_circles_nor_away),
        ("c9", c9_two_pages_that_are_each_others_next_have_an_end),
        ("c10", c10_the_own_hash_decides),
        ("c11", c11_what_was_resolved_is_what_comes),
        ("c12", c12_names_that_would_be_more_than_names_are_none),
        ("c13", c13_no_host_is_guessed_to_have_no_tls),
        ("redirects", redirects_end),
    ];
    let chosen = bar.length(3, cases.len());
    let failed: Vec<&str> = cases[..chosen]
        .iter()
        .filter(|(_, case)| std::panic::catch_unwind(case).is_err())
        .map(|(name, _)| *name)
        .collect();
    bar.finish(
        format!("0 in {chosen} tests with {} cases; failed: {failed:?}", CASES.load(Ordering::Relaxed)),
        failed.is_empty(),
    );
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
