//! The client against servers that behave badly: redirects, refusals, broken bodies, wrong certificates.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use corten_diagnostic::Diagnose;
use corten_net::{Client, NetError, Request, Settings};
use corten_testkit::http::{Answer, Server};

const AUTHORITY: &[u8] = include_bytes!("data/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("data/server.pem");
const KEY: &[u8] = include_bytes!("data/server.key");

/// Retries at once: no test sleeps.
fn settings() -> Settings {
    Settings { pause: Duration::ZERO, longest_pause: Duration::ZERO, ..Settings::default() }
}

fn client() -> Client {
    Client::new(settings())
}

fn failure(client: &Client, url: &str) -> NetError {
    client.bytes(&Request::get(url), 1000).unwrap_err()
}

fn tls() -> rustls::ServerConfig {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

#[test]
fn a_document_comes_with_its_headers() {
    let server = Server::start(|_| Answer::ok("hello").header("ETag", "x"));
    let response = client().send(&Request::get(&server.url("/a?b")).header("Accept", "text/plain")).unwrap();
    assert_eq!((response.status, response.length(), response.header("etag")), (200, Some(5), Some("x")));
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/a?b");
    assert_eq!(asked.header("accept"), Some("text/plain"));
    assert!(asked.header("user-agent").unwrap().starts_with("corten/"));
    assert_eq!(asked.header("authorization"), None);
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    for (status, tries) in [(503, 4), (429, 4), (502, 4), (504, 4), (404, 1), (500, 1), (401, 1)] {
        let server = Server::start(move |_| Answer::status(status));
        let error = failure(&client(), &server.url("/x"));
        assert!(matches!(error, NetError::Status { status: seen, .. } if seen == status), "{error}");
        assert_eq!(server.count("/x"), tries, "{status}");
    }
    let tries = AtomicU32::new(0);
    let server = Server::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::status(503).header("Retry-After", "3600"),
        _ => Answer::ok("at last"),
    });
    assert_eq!(client().bytes(&Request::get(&server.url("/")), 100).unwrap(), b"at last");
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_asked_for_again() {
    let tries = AtomicU32::new(0);
    let server = Server::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::ok("0123456789").cut(4),
        _ => Answer::ok("0123456789"),
    });
    let mut bytes = Vec::new();
    let mut response = client().send(&Request::get(&server.url("/"))).unwrap();
    assert!(response.body.read_to_end(&mut bytes).is_err());
    assert_eq!(bytes, b"0123");
    assert_eq!(client().bytes(&Request::get(&server.url("/")), 100).unwrap(), b"0123456789");
    let always = Server::start(|_| Answer::ok("0123456789").cut(4));
    let error = failure(&client(), &always.url("/"));
    assert!(error.to_string().contains("broke"), "{error}");
}

#[test]
fn nothing_longer_than_the_cap_is_taken() {
    let server = Server::start(|_| Answer::ok(vec![b'x'; 1001]));
    assert!(matches!(failure(&client(), &server.url("/")), NetError::TooLong { limit: 1000, .. }));
    assert!(client().bytes(&Request::get(&server.url("/")), 1001).is_ok());
}

#[test]
fn ranges_begin_where_asked_or_are_refused() {
    let server = Server::start(|_| Answer::ok("0123456789"));
    let url = server.url("/");
    let mut response = client().send(&Request { from: 4, ..Request::get(&url) }).unwrap();
    let mut text = String::new();
    response.body.read_to_string(&mut text).unwrap();
    assert_eq!((response.status, text.as_str()), (206, "456789"));
    let lying = Server::start(|_| {
        Answer { status: 206, ..Answer::ok("x") }.header("Content-Range", "bytes 0-0/1").without_ranges()
    });
    let error = client().send(&Request { from: 4, ..Request::get(&lying.url("/")) }).err().unwrap();
    assert!(error.to_string().contains("from 4 on"), "{error}");
}

#[test]
fn a_password_goes_to_its_own_host_only_and_is_never_shown() {
    let other = Server::start(|_| Answer::ok("there"));
    let there = other.url("/there");
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/away" => Answer::redirect(302, &there),
        "/home" => Answer::redirect(307, "/arrived"),
        "/arrived" => Answer::ok("here"),
        _ => Answer::status(404),
    });
    let with_user = |path: &str| server.url(path).replace("http://", "http://me:secret@");
    assert_eq!(client().bytes(&Request::get(&with_user("/home")), 100).unwrap(), b"here");
    assert_eq!(client().bytes(&Request::get(&with_user("/away")), 100).unwrap(), b"there");
    let token = with_user("/away");
    let token = Request::get(&token).header("Authorization", "Bearer secret");
    client().bytes(&token, 100).unwrap();
    assert!(server.asked().iter().all(|asked| asked.header("authorization").is_some()));
    assert_eq!(server.asked()[0].header("authorization"), Some("Basic bWU6c2VjcmV0"));
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
    let error = failure(&client(), &with_user("/missing"));
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

/// Hosts are those of the netrc; both servers are 127.0.0.1, and yet two origins.
#[test]
fn logins_go_to_whoever_was_asked_and_not_where_it_leads() {
    let other = Server::start(|_| Answer::ok("files"));
    let target = other.url("/x");
    let server = Server::start(move |asked| match asked.header("authorization") {
        Some("Basic bWU6c2VjcmV0") => Answer::redirect(302, &target),
        _ => Answer::status(401),
    });
    let login = corten_net::Login { host: "127.0.0.1".into(), user: "me".into(), password: "secret".into() };
    let netrc = Client::new(Settings { logins: vec![login], ..settings() });
    let known = client();
    let shown = known.know(&server.url("/simple").replace("http://", "http://me:secret@"));
    assert_eq!(shown, server.url("/simple"));
    let asker = corten_net::Asker(Arc::new(|_, _| Some(("me".to_owned(), "secret".to_owned()))));
    let asking = Client::new(Settings { asker: Some(asker), ..settings() });
    for client in [netrc, known, asking] {
        assert_eq!(client.bytes(&Request::get(&server.url("/simple/x/")), 100).unwrap(), b"files");
    }
    assert_eq!((server.asked().len(), other.asked().len()), (4, 3), "only who asks is refused once");
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
    let wrong = corten_net::Asker(Arc::new(|_, _| Some(("me".to_owned(), "wrong".to_owned()))));
    let error = failure(&Client::new(Settings { asker: Some(wrong), ..settings() }), &server.url("/x"));
    assert!(matches!(error, NetError::Status { status: 401, .. }), "{error}");
}

#[test]
fn five_redirects_are_followed_and_no_more() {
    let server = Server::start(|asked| match asked.path[1..].parse::<u32>().unwrap() {
        0 => Answer::ok("end"),
        left => Answer::redirect(301, &format!("/{}", left - 1)),
    });
    assert!(client().bytes(&Request::get(&server.url("/5")), 100).is_ok());
    let error = failure(&client(), &server.url("/6"));
    assert!(error.to_string().contains("redirects"), "{error}");
}

#[test]
fn a_certificate_is_trusted_only_when_its_authority_is() {
    let plain = Server::start(|_| Answer::ok("plain"));
    let down = plain.url("/");
    let server = Server::start_tls(tls(), move |asked| match asked.path.as_str() {
        "/down" => Answer::redirect(302, &down),
        _ => Answer::ok("safe"),
    });
    let trusting = Client::new(Settings { certificate_authorities: AUTHORITY.to_vec(), ..settings() });
    assert_eq!(trusting.bytes(&Request::get(&server.url("/")), 100).unwrap(), b"safe");
    let error = failure(&trusting, &server.url("/down"));
    assert!(error.to_string().contains("from https to http"), "{error}");
    assert!(plain.asked().is_empty());
    let error = failure(&client(), &server.url("/"));
    assert!(error.to_string().contains("TLS with localhost"), "{error}");
    assert!(error.hints()[0].contains("--ca-file"), "{:?}", error.hints());
}

#[test]
fn errors_say_what_cannot_be_reached_and_what_to_try() {
    let server = Server::start(|_| Answer::ok(""));
    let url = server.url("/x");
    drop(server);
    let error = failure(&client(), &url);
    assert!(error.to_string().contains("refuses connections"), "{error}");
    assert!(!error.hints().is_empty());
    let error = failure(&client(), "http://no-such-host.invalid/x");
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    let offline = Client::new(Settings { offline: true, ..settings() });
    assert!(matches!(failure(&offline, &url), NetError::Offline { .. }));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hasty = Client::new(Settings { timeout: Duration::from_millis(50), retries: 0, ..settings() });
    let error = failure(&hasty, &format!("http://{}/", silent.local_addr().unwrap()));
    assert!(error.to_string().contains("silent for 0.05 s"), "{error}");
}

#[test]
fn a_proxy_is_used_but_for_the_hosts_that_are_reached_directly() {
    let server = Server::start(|_| Answer::ok("direct"));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxied = |no_proxy: Vec<String>| Settings {
        plain_proxy: Some(format!("http://{gone}")),
        no_proxy,
        retries: 0,
        ..settings()
    };
    let direct = Client::new(proxied(vec!["127.0.0.0/8".to_owned()]));
    assert_eq!(direct.bytes(&Request::get(&server.url("/")), 100).unwrap(), b"direct");
    failure(&Client::new(proxied(Vec::new())), &server.url("/"));
    // A proxy is for its scheme.
    let other = Settings { plain_proxy: None, proxy: Some(format!("http://{gone}")), ..proxied(Vec::new()) };
    assert_eq!(Client::new(other).bytes(&Request::get(&server.url("/")), 100).unwrap(), b"direct");
    assert_eq!(server.count("/"), 2);
    // One that speaks SOCKS is spoken to, too.
    for scheme in ["socks4", "socks5", "socks5h"] {
        let socks = Settings { plain_proxy: Some(format!("{scheme}://{gone}")), ..proxied(Vec::new()) };
        failure(&Client::new(socks), &server.url("/"));
    }
}
