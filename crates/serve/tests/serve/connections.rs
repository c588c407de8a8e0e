//! Hostile clients below the requests: slow ones, many, framing that two readers read differently, TLS; recipes K6, K7, K18,
//! K19 and K20.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use corten_serve::{Exposed, Server, Users};
use corten_store::Store;
use corten_testkit::{client, tls};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::attacks::USERS;
use crate::{Served, basic, options};

/// Opens a connection, says that, and waits until the other side closes it.
fn outlasted(place: &str, said: &[u8]) {
    let mut stream = TcpStream::connect(place).unwrap();
    stream.write_all(said).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn k6_slow_clients_are_outlasted() {
    let served = Served::new(|options| {
        options.limits.header = Duration::from_millis(200);
        options.limits.patience = Duration::from_millis(200);
    });
    let place = &served.place;
    outlasted(place, b"");
    outlasted(place, b"GET /v2/ HTTP/1.1\r\nhost: x\r\nx-slow");
    // After an answer, too.
    outlasted(place, b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n");
    let location = served.begin("a");
    let slow = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx");
    assert_eq!(client::send(place, slow.as_bytes()).status, 408);
    let slow = "PUT /v2/a/manifests/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx";
    assert_eq!(client::send(place, slow.as_bytes()).status, 408);
    // One who takes nothing of what he asked for.
    let layer = vec![b'x'; 32 << 20];
    let digest = served.push_blob("a", &layer);
    let mut idle = TcpStream::connect(place).unwrap();
    idle.write_all(format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
    let open = || {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter(|entry| {
                let path = std::fs::read_link(entry.as_ref().unwrap().path());
                path.is_ok_and(|path| path.ends_with(digest.hex()))
            })
            .count()
    };
    while open() == 0 {}
    while open() > 0 {}
}

#[test]
fn k6_those_who_wait_make_room_for_those_who_ask() {
    let served = Served::new(|options| options.limits.connections = 8);
    served.push("a:1", b"layer");
    let waiting: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&served.place).unwrap();
            // Those who were closed meanwhile cannot write.
            drop(stream.write_all(b"GET /v2/ HTTP/1.1\r\nx: "));
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(served.ask("GET", "/v2/a/manifests/1").status, 200);
    }
    drop(waiting);
}

/// How many answers with this blob are under way here.
fn under_way(digest: &corten_oci::Digest) -> usize {
    let paths = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| std::fs::read_link(entry.unwrap().path()));
    paths.filter(|path| path.as_ref().is_ok_and(|path| path.ends_with(digest.hex()))).count()
}

/// Each of them takes its answer so slowly that it could be patient for hours: a further one costs nothing.
#[test]
fn k6_where_everybody_is_busy_a_further_connection_is_closed() {
    let served = Served::new(|options| options.limits.connections = 4);
    let digest = served.push_blob("a", &vec![b'k'; 32 << 20]);
    let ask = || {
        let mut stream = TcpStream::connect(&served.place).unwrap();
        stream.write_all(format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
        stream
    };
    let mut busy: Vec<TcpStream> = (0..4).map(|_| ask()).collect();
    while under_way(&digest) < 4 {}
    for _ in 0..20 {
        assert_eq!(served.ask("GET", "/v2/").status, 0);
    }
    assert_eq!(under_way(&digest), 4);
    drop(busy.pop());
    while served.ask("GET", "/v2/").status != 200 {}
    assert_eq!(under_way(&digest), 3);
}

/// A body that nobody asked for is read for a moment, however it comes.
#[test]
fn k6_whoever_is_refused_is_not_listened_to_for_an_hour() {
    let served = Served::new(|options| {
        options.users = Some(Users::parse(USERS, [1; 32]).unwrap());
        options.limits.patience = Duration::from_millis(400);
    });
    let mut stream = TcpStream::connect(&served.place).unwrap();
    let head = format!("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 1_u64 << 30);
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let (mut answer, mut pieces) = ([0; 12], 0);
    // Four kilobytes in each twentieth of a second is a pace that pushes may have.
    while stream.read_exact(&mut answer).is_err() {
        pieces += 1;
        assert!(pieces < 200, "still listened to");
        drop(stream.write_all(&[b'x'; 4 << 10]));
    }
    assert_eq!(&answer, b"HTTP/1.1 401");
}

/// A client that trusts the tests' authority, and offers HTTP/2 first.
fn tls_client(place: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls::AUTHORITY).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(connection, TcpStream::connect(place).unwrap())
}

#[test]
fn k7_http_1_1_alone_is_spoken_with_tls_too() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, tls::SERVER).unwrap();
    std::fs::write(&key, tls::SERVER_KEY).unwrap();
    let served = Served::new(|options| {
        options.tls = Some(corten_serve::tls(&chain, &key).unwrap());
        options.users = Some(Users::parse(USERS, [1; 32]).unwrap());
        options.limits.header = Duration::from_millis(300);
    });
    let ask = |header: &str| {
        let mut stream = tls_client(&served.place);
        let head = format!("GET /v2/ HTTP/1.1\r\nhost: localhost\r\n{header}connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
        String::from_utf8(answer).unwrap()
    };
    assert!(ask("").starts_with("HTTP/1.1 401 "));
    assert!(ask(&format!("authorization: {}\r\n", basic("me", "secret"))).starts_with("HTTP/1.1 200 "));
    // Without TLS, nothing is said; and who begins with it and goes no further is outlasted.
    assert_eq!(served.ask("GET", "/v2/").status, 0);
    outlasted(&served.place, b"");
    outlasted(&served.place, b"\x16\x03\x01\x02\x00");
    // The key of somebody else.
    std::fs::write(&key, tls::CLIENT_KEY).unwrap();
    let refused = corten_serve::tls(&chain, &key).unwrap_err().to_string();
    assert!(refused.starts_with(&format!("reading the key in {}: ", key.display())), "{refused}");
}

#[test]
fn k18_nothing_that_is_echoed_can_be_taken_for_a_page() {
    let served = Served::new(|_| {});
    for target in ["/v2/<script>alert(1)</script>/tags/list", "/v2/a/manifests/<b>", "/v2/a/blobs/sha256:<b>"] {
        let got = served.ask("GET", target);
        assert!(got.status >= 400, "{target}");
        if got.status != 400 || got.header("content-type").is_some() {
            assert_eq!(got.header("content-type"), Some("application/json"), "{target}");
            assert_eq!(got.header("x-content-type-options"), Some("nosniff"), "{target}");
        }
    }
}

#[test]
fn k19_requests_that_two_readers_would_split_differently_are_refused() {
    let served = Served::new(|_| {});
    let smuggled = "GET /v2/_catalog HTTP/1.1\r\nhost: x\r\n\r\n";
    let long = "x".repeat(1 << 20);
    for (what, head) in [
        (
            "two lengths",
            format!(
                "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: {}\r\n\r\n{smuggled}",
                smuggled.len()
            ),
        ),
        ("a length that is none", "GET /v2/ HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\n".into()),
        (
            "an unknown coding",
            "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n".into(),
        ),
        ("a folded header", "GET /v2/ HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n".into()),
        ("a space before the colon", "GET /v2/ HTTP/1.1\r\nhost: x\r\ncontent-length : 5\r\n\r\n".into()),
        ("a header of a megabyte", format!("GET /v2/ HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n")),
        ("a path of a megabyte", format!("GET /v2/{long} HTTP/1.1\r\nhost: x\r\n\r\n")),
        ("too many headers", format!("GET /v2/ HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(100))),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
    ] {
        let got = client::send(&served.place, head.as_bytes());
        assert!(got.status >= 400 || got.status == 0, "{what}: {}", got.status);
        assert!(!String::from_utf8_lossy(&got.body).contains("repositories"), "{what}");
    }
    // Length and coding at once: the coding counts, and what follows is not read as a request.
    let both = format!(
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let got = client::send(&served.place, both.as_bytes());
    let answers = String::from_utf8_lossy(&got.body).matches("HTTP/1.1 ").count();
    assert!(got.status == 400 || answers <= 1, "{got:?}");
}

#[test]
fn k20_nobody_else_reaches_a_registry_without_users_and_tls() {
    let bind = |listen: &str, users: bool, exposed: Exposed| {
        let mut options = options();
        options.listen = listen.parse().unwrap();
        options.users = users.then(|| Users::parse(USERS, [1; 32]).unwrap());
        options.exposed = exposed;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        Server::bind(Box::new(move || Store::open(&root)), options, Box::new(|_| ())).map(drop)
    };
    for (listen, users, lacks) in [
        ("0.0.0.0:0", false, "without TLS and without users"),
        ("[::]:0", false, "without TLS and without users"),
        ("0.0.0.0:0", true, "without TLS, so that passwords could be read on the way"),
    ] {
        let refused = bind(listen, users, Exposed::Refused).unwrap_err();
        assert_eq!(refused.to_string(), format!("listening on {listen}: others could reach this registry {lacks}"));
        bind(listen, users, Exposed::Meant).unwrap();
    }
    bind("127.0.0.1:0", false, Exposed::Refused).unwrap();
}
