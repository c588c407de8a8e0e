//! Being let in: rules of section 6.1 (distribution: "Token Authentication Specification", "Oauth2 Token Authentication").

use corten_diagnostic::Diagnose;
use corten_registry::{Credentials, NoCredentials, PushOptions, RegistryError};
use corten_testkit::http::Answer;
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind, Lock};

use super::{Known, assert_whole, client, content, remote, repository, small_image};

fn bearer(realm: &str, identity: &'static str, lasts: usize) -> Habits {
    let lock = Lock::Bearer { realm: realm.to_owned(), user: ("me", "secret"), identity, lasts };
    Habits { lock, ..Habits::default() }
}

fn me() -> Known {
    Known(Credentials::Basic { user: "me".into(), password: "secret".into() })
}

#[test]
fn s6_1_a_token_is_fetched_once_for_all_that_it_is_good_for() {
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
fn s6_1_a_token_that_runs_out_in_the_middle_is_fetched_again() {
    // Several at a time use up each other's tokens.
    for (lasts, jobs) in [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (40, 3)] {
        let (fake, client, me) = (FakeRegistry::start(bearer("", "", lasts)), client(), me());
        let image = small_image();
        let options = PushOptions { jobs, ..PushOptions::default() };
        image.push_with(&remote(&client, &me, &repository(&fake, "a")), &options).unwrap();
        assert_whole(&fake, "a", &image);
    }
}

#[test]
fn s6_1_identity_tokens_are_exchanged_and_where_that_is_not_known_one_comes_as_nobody() {
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
fn s6_1_basic_and_the_registrys_own_tokens() {
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
fn s6_1_answers_of_token_servers_are_at_most_64_kib_and_checked() {
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
        fake.fault(Kind::Token, 9, Fault::Answer(Answer::ok(body)));
        let error = remote(&client, &me, &repository(&fake, "a")).tags().unwrap_err();
        assert!(matches!(error, RegistryError::Wrong { .. }), "{error}");
    }
}

#[test]
fn s6_1_of_several_challenges_the_one_that_helps_is_answered() {
    let (fake, client, me) = (FakeRegistry::start(bearer("", "", 1000)), client(), me());
    let realm = fake.server().url("/token");
    let several = format!(r#"Negotiate, Basic realm="a, Bearer \"b\"", Bearer realm="{realm}",service="x, y""#);
    let refusal = Answer::status(401).header("WWW-Authenticate", "Digest nonce=x").header("WWW-Authenticate", &several);
    fake.fault(Kind::Tags, 1, Fault::Answer(refusal));
    remote(&client, &me, &repository(&fake, "a")).tags().unwrap();
    let asked = fake.server().asked();
    let token = asked.iter().find(|asked| asked.path.starts_with("/token")).unwrap();
    assert!(token.path.contains("service=x%2C%20y"), "{}", token.path);
    assert!(asked.last().unwrap().header("authorization").unwrap().starts_with("Bearer "));
}

#[test]
fn s6_1_ecr_wants_basic_of_a_user_called_aws() {
    let (fake, client) =
        (FakeRegistry::start(Habits { lock: Lock::Basic("AWS", "token"), ..Habits::default() }), client());
    let aws = Known(Credentials::of("AWS", "token"));
    let image = small_image();
    image.push(&remote(&client, &aws, &repository(&fake, "a"))).unwrap();
    assert_whole(&fake, "a", &image);
}

#[test]
fn s6_1_a_mount_asks_for_both_repositories_and_a_server_that_honours_the_first_scope_alone_is_enough() {
    for first_scope in [false, true] {
        let (client, me, image) = (client(), me(), small_image());
        let fake = FakeRegistry::start(Habits { mounts: true, first_scope, ..bearer("", "", 1000) });
        fake.add_blob("team/other", &content(b'b', 70_000));
        let neighbours = [(image.layers[1].digest, vec![repository(&fake, "team/other")])].into();
        let options = PushOptions { jobs: 2, neighbours };
        let pushed = image.push_with(&remote(&client, &me, &repository(&fake, "a")), &options).unwrap();
        assert_eq!(pushed.mounted.0, usize::from(!first_scope));
        assert_whole(&fake, "a", &image);
        let asked = fake.server().asked();
        let both = "scope=repository:a:pull%2Cpush&scope=repository:team/other:pull";
        assert!(asked.iter().any(|asked| asked.path.starts_with("/token") && asked.path.contains(both)));
    }
}

#[test]
fn s6_1_where_identity_tokens_cannot_be_posted_they_are_not_sent_otherwise() {
    for status in [404, 405] {
        let (fake, client) = (FakeRegistry::start(bearer("", "identity", 9)), client());
        fake.fault(Kind::Token, 1, Fault::Answer(Answer::status(status)));
        let known = Known(Credentials::IdentityToken("identity".into()));
        let error = remote(&client, &known, &repository(&fake, "a")).tags().unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        let asked = fake.server().asked();
        let tokens: Vec<_> = asked.iter().filter(|asked| asked.path.starts_with("/token")).collect();
        assert_eq!(tokens.iter().map(|asked| asked.method.as_str()).collect::<Vec<_>>(), ["POST", "GET"]);
        assert!(tokens[1].header("authorization").is_none() && !tokens[1].path.contains("identity"));
    }
}

#[test]
fn s6_1_both_names_of_a_token_are_taken() {
    for name in ["token", "access_token"] {
        let (fake, client, me) = (FakeRegistry::start(bearer("", "", 9)), client(), me());
        let body = format!(r#"{{"{name}":"other","expires_in":1}}"#);
        fake.fault(Kind::Token, 1, Fault::Answer(Answer::ok(body)));
        drop(remote(&client, &me, &repository(&fake, "a")).tags());
        let asked = fake.server().asked();
        assert!(asked.iter().any(|asked| asked.header("authorization") == Some("Bearer other")), "{name}");
    }
}

/// A user, a password and a service with letters that mean something in addresses.
#[test]
fn s6_1_what_is_sent_to_token_servers_is_escaped() {
    let (fake, client) = (FakeRegistry::start(bearer("", "a&b=c", 9)), client());
    let realm = fake.server().url("/token?keep=1");
    let refusal = Answer::status(401).header("WWW-Authenticate", &format!(r#"Bearer realm="{realm}",service="a&b#c""#));
    fake.fault(Kind::Tags, 2, Fault::Answer(refusal));
    let known = Known(Credentials::IdentityToken("a&b=c".into()));
    drop(remote(&client, &known, &repository(&fake, "x")).tags());
    let known = Known(Credentials::Basic { user: "m:e&".into(), password: "p\u{e4}".into() });
    drop(remote(&client, &known, &repository(&fake, "x")).tags());
    let asked = fake.server().asked();
    let get = asked.iter().find(|asked| asked.method == "GET" && asked.path.starts_with("/token")).unwrap();
    assert_eq!(get.path, "/token?keep=1&service=a%26b%23c&scope=repository:x:pull");
}
