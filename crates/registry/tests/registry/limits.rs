//! Limits (section 6.6), and known registries with their habits (6.5; played, not asked).

use std::io::Read;
use std::sync::Mutex;

use corten_diagnostic::{Diagnose, Event, Events, Fault as Whose};
use corten_net::{Client, Settings};
use corten_oci::{Descriptor, Digest, MediaType};
use corten_registry::{NoCredentials, PushOptions, RegistryError, Which, push};
use corten_testkit::http::Answer;
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind, known};

use super::{assert_whole, client, content, image, remote, repository, tag};

/// They are as the notes on them say; none was asked.
#[test]
fn s6_5_known_registries_are_pushed_to_and_pulled_from() {
    for (name, habits) in known() {
        let (fake, client) = (FakeRegistry::start(habits), client());
        let image = image(&[content(b'a', 1000), content(b'b', 9 << 20)]);
        fake.add_blob("team/other", &content(b'a', 1000));
        let neighbours = [(image.layers[0].digest, vec![repository(&fake, "team/other")])].into();
        let to = remote(&client, &NoCredentials, &repository(&fake, "team/a"));
        image.push_with(&to, &PushOptions { jobs: 2, neighbours }).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_whole(&fake, "team/a", &image);
        assert_eq!(image.push(&to).unwrap().sent, (0, 0), "{name}");
        assert_eq!(to.resolve(&Which::Tag(tag("1"))).unwrap(), Some(image.root.digest), "{name}");
        assert_eq!(to.tags().unwrap(), ["1", "latest"], "{name}");
        assert_eq!(to.referrers(&image.root.digest).unwrap(), [], "{name}");
        let mut bytes = Vec::new();
        to.blob(&image.layers[1], 0).unwrap().body.read_to_end(&mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes), image.layers[1].digest, "{name}");
    }
}

#[test]
fn s6_6_what_may_pass_is_tried_again_as_often_as_the_settings_say() {
    let dates = [("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Date", "Sun, 06 Nov 1994 08:49:07 GMT")];
    let refusals = [
        Answer::status(429).header("Retry-After", "30"),
        Answer::status(503).header("Retry-After", "120"),
        Answer::status(429).header(dates[0].0, dates[0].1).header(dates[1].0, dates[1].1),
        Answer::status(429).header("Retry-After", "soon"),
        Answer::status(503),
    ];
    for refusal in refusals {
        let (fake, client) = (FakeRegistry::start(Habits::default()), client());
        let from = remote(&client, &NoCredentials, &repository(&fake, "a"));
        fake.fault(Kind::Tags, 3, Fault::Answer(refusal.clone()));
        assert_eq!(from.tags().unwrap(), Vec::<String>::new());
        fake.fault(Kind::Tags, 9, Fault::Answer(refusal));
        assert!(matches!(from.tags(), Err(RegistryError::Status { status: 429 | 503, .. })));
        assert_eq!(fake.count(Kind::Tags), 8, "three retries each");
    }
}

/// Who wants to be left alone for longer than all our pauses is not asked again.
#[test]
fn s6_6_a_pause_that_is_too_long_is_told_and_not_cut_short() {
    for (kind, wait, said) in [(Kind::Tags, "121", "121 seconds"), (Kind::Finish, "3600", "60 minutes")] {
        let (fake, client) = (FakeRegistry::start(Habits::default()), client());
        let at = remote(&client, &NoCredentials, &repository(&fake, "a"));
        fake.fault(kind, 9, Fault::Answer(Answer::status(429).header("Retry-After", wait)));
        let error = match kind {
            Kind::Tags => at.tags().unwrap_err(),
            _ => image(&[content(b'a', 1000)])
                .push_with(&at, &PushOptions { jobs: 1, ..PushOptions::default() })
                .unwrap_err(),
        };
        let hint =
            format!("it wants not to be asked for {said}: log in, where that raises its limits, or try again then");
        assert_eq!(error.hints(), [hint]);
        assert_eq!(fake.count(kind), 1);
    }
}

/// GHCR's ten minutes, before the first byte.
#[test]
fn s6_6_layers_that_have_to_go_up_fast_are_told_before_the_upload() {
    let client = Client::new(Settings { offline: true, ..Settings::default() });
    let warnings = |host: &str, size: u64| {
        let log = Log::default();
        let image = super::image_of(vec![Descriptor::new(MediaType::LAYER_GZIP, Digest::of(b"large"), size)]);
        let to = remote(&client, &NoCredentials, &format!("{host}/team/a").parse().unwrap());
        push(&to, &image.root, &[], &image.blobs, &PushOptions::default(), &log).unwrap_err();
        log.0.into_inner().unwrap()
    };
    let text = format!(
        "ghcr.io ends an upload after 10 minutes: {} of 6.0 GB needs 10.0 MB/s; on a slower line make the layer smaller, or let weights be fetched at start",
        Digest::of(b"large").short()
    );
    assert_eq!(warnings("ghcr.io", 6_000_000_000), [text]);
    assert_eq!(warnings("ghcr.io", 1_200_000_000), [""; 0]);
    assert_eq!(warnings("quay.io", 6_000_000_000), [""; 0]);
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Events for Log {
    fn emit(&self, _: Event<'_>) {}

    fn warning(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// Known limits are told before a byte is sent: the client here could not send any.
#[test]
fn s6_6_layers_that_a_registry_does_not_take_are_told_before_the_upload() {
    let client = Client::new(Settings { offline: true, ..Settings::default() });
    let ecr = "1234.dkr.ecr.eu-central-1.amazonaws.com";
    for (host, limit) in [("ghcr.io", 10_000_000_000_u64), (ecr, 52_000 << 20)] {
        let push = |size: u64| {
            let layer = Descriptor::new(MediaType::LAYER_GZIP, Digest::of(b"large"), size);
            let image = super::image_of(vec![layer]);
            let to = remote(&client, &NoCredentials, &format!("{host}/team/a").parse().unwrap());
            image.push(&to).unwrap_err()
        };
        let error = push(limit + 1);
        let layer = Digest::of(b"large");
        let text = format!("{host} takes no layer above {limit} bytes, {layer} has {}", limit + 1);
        assert!(error.to_string().ends_with(&text), "{error}");
        assert_eq!(error.hints(), ["make the layer smaller: weights can be fetched at start, or split"]);
        assert_eq!(error.fault(), Whose::Input);
        assert!(matches!(push(limit), RegistryError::Net { .. }), "as large as it may be: it is asked");
    }
}

#[test]
fn s6_6_lists_have_a_last_page_and_a_last_entry() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let from = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let tags = vec!["x"; 400_000];
    let many = serde_json::json!({ "tags": tags }).to_string();
    for page in 0..3 {
        let link = format!("</v2/a/tags/list?page={page}>; rel=\"next\"");
        fake.fault(Kind::Tags, 1, Fault::Answer(Answer::ok(many.clone()).header("Link", &link)));
    }
    let error = from.tags().unwrap_err();
    assert!(error.to_string().ends_with("the list has more than 1000000 entries"), "{error}");
}
