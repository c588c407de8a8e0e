//! Uploads ("Pushing Blobs" of the distribution specification), as registries were seen to do them.

use corten_oci::Digest;
use corten_registry::{NoCredentials, PushOptions, RegistryError};
use corten_testkit::http::Answer;
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind};

use super::{assert_whole, client, content, image, remote, repository, small_image};

/// Bytes that were sent in bodies of a kind of request, by their lengths.
fn lengths(fake: &FakeRegistry, method: &str) -> Vec<u64> {
    let asked = fake.server().asked();
    let uploads = asked.iter().filter(|asked| asked.method == method && asked.path.contains("/blobs/uploads/"));
    uploads.map(|asked| asked.header("content-length").map_or(0, |length| length.parse().unwrap())).collect()
}

#[test]
fn one_put_without_a_range_and_the_query_of_a_location_stays() {
    for absolute in [true, false] {
        let (fake, client) = (FakeRegistry::start(Habits { absolute, ..Habits::default() }), client());
        let image = small_image();
        image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
        assert_whole(&fake, "a", &image);
        assert_eq!((fake.count(Kind::Piece), fake.count(Kind::Finish)), (0, 3));
    }
}

#[test]
fn a_neighbours_blob_is_mounted_and_where_that_is_refused_sent() {
    for mounts in [true, false] {
        let (fake, client) = (FakeRegistry::start(Habits { mounts, ..Habits::default() }), client());
        let image = small_image();
        fake.add_blob("team/other", &content(b'b', 70_000));
        let from = repository(&fake, "team/other");
        let neighbours = [(image.layers[1].digest, vec![from])].into();
        let options = PushOptions { jobs: 2, neighbours };
        let pushed = image.push_with(&remote(&client, &NoCredentials, &repository(&fake, "a")), &options).unwrap();
        assert_eq!(pushed.mounted, if mounts { (1, 70_000) } else { (0, 0) });
        assert_whole(&fake, "a", &image);
        assert_eq!(lengths(&fake, "PUT").contains(&70_000), !mounts);
    }
    let fake = FakeRegistry::start(Habits::default());
    fake.fault(Kind::Mount, 1, Fault::Answer(Answer::status(401)));
    let image = small_image();
    let neighbours = [(image.layers[1].digest, vec![repository(&fake, "nobodys")])].into();
    let client = client();
    image
        .push_with(&remote(&client, &NoCredentials, &repository(&fake, "a")), &PushOptions { jobs: 1, neighbours })
        .unwrap();
    assert_whole(&fake, "a", &image);
}

#[test]
fn a_broken_upload_goes_on_where_it_broke() {
    for stale_range in [false, true] {
        let (fake, client) = (FakeRegistry::start(Habits { stale_range, ..Habits::default() }), client());
        let image = image(&[content(b'x', 300_000)]);
        // The config goes first, whole.
        fake.add_blob("a", br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#);
        fake.fault(Kind::Finish, 1, Fault::HangUp(100_000));
        fake.fault(Kind::Piece, 1, Fault::HangUp(50_000));
        image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
        assert_whole(&fake, "a", &image);
        assert_eq!(lengths(&fake, "PATCH"), [200_000, 150_000]);
        assert_eq!(lengths(&fake, "PUT"), [300_000, 0]);
    }
}

#[test]
fn a_forgotten_upload_begins_again() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let image = image(&[content(b'x', 300_000)]);
    fake.fault(Kind::Finish, 1, Fault::HangUp(100_000));
    fake.fault(Kind::Progress, 1, Fault::Forget);
    image.push_with(&remote(&client, &NoCredentials, &repository(&fake, "a")), &PushOptions::default()).unwrap();
    assert_whole(&fake, "a", &image);
}

#[test]
fn pieces_are_small_where_large_ones_are_refused() {
    let piece = Some(4 << 20);
    let (fake, client) = (FakeRegistry::start(Habits { largest_piece: piece, ..Habits::default() }), client());
    let image = image(&[content(b'x', 9 << 20)]);
    image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
    assert_whole(&fake, "a", &image);
    assert_eq!(lengths(&fake, "PATCH"), [4 << 20, 4 << 20, 1 << 20]);
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_told_with_the_registrys_words() {
    let busy = || Fault::Answer(Answer::status(503).header("Retry-After", "1"));
    for kind in [Kind::HasBlob, Kind::Begin, Kind::Finish, Kind::PutManifest, Kind::Referrers] {
        let (fake, client) = (FakeRegistry::start(Habits::default()), client());
        let image = small_image();
        fake.fault(kind, 2, busy());
        image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
        assert_whole(&fake, "a", &image);
    }
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let denied = Answer { status: 400, ..Answer::ok(r#"{"errors":[{"code":"QUOTA","message":"full\u001b[31m up"}]}"#) };
    fake.fault(Kind::Begin, 9, Fault::Answer(denied));
    let error = small_image().push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap_err();
    let place = repository(&fake, "a");
    assert_eq!(error.to_string(), format!("pushing a blob to {place}: 127.0.0.1 answered 400 (QUOTA: full[31m up)"));
    assert_eq!(fake.count(Kind::PutManifest), 0);
}

#[test]
fn a_registry_that_changes_what_it_takes_is_told() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let other = Digest::of(b"other").to_string();
    fake.fault(Kind::PutManifest, 1, Fault::Header("Docker-Content-Digest", other.clone()));
    let error = small_image().push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap_err();
    assert!(matches!(&error, RegistryError::Wrong { why, .. } if why.contains(&other)), "{error}");
}

/// R12: a push that is cut anywhere leaves no name without its blobs, and the next one completes it.
#[test]
fn r12_pushes_that_are_cut_leave_nothing_torn() {
    let image = small_image();
    for at in 0..40 {
        let (fake, client) = (FakeRegistry::start(Habits::default()), client());
        let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
        let kinds = [Kind::HasBlob, Kind::Begin, Kind::Finish, Kind::PutManifest];
        let kind = kinds[at % kinds.len()];
        let fault = match at % 3 {
            0 => Fault::Answer(Answer::status(403)),
            1 => Fault::Answer(Answer::status(500).cut(0)),
            _ => Fault::HangUp(7 * at as u64),
        };
        fake.fault(kind, 99, fault);
        let first = image.push_with(&to, &PushOptions { jobs: 1 + at % 3, ..PushOptions::default() });
        assert_eq!(fake.torn(), vec![], "{at}: {first:?}");
        fake.heal();
        image.push(&to).unwrap();
        assert_whole(&fake, "a", &image);
    }
}
