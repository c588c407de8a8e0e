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
fn s6_2_one_put_without_a_range_and_the_query_of_a_location_stays() {
    for absolute in [true, false] {
        let (fake, client) = (FakeRegistry::start(Habits { absolute, ..Habits::default() }), client());
        let image = small_image();
        image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
        assert_whole(&fake, "a", &image);
        assert_eq!((fake.count(Kind::Piece), fake.count(Kind::Finish)), (0, 3));
    }
}

#[test]
fn s6_2_a_neighbours_blob_is_mounted_and_where_that_is_refused_sent() {
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
fn s6_2_a_broken_upload_goes_on_where_it_broke_also_where_patch_is_answered_with_201_and_an_old_range() {
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
fn s6_2_a_forgotten_upload_begins_again() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let image = image(&[content(b'x', 300_000)]);
    fake.fault(Kind::Finish, 1, Fault::HangUp(100_000));
    fake.fault(Kind::Progress, 1, Fault::Forget);
    image.push_with(&remote(&client, &NoCredentials, &repository(&fake, "a")), &PushOptions::default()).unwrap();
    assert_whole(&fake, "a", &image);
}

#[test]
fn s6_2_pieces_are_small_where_large_ones_are_refused() {
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
fn s6_2_the_own_digest_is_compared_with_what_the_registry_calls_a_manifest() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let other = Digest::of(b"other").to_string();
    fake.fault(Kind::PutManifest, 1, Fault::Header("Docker-Content-Digest", other.clone()));
    let error = small_image().push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap_err();
    assert!(matches!(&error, RegistryError::Wrong { why, .. } if why.contains(&other)), "{error}");
}

#[test]
fn s6_2_pieces_are_as_large_as_the_registry_wants_them() {
    let smallest_piece = Some(6 << 20);
    let habits = Habits { smallest_piece, largest_piece: Some(8 << 20), ..Habits::default() };
    let (fake, client) = (FakeRegistry::start(habits), client());
    let image = image(&[content(b'x', 13 << 20)]);
    image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
    assert_whole(&fake, "a", &image);
    assert_eq!(lengths(&fake, "PATCH"), [6 << 20, 6 << 20, 1 << 20]);
    let nonsense = ["-1", "x", "99999999999999999999999"];
    for least in nonsense {
        let fake = FakeRegistry::start(Habits { largest_piece: Some(4 << 20), ..Habits::default() });
        fake.fault(Kind::Begin, 9, Fault::Header("OCI-Chunk-Min-Length", least.to_owned()));
        image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
        assert_whole(&fake, "a", &image);
    }
}

/// Aliyun says how much of a piece has arrived, not how much of all (regclient#627).
#[test]
fn s6_2_ranges_that_are_relative_to_a_piece_mislead_nobody() {
    let habits = Habits { relative_range: true, largest_piece: Some(4 << 20), ..Habits::default() };
    let (fake, client) = (FakeRegistry::start(habits), client());
    let image = image(&[content(b'x', 9 << 20)]);
    image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
    assert_whole(&fake, "a", &image);
}

#[test]
fn s6_2_an_upload_ends_with_201_or_204() {
    for no_content in [true, false] {
        let (fake, client) = (FakeRegistry::start(Habits { no_content, ..Habits::default() }), client());
        let image = small_image();
        image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
        assert_whole(&fake, "a", &image);
    }
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    fake.fault(Kind::Finish, 9, Fault::Answer(Answer::status(202)));
    let error = small_image().push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap_err();
    assert!(error.to_string().ends_with("127.0.0.1 answered 202"), "{error}");
}

/// Harbor says 401 of a repository that is not there, others 404, 405 or 400; Artifactory never mounts.
#[test]
fn s6_2_every_refusal_of_a_mount_means_to_send_it() {
    for status in [400, 401, 403, 404, 405, 500] {
        let (fake, client) =
            (FakeRegistry::start(Habits { refuses_mounts: Some(status), ..Habits::default() }), client());
        let image = small_image();
        let neighbours = [(image.layers[1].digest, vec![repository(&fake, "nobodys")])].into();
        let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
        let pushed = image.push_with(&to, &PushOptions { jobs: 1, neighbours }).unwrap();
        assert_eq!((pushed.mounted.0, pushed.sent.0), (0, 3), "{status}");
        assert_whole(&fake, "a", &image);
    }
}

#[test]
fn s6_2_after_4xx_and_5xx_an_upload_goes_on_where_the_registry_is() {
    for status in [404, 408, 416, 429, 500, 502, 503, 504] {
        let (fake, client) =
            (FakeRegistry::start(Habits { largest_piece: Some(4 << 20), ..Habits::default() }), client());
        let image = image(&[content(b'x', 9 << 20)]);
        // Taken, and answered as if it were not.
        fake.fault(Kind::Piece, 1, Fault::Status(status));
        image.push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
        assert_whole(&fake, "a", &image);
        assert_eq!(lengths(&fake, "PATCH"), [4 << 20, 4 << 20, 1 << 20], "{status}: no byte twice");
    }
}

#[test]
fn s6_2_config_and_layers_then_manifests_then_the_index_then_the_tag() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let (image, index) = super::with_index(small_image());
    super::push(
        &to,
        &index.root,
        &[super::tag("1")],
        &index.blobs,
        &PushOptions { jobs: 3, ..Default::default() },
        &super::Silent,
    )
    .unwrap();
    let asked = fake.server().asked();
    let puts: Vec<&str> =
        asked.iter().filter(|asked| asked.method == "PUT").map(|asked| asked.path.split('?').next().unwrap()).collect();
    assert!(puts[..3].iter().all(|path| path.contains("/blobs/uploads/")), "{puts:?}");
    assert_eq!(puts[3..], [format!("/v2/a/manifests/{}", image.root.digest), "/v2/a/manifests/1".to_owned()]);
    assert_eq!(fake.tag("a", "1"), Some(index.root.digest));
}

#[test]
fn s6_2_a_blob_that_arrives_as_another_is_no_success() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let other = Digest::of(b"other").to_string();
    fake.fault(Kind::Finish, 9, Fault::Header("Docker-Content-Digest", other.clone()));
    let error = small_image().push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap_err();
    assert!(matches!(&error, RegistryError::Wrong { why, .. } if why.contains(&other)), "{error}");
    assert_eq!(fake.count(Kind::PutManifest), 0);
}
