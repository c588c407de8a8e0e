//! How registries are reached: proxies, certificates, mirrors. The registry has a public name that a proxy of the tests
//! knows, and a certificate by an authority of the tests.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use corten_oci::Digest;
use corten_testkit::command::{Corten, Ran};
use corten_testkit::http::{Answer, Trouble};
use corten_testkit::proxy::Proxy;
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind, Lock};
use corten_testkit::tls;
use serde_json::json;

use crate::service::corten;

const KIND: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image of one layer at the registry.
pub fn add_image(registry: &FakeRegistry, repository: &str, tag: &str) -> Digest {
    // A tar without members; each repository has one of another length.
    let own = repository.trim_start_matches("hub/").bytes().map(usize::from).sum::<usize>();
    add_image_of(registry, repository, tag, &vec![0; 10_240 + 512 * own])
}

/// An image of this layer at the registry.
pub fn add_image_of(registry: &FakeRegistry, repository: &str, tag: &str, layer: &[u8]) -> Digest {
    let blob = |bytes: &[u8], kind: &str| {
        let digest = registry.add_blob(repository, bytes).to_string();
        json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": bytes.len()})
    };
    let layer = blob(layer, "layer.v1.tar");
    let rootfs = json!({"type": "layers", "diff_ids": [layer["digest"]]});
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).to_string();
    let config = blob(config.as_bytes(), "config.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": KIND, "config": config, "layers": [layer]}).to_string();
    registry.add_manifest(repository, tag, KIND, manifest.as_bytes())
}

fn secure(habits: Habits) -> FakeRegistry {
    let registry = FakeRegistry::start_tls(habits);
    add_image(&registry, "team/a", "1");
    registry
}

/// The program, by way of the proxy.
fn by(proxy: &str) -> Corten {
    corten().env("HTTPS_PROXY", proxy)
}

fn authority(corten: &Corten) -> PathBuf {
    let file = corten.home().join("authority.pem");
    fs::write(&file, tls::AUTHORITY).unwrap();
    file
}

fn run(corten: &Corten, line: &str) -> Ran {
    corten.run(corten.home(), line.split(' '))
}

#[track_caller]
fn says(ran: &Ran, status: i32, expected: &str) {
    assert_eq!((ran.status, ran.stderr.trim()), (status, expected));
}

#[test]
fn a_registry_is_pulled_from_and_pushed_to_by_way_of_a_proxy_that_wants_a_login() {
    let registry = secure(Habits { lock: Lock::Basic("me", "pass"), ..Habits::default() });
    let proxy = Proxy::start(&[("registry.test", &registry.place())], Some(("somebody", "p@ss")));
    let corten = by(&proxy.url_with("somebody", "p%40ss"));
    let authority = authority(&corten).display().to_string();
    let config = json!({"auths": {"registry.test": {"auth": "bWU6cGFzcw=="}}}).to_string();
    fs::create_dir(corten.home().join(".docker")).unwrap();
    fs::write(corten.home().join(".docker/config.json"), config).unwrap();
    run(&corten, &format!("pull registry.test/team/a:1 --ca-file {authority}")).expect(0);
    run(&corten, &format!("push registry.test/team/a:1 registry.test/team/b:2 --ca-file {authority}")).expect(0);
    assert_eq!(registry.tag("team/b", "2"), registry.tag("team/a", "1"));
    assert_eq!((registry.torn(), registry.breaches()), (vec![], vec![]));
    let asked = proxy.asked();
    assert!(asked.iter().all(|asked| asked == "registry.test:443") && !asked.is_empty(), "{asked:?}");
    let sent = registry.server().asked();
    assert!(sent.iter().all(|asked| asked.header("proxy-authorization").is_none()));

    for proxy in [proxy.url(), proxy.url_with("somebody", "wrong")] {
        let corten = by(&proxy);
        let ran = run(&corten, &format!("resolve registry.test/team/a:1 --ca-file {authority}"));
        says(
            &ran,
            3,
            "error: asking for registry.test/team/a:1: fetching https://registry.test/v2/team/a/manifests/1: the proxy does not connect to registry.test:443: it wants a user and a password (407)
hint: give them in the proxy's address: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
        );
        assert!(!ran.stderr.contains("wrong"));
    }
}

#[test]
fn what_is_on_this_machine_or_in_no_proxy_is_reached_directly() {
    let registry = FakeRegistry::start(Habits::default());
    let digest = add_image(&registry, "a", "1");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let corten = by(&format!("http://{gone}")).env("http_proxy", &format!("http://{gone}"));
    let ran = run(&corten, &format!("resolve {}/a:1", registry.place())).expect(0);
    assert_eq!(ran.stdout.trim(), digest.to_string());
    let corten = by(&format!("http://{gone}")).env("NO_PROXY", "other.test, .test");
    let ran = run(&corten, "resolve registry.test/a:1");
    let text = "fetching https://registry.test/v2/a/manifests/1: no address found for host registry.test";
    assert!(ran.status == 3 && ran.stderr.contains(text), "{}", ran.stderr);
}

#[test]
fn an_authority_of_ones_own_is_trusted_once_it_is_named() {
    let registry = secure(Habits::default());
    let proxy = Proxy::start(&[("registry.test", &registry.place())], None);
    let fresh = || by(&proxy.url());
    let corten = fresh();
    says(
        &run(&corten, "pull registry.test/team/a:1"),
        3,
        "error: pulling registry.test/team/a:1: fetching https://registry.test/v2/team/a/manifests/1: TLS with registry.test:443 failed: invalid peer certificate: UnknownIssuer
hint: is its certificate of an authority of your own? pass that one (PEM): --ca-file FILE, or CORTEN_CA_FILE",
    );
    let authority = authority(&corten).display().to_string();
    run(&corten, &format!("--ca-file {authority} pull registry.test/team/a:1")).expect(0);
    run(&fresh().env("CORTEN_CA_FILE", &authority), "pull registry.test/team/a:1").expect(0);
    run(&fresh().env("SSL_CERT_FILE", &authority), "pull registry.test/team/a:1").expect(0);
    // As docker and podman have it, for this registry alone.
    for below in ["containers", "docker"] {
        let corten = fresh();
        let folder = corten.home().join(format!(".config/{below}/certs.d/registry.test"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("ca.crt"), tls::AUTHORITY).unwrap();
        run(&corten, "pull registry.test/team/a:1").expect(0);
    }
    let corten = fresh();
    let folder = corten.home().join(".config/containers/certs.d/other.test");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ca.crt"), tls::AUTHORITY).unwrap();
    assert!(run(&corten, "pull registry.test/team/a:1").expect(3).stderr.contains("UnknownIssuer"));
}

#[test]
fn a_registry_that_wants_to_see_a_certificate_is_shown_one() {
    let registry = FakeRegistry::start_tls_for_known_clients(Habits::default());
    add_image(&registry, "team/a", "1");
    let proxy = Proxy::start(&[("registry.test", &registry.place())], None);
    let corten = by(&proxy.url());
    let folder = corten.home().join(".config/containers/certs.d/registry.test");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ca.crt"), tls::AUTHORITY).unwrap();
    let ran = run(&corten, "pull registry.test/team/a:1").expect(3);
    assert!(ran.stderr.contains("TLS with registry.test:443 failed: received fatal alert"), "{}", ran.stderr);
    fs::write(folder.join("client.cert"), tls::CLIENT).unwrap();
    let ran = run(&corten, "pull registry.test/team/a:1").expect(3);
    assert!(ran.stderr.contains("registry.test/client.key: No such file or directory"), "{}", ran.stderr);
    fs::write(folder.join("client.key"), tls::CLIENT_KEY).unwrap();
    run(&corten, "pull registry.test/team/a:1").expect(0);
    fs::write(folder.join("more.crt"), "nothing").unwrap();
    let ran = run(&corten, "pull registry.test/team/a:1").expect(3);
    assert!(ran.stderr.contains("registry.test/more.crt: there is no certificate (PEM) in it"), "{}", ran.stderr);
}

#[test]
fn a_file_that_holds_no_certificate_is_told() {
    let corten = corten();
    let file = corten.home().join("ca.der");
    fs::write(&file, [0x30, 0x82]).unwrap();
    says(
        &run(&corten, &format!("images --ca-file {}", file.display())),
        2,
        &format!(
            "error: reading the certificate authorities in {}: there is no certificate in it
hint: it begins with -----BEGIN CERTIFICATE-----; of DER it is made by `openssl x509 -inform der`",
            file.display()
        ),
    );
    says(
        &run(&corten, "images --ca-file /nowhere.pem"),
        2,
        "error: reading the certificate authorities in /nowhere.pem: No such file or directory (os error 2)",
    );
}

#[test]
fn a_mirror_is_asked_first_without_the_registrys_credentials() {
    let registry = secure(Habits { lock: Lock::Basic("me", "pass"), referrers: true, ..Habits::default() });
    let mirror = FakeRegistry::start(Habits { referrers: true, ..Habits::default() });
    let digest = add_image(&mirror, "hub/team/a", "1");
    let proxy = Proxy::start(&[("registry.test", &registry.place())], None);
    let corten = by(&proxy.url()).env("CORTEN_REGISTRY_MIRRORS", &format!("registry.test={}/hub", mirror.place()));
    let authority = authority(&corten).display().to_string();
    let config = json!({"auths": {"registry.test": {"auth": "bWU6cGFzcw=="}}}).to_string();
    fs::create_dir(corten.home().join(".docker")).unwrap();
    fs::write(corten.home().join(".docker/config.json"), config).unwrap();
    let run = |line: &str| run(&corten, &format!("{line} --ca-file {authority}"));
    assert_eq!(run("resolve registry.test/team/a:1").expect(0).stdout.trim(), digest.to_string());
    run("pull registry.test/team/a:1").expect(0);
    assert!(registry.server().asked().is_empty(), "the mirror had all");
    assert!(mirror.server().asked().iter().all(|asked| asked.header("authorization").is_none()));

    // What it has not, or has otherwise, comes from the registry.
    let other = add_image(&registry, "team/b", "1");
    assert_eq!(run("resolve registry.test/team/b:1").expect(0).stdout.trim(), other.to_string());
    run("store verify").expect(0);
    for fault in [Fault::Flip, Fault::Answer(Answer::status(500)), Fault::Cut(3)] {
        let fresh = by(&proxy.url());
        fs::create_dir(fresh.home().join(".docker")).unwrap();
        fs::copy(corten.home().join(".docker/config.json"), fresh.home().join(".docker/config.json")).unwrap();
        mirror.fault(Kind::Blob, 99, fault);
        let line = format!(
            "pull registry.test/team/a:1 --ca-file {authority} --registry-mirror registry.test={}/hub",
            mirror.place()
        );
        self::run(&fresh, &line).expect(0);
        self::run(&fresh, "store verify").expect(0);
        mirror.heal();
    }
    // A mirror that keeps no lists of artifacts has no say in whether there are some.
    let simple = FakeRegistry::start(Habits::default());
    add_image(&simple, "hub/team/a", "1");
    let by_simple = format!("--registry-mirror registry.test={}/hub", simple.place());
    run("push registry.test/team/a:1 registry.test/team/a:1").expect(0);
    let about = json!({"mediaType": KIND, "digest": digest.to_string(), "size": mirror.manifest("hub/team/a", &digest).unwrap().1.len()});
    let empty = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry.add_blob("team/a", b"{}").to_string(), "size": 2});
    let artifact = json!({"schemaVersion": 2, "mediaType": KIND, "artifactType": "application/x", "config": empty,
        "layers": [empty], "subject": about});
    let artifact = registry.add_manifest("team/a", "artifact", KIND, artifact.to_string().as_bytes());
    let told = run(&format!("inspect --remote registry.test/team/a:1 {by_simple} --format json")).expect(0).json();
    assert_eq!(told["referrers"][0]["digest"], artifact.to_string(), "{told}");
    // Nor in what a name that is given stands for.
    let new = add_image_of(&registry, "team/a", "moved", &[0; 1024]);
    mirror.add_manifest("hub/team/a", "moved", KIND, &mirror.manifest("hub/team/a", &digest).unwrap().1);
    run("tag --remote registry.test/team/a:moved registry.test/team/a:stable").expect(0);
    assert_eq!(registry.tag("team/a", "stable"), Some(new));
    // What is pushed goes to the registry alone.
    let before = mirror.server().asked().len();
    run("push registry.test/team/a:1 registry.test/team/c:1").expect(0);
    assert_eq!((mirror.server().asked().len(), registry.tag("team/c", "1")), (before, Some(digest)));
}

#[test]
fn a_mirror_that_is_away_is_told_and_passed_over() {
    let registry = FakeRegistry::start(Habits::default());
    let digest = add_image(&registry, "a", "1");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let corten = corten();
    let place = registry.place();
    let ran = run(&corten, &format!("pull {place}/a:1 --registry-mirror {place}={gone}")).expect(0);
    assert!(ran.stdout.contains(&digest.to_string()));
    let text = format!(
        "a mirror is passed over: pulling {gone}/a:1: fetching http://{gone}/v2/a/manifests/1: {gone} refuses connections"
    );
    assert_eq!(ran.stderr.matches(&text).count(), 1, "{}", ran.stderr);
    says(
        &run(&corten, &format!("pull {place}/a:1 --registry-mirror mirror")),
        2,
        "error: --registry-mirror: 'mirror' is no mirror: expected REGISTRY=MIRROR, for instance docker.io=mirror.example or ghcr.io=mirror.example/ghcr",
    );
}

/// What came in as Docker's goes out as Docker's: bytes and types are those that came, and never mixed.
#[test]
fn docker_manifests_go_up_as_they_came() {
    let (there, here) = (FakeRegistry::start(Habits::default()), FakeRegistry::start(Habits::default()));
    let docker = |what: &str| format!("application/vnd.docker.{what}");
    let blob = |bytes: &[u8], kind: &str| json!({"mediaType": docker(kind), "digest": there.add_blob("a", bytes).to_string(), "size": bytes.len()});
    let layer = blob(&[0; 10_240], "image.rootfs.diff.tar.gzip");
    let mut images = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let rootfs = json!({"type": "layers", "diff_ids": [layer["digest"]]});
        let config = json!({"architecture": architecture, "os": "linux", "rootfs": rootfs}).to_string();
        let config = blob(config.as_bytes(), "container.image.v1+json");
        // Spaces that nobody would write a second time.
        let kind = docker("distribution.manifest.v2+json");
        let text = format!(
            "{{ \"schemaVersion\":  2, \"mediaType\": \"{kind}\",\n\"config\": {config}, \"layers\": [ {layer} ] }}\n"
        );
        let digest = there.add_manifest("a", architecture, &kind, text.as_bytes());
        let platform = json!({"architecture": architecture, "os": "linux"});
        images.push(json!({"mediaType": kind, "digest": digest.to_string(), "size": text.len(), "platform": platform}));
    }
    let kind = docker("distribution.manifest.list.v2+json");
    let list = format!("{{\t\"schemaVersion\": 2, \"mediaType\": \"{kind}\", \"manifests\": {} }}", json!(images));
    let list = there.add_manifest("a", "all", &kind, list.as_bytes());

    let corten = corten();
    let from = format!("{}/a:all", there.place());
    run(&corten, &format!("pull {from} --platform all")).expect(0);
    run(&corten, &format!("push {from} {}/b:1", here.place())).expect(0);
    assert_eq!(here.tag("b", "1"), Some(list));
    let digests = images.iter().map(|image| image["digest"].as_str().unwrap().parse().unwrap()).chain([list]);
    for digest in digests {
        assert_eq!(here.manifest("b", &digest), there.manifest("a", &digest), "bytes and type of {digest}");
    }
    assert_eq!((here.torn(), here.breaches()), (vec![], vec![]));
    // One platform of it is one of Docker's, too.
    let one = crate::service::corten();
    run(&one, &format!("pull {from} --platform linux/arm64")).expect(0);
    run(&one, &format!("push {from} {}/c:1", here.place())).expect(0);
    let pushed = here.tag("c", "1").unwrap();
    assert_eq!(here.manifest("c", &pushed).unwrap().0, docker("distribution.manifest.v2+json"));
    run(&one, "store verify").expect(0);
}

/// As Docker has it: TLS where it is spoken, plain HTTP where not; never without the right certificate.
#[test]
fn a_registry_on_this_machine_is_reached_with_tls_and_without() {
    let lock = || Habits { lock: Lock::Basic("me", "canary"), ..Habits::default() };
    for registry in [secure(lock()), FakeRegistry::start(lock())] {
        add_image(&registry, "team/a", "1");
        let corten = corten();
        let place = registry.place().replace("127.0.0.1", "localhost");
        let auth = json!({"auths": {&place: {"auth": "bWU6Y2FuYXJ5"}}}).to_string();
        fs::create_dir_all(corten.home().join(".docker")).unwrap();
        fs::write(corten.home().join(".docker/config.json"), auth).unwrap();
        let authority = authority(&corten).display().to_string();
        let ran = run(&corten, &format!("-v --ca-file {authority} pull {place}/team/a:1")).expect(0);
        let scheme = if ran.stderr.contains("GET https://") { "https" } else { "http" };
        let told = format!("GET {scheme}://{place}/v2/team/a/manifests/1 → 200");
        assert!(ran.stderr.contains(&told) && !ran.stderr.contains("canary"), "{}", ran.stderr);
        run(&corten, &format!("--ca-file {authority} push {place}/team/a:1 {place}/team/a:2")).expect(0);
        assert!(registry.tag("team/a", "2").is_some());
    }
    let (registry, corten) = (secure(Habits::default()), corten());
    let place = registry.place();
    says(
        &run(&corten, &format!("pull {place}/team/a:1")),
        3,
        &format!("error: pulling {place}/team/a:1: fetching https://{place}/v2/team/a/manifests/1: TLS with {place} failed: invalid peer certificate: UnknownIssuer
hint: is its certificate of an authority of your own? pass that one (PEM): --ca-file FILE, or CORTEN_CA_FILE"),
    );
    // Who says so means it.
    let ran = run(&corten, &format!("pull --plain-http {place} {place}/team/a:1")).expect(3);
    assert!(ran.stderr.contains(&format!("http://{place}/v2/")), "{}", ran.stderr);
}

/// What a registry, or the way to it, can do to a pull: each told as a whole.
#[test]
fn what_keeps_an_image_from_coming_is_told() {
    let registry = FakeRegistry::start(Habits::default());
    let digest = add_image_of(&registry, "a", "1", &[7; 100_000]);
    let manifest = corten_oci::Manifest::parse(&registry.manifest("a", &digest).unwrap().1).unwrap();
    let blobs = [&manifest.layers[0], &manifest.config].map(|blob| blob.digest.short());
    let refuses = |line: &str, registry: Option<&FakeRegistry>, expected: &str| {
        let corten = corten().env("CORTEN_HTTP_TIMEOUT", "1");
        let place = registry.map(FakeRegistry::place).unwrap_or_default();
        let ran = run(&corten, &line.replace("REGISTRY", &place));
        let said = if place.is_empty() { ran.stderr.clone() } else { ran.stderr.replace(&place, "REGISTRY") };
        let error = said.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
        // Of several blobs, whichever fails first.
        let error = blobs.iter().fold(error, |error, blob| error.replace(blob, "BLOB"));
        assert_eq!((ran.status, error.as_str()), (3, expected), "{}", ran.stderr);
    };
    let network = "hint: check the network and the proxy settings; with everything in the store, --offline works";
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    refuses(
        &format!("pull {free}/a:1"),
        None,
        &format!(
            "error: pulling {free}/a:1: fetching http://{free}/v2/a/manifests/1: {free} refuses connections\n{network}"
        ),
    );
    refuses(
        "pull registry.invalid/a:1",
        None,
        &format!(
            "error: pulling registry.invalid/a:1: fetching https://registry.invalid/v2/a/manifests/1: no address found for host registry.invalid\n{network}"
        ),
    );
    let limited = Answer::status(429).header("Retry-After", "3600");
    registry.fault(Kind::Manifest, 9, Fault::Answer(limited));
    refuses(
        "pull REGISTRY/a:1",
        Some(&registry),
        "error: pulling REGISTRY/a:1: 127.0.0.1 answered 429
hint: it wants not to be asked for 60 minutes: log in, where that raises its limits, or try again then",
    );
    assert_eq!(registry.count(Kind::Manifest), 1);
    registry.heal();
    registry.fault(Kind::Blob, 99, Fault::Trouble(Trouble::Silence));
    refuses(
        "pull REGISTRY/a:1",
        Some(&registry),
        "error: downloading blob BLOB from REGISTRY/a: REGISTRY was silent for 1 s, 0 bytes came
hint: run again: what has come is kept, and the download goes on from there",
    );
    registry.heal();
    // Half of the blob, then nothing more, again and again.
    registry.fault(Kind::Blob, 99, Fault::Cut(10));
    refuses(
        "pull REGISTRY/a:1",
        Some(&registry),
        "error: downloading blob BLOB from REGISTRY/a: the connection to REGISTRY broke, 40 bytes came
hint: run again: what has come is kept, and the download goes on from there",
    );
}

#[test]
fn how_long_a_server_may_be_silent_is_a_number_of_seconds() {
    for wrong in ["0", "-1", "soon", "inf", "1e9"] {
        let ran = run(&corten(), &format!("images --http-timeout={wrong}"));
        let said = format!(
            "error: invalid value '{wrong}' for '--http-timeout <SECONDS>': expected seconds, at least 0.01 and at most a day"
        );
        assert!(ran.status == 2 && ran.stderr.starts_with(&said), "{}", ran.stderr);
    }
}

/// Docker Hub's way: nobody is let in without a token, each for what is done.
#[test]
fn a_token_server_gives_tokens_for_what_is_done() {
    let lock = Lock::Bearer { realm: String::new(), user: ("me", "canary"), identity: "", lasts: 99 };
    let registry = FakeRegistry::start(Habits { lock, referrers: true, ..Habits::default() });
    let digest = add_image(&registry, "team/a", "1");
    let (corten, place) = (corten(), registry.place());
    let ran = run(&corten, &format!("pull {place}/team/a:1"));
    assert_eq!(
        (ran.status, ran.stderr.replace(&place, "REGISTRY").trim()),
        (
            3,
            "error: pulling REGISTRY/team/a:1: 127.0.0.1 refuses: it gives no token to somebody without a name (UNAUTHORIZED: unauthorized it is)
hint: log in with `corten login REGISTRY`, as somebody who may do this"
        )
    );
    let login = |password: &str| {
        let mut command = corten.command(corten.home());
        command.args(["login", &place, "-u", "me", "--password-stdin"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
        Ran::from(child.wait_with_output().unwrap())
    };
    let wrong = login("wrong").expect(3).stderr.replace(&place, "REGISTRY");
    assert_eq!(
        wrong.trim(),
        "error: logging in at REGISTRY: 127.0.0.1 refuses: the user or the password is wrong (UNAUTHORIZED: unauthorized it is)
hint: log in with `corten login REGISTRY`, as somebody who may do this"
    );
    login("canary").expect(0);
    run(&corten, &format!("pull {place}/team/a:1")).expect(0);
    run(&corten, &format!("push {place}/team/a:1 {place}/team/b:2")).expect(0);
    assert_eq!((registry.tag("team/b", "2"), registry.breaches()), (Some(digest), vec![]));
    let asked = registry.server().asked();
    let tokens: Vec<&str> =
        asked.iter().filter(|it| it.path.starts_with("/token")).map(|it| it.path.as_str()).collect();
    let wants = |scope: &str| {
        tokens.iter().any(|path| path.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",").contains(scope))
    };
    assert!(wants("repository:team/a:pull") && wants("repository:team/b:pull,push"), "{tokens:?}");
    assert!(!wants("repository:team/a:pull,push"), "no more than is done: {tokens:?}");
}
