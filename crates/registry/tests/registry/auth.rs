//! Being let in (distribution: "Token Authentication Specification", "Oauth2 Token Authentication").

use corten_diagnostic::Diagnose;
use corten_registry::{Credentials, NoCredentials, RegistryError, Which};
use corten_testkit::http::Server;
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind, Lock};

use super::{Known, assert_whole, client, remote, repository, small_image, tag};

fn bearer(realm: &str, identity: &'static str, lasts: usize) -> Habits {
    let lock = Lock::Bearer { realm: realm.to_owned(), user: ("me", "secret"), identity, lasts };
    Habits { lock, ..Habits::default() }
}

fn me() -> Known {
    Known(Credentials::Basic { user: "me".into(), password: "secret".into() })
}

#[test]
fn a_token_is_fetched_once_for_all_that_it_is_good_for() {
    let (fake, client, me) = (FakeRegistry::start(bearer("", "", 1000)), client(), me());
    let to = remote(&client, &me, &repository(&fake, "team/a"));
    let image = small_image();
    image.push_with(&to, &Default::default()).unwrap();
    assert_whole(&fake, "team/a", &image);
    assert_eq!(fake.count(Kind::Token), 1);
    let asked = fake.server().asked();
    let token = asked.iter().find(|asked| asked.path.starts_with("/token")).unwrap();
    assert!(token.path.contains("service=fake") && token.path.contains("scope=repository:team/a:pull%2Cpush"));
    assert!(
        asked
            .iter()
            .filter(|asked| !asked.path.starts_with("/token"))
            .all(|asked| { !asked.header("authorization").is_some_and(|sent| sent.starts_with("Basic")) })
    );
}

#[test]
fn a_token_that_runs_out_is_fetched_again_in_the_middle() {
    for lasts in 1..6 {
        let (fake, client, me) = (FakeRegistry::start(bearer("", "", lasts)), client(), me());
        let image = small_image();
        image.push(&remote(&client, &me, &repository(&fake, "a"))).unwrap();
        assert_whole(&fake, "a", &image);
    }
}

#[test]
fn identity_tokens_are_exchanged_and_where_that_is_not_known_one_comes_as_nobody() {
    let client = client();
    let fake = FakeRegistry::start(bearer("", "identity", 1000));
    let known = Known(Credentials::IdentityToken("identity".into()));
    small_image().push(&remote(&client, &known, &repository(&fake, "a"))).unwrap();
    assert!(
        fake.server().asked().iter().any(|asked| (asked.method.as_str(), asked.path.as_str()) == ("POST", "/token"))
    );

    let fake = FakeRegistry::start(bearer("", "", 1000));
    let error =
        small_image().push_with(&remote(&client, &known, &repository(&fake, "a")), &Default::default()).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    assert_eq!(fake.server().asked().iter().filter(|asked| asked.path.starts_with("/token?")).count(), 1);
}

#[test]
fn basic_and_the_registrys_own_tokens() {
    let client = client();
    let fake = FakeRegistry::start(Habits { lock: Lock::Basic("me", "secret"), ..Habits::default() });
    let image = small_image();
    image.push(&remote(&client, &me(), &repository(&fake, "a"))).unwrap();
    assert_whole(&fake, "a", &image);

    let own = Known(Credentials::RegistryToken("t0".into()));
    let error = remote(&client, &own, &repository(&fake, "a")).tags().unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    let asked = fake.server().asked();
    assert_eq!(asked.last().unwrap().header("authorization"), Some("Bearer t0"));
}

#[test]
fn who_may_not_come_in_is_told_what_to_do() {
    let client = client();
    for habits in [bearer("", "", 9), Habits { lock: Lock::Basic("me", "secret"), ..Habits::default() }] {
        let fake = FakeRegistry::start(habits);
        let wrong = Known(Credentials::Basic { user: "me".into(), password: "hunter2".into() });
        for error in [
            remote(&client, &NoCredentials, &repository(&fake, "a")).tags().unwrap_err(),
            remote(&client, &wrong, &repository(&fake, "a")).tags().unwrap_err(),
        ] {
            let text = format!("{error} {:?}", error.hints());
            assert!(text.contains("listing the tags of") && text.contains("corten login 127.0.0.1"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn answers_of_token_servers_are_bounded_and_checked() {
    let (client, me) = (client(), me());
    let bad = [
        "[".repeat(1 << 20),
        "{}".to_owned(),
        r#"{"token":""}"#.to_owned(),
        r#"{"token":"a\r\nHost: x"}"#.to_owned(),
        format!(r#"{{"token":"{}"}}"#, "a".repeat(1 << 20)),
    ];
    for body in bad {
        let fake = FakeRegistry::start(bearer("", "", 9));
        fake.fault(Kind::Token, 9, Fault::Answer(corten_testkit::http::Answer::ok(body)));
        let error = remote(&client, &me, &repository(&fake, "a")).tags().unwrap_err();
        assert!(matches!(error, RegistryError::Wrong { .. }), "{error}");
    }
}

/// Recipe C2: a realm that is not the registry's own never learns a password.
#[test]
fn c2_realms_of_others_are_refused_and_both_hosts_named() {
    let (client, me) = (client(), me());
    let other = Server::start(|_| corten_testkit::http::Answer::ok(r#"{"token":"t"}"#));
    let stranger = other.url("/token").replace("127.0.0.1", "127.0.0.2");
    for realm in [stranger.as_str(), "https://attacker.example/token", "file:///etc/passwd", "ftp://127.0.0.1/", ""] {
        let realm = if realm.is_empty() { "relative" } else { realm };
        let fake = FakeRegistry::start(bearer(realm, "", 9));
        let error = remote(&client, &me, &repository(&fake, "a")).manifest(&Which::Tag(tag("1"))).unwrap_err();
        assert!(matches!(error, RegistryError::Unsafe { .. }), "{realm}: {error}");
        let text = error.to_string();
        let host = realm.split("//").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or(realm);
        assert!(text.contains("127.0.0.1") && text.contains(host), "{text}");
    }
    assert!(other.asked().is_empty());
}
