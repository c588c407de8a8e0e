//! What hangs on an image: rules of section 6.4 (distribution specification, "Listing Referrers" and its fallback).

use corten_oci::{Descriptor, Manifest, MediaType};
use corten_registry::{NoCredentials, PushOptions, RegistryError, push};
use corten_testkit::http::Answer;
use corten_testkit::registry::{FakeRegistry, Fault, Habits, Kind};

use super::{Image, Silent, client, content, image, read, remote, repository, small_image};

/// A bill of materials of the image.
fn bill(of: &Image, name: u8) -> Image {
    let mut bill = image(&[content(name, 10)]);
    let manifest = Manifest {
        artifact_type: Some("application/spdx+json".into()),
        subject: Some(of.root.clone()),
        ..Manifest::parse(&read(&bill)).unwrap()
    };
    let bytes = serde_json::to_vec(&manifest).unwrap();
    bill.root = Descriptor::of(MediaType::MANIFEST, &bytes);
    bill.blobs.insert(bytes);
    bill
}

/// The fake with an image, and what two bills give when they are pushed after it, each `times` times.
fn with_bills(habits: Habits, times: usize) -> (FakeRegistry, Image, Vec<Descriptor>) {
    let (fake, client) = (FakeRegistry::start(habits), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let image = small_image();
    image.push(&to).unwrap();
    for name in [b'x', b'y'] {
        let bill = bill(&image, name);
        for _ in 0..times {
            push(&to, &bill.root, &[], &bill.blobs, &PushOptions::default(), &Silent).unwrap();
        }
        let found = to.referrers(&image.root.digest).unwrap();
        let mine: Vec<_> = found.iter().filter(|one| one.digest == bill.root.digest).collect();
        assert_eq!(mine.len(), 1);
        assert_eq!(mine[0].artifact_type.as_ref().unwrap().0, "application/spdx+json");
    }
    let found = to.referrers(&image.root.digest).unwrap();
    assert_eq!((fake.breaches(), fake.torn()), (vec![], vec![]));
    (fake, image, found)
}

fn tagged(fake: &FakeRegistry, image: &Image) -> bool {
    fake.tag("a", &image.root.digest.to_string().replace(':', "-")).is_some()
}

#[test]
fn s6_4_referrers_by_list_and_by_tag() {
    for referrers in [true, false] {
        let (fake, image, found) = with_bills(Habits { referrers, ..Habits::default() }, 2);
        assert_eq!(found.len(), 2);
        assert_eq!(tagged(&fake, &image), !referrers);
    }
}

#[test]
fn s6_4_a_list_of_referrers_has_pages() {
    let (fake, _, found) = with_bills(Habits { referrers: true, page: Some(1), ..Habits::default() }, 1);
    assert_eq!(found.len(), 2);
    assert!(fake.server().asked().iter().any(|asked| asked.path.ends_with("?from=1")));
}

/// ECR said it once without listing anything (sigstore-js#1183).
#[test]
fn s6_4_an_oci_subject_header_alone_is_not_believed() {
    let (fake, image, found) = with_bills(Habits { pretends_subjects: true, ..Habits::default() }, 1);
    assert_eq!(found.len(), 2);
    assert!(tagged(&fake, &image));
}

/// Who knows no such address says so in many ways, some with a friendly page.
#[test]
fn s6_4_whatever_is_no_list_means_the_tag() {
    let page = || Answer::ok("<html>welcome</html>").header("Content-Type", "text/html; charset=utf-8");
    for unlisted in [Answer::status(400), Answer::status(404), Answer::status(405), Answer::status(406), page()] {
        let (fake, image, found) = with_bills(Habits { unlisted: Some(unlisted), ..Habits::default() }, 1);
        assert_eq!(found.len(), 2);
        assert!(tagged(&fake, &image));
    }
}

/// A registry that is broken for a while lists referrers all the same: no tag is written over its own list.
#[test]
fn s6_4_an_error_is_not_taken_for_a_registry_without_lists() {
    let (fake, client) = (FakeRegistry::start(Habits { referrers: true, ..Habits::default() }), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let image = small_image();
    image.push(&to).unwrap();
    let bill = bill(&image, b'x');
    fake.fault(Kind::Referrers, 9, Fault::Answer(Answer::status(503)));
    let error = push(&to, &bill.root, &[], &bill.blobs, &PushOptions::default(), &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::Status { status: 503, .. }), "{error}");
    assert!(!tagged(&fake, &image));
}

/// Two write the list at the same time: whose is lost writes it again; who never wins is told.
#[test]
fn s6_4_a_list_that_is_lost_is_written_again() {
    let (fake, client) = (FakeRegistry::start(Habits::default()), client());
    let to = remote(&client, &NoCredentials, &repository(&fake, "a"));
    let image = small_image();
    image.push(&to).unwrap();
    let bill = bill(&image, b'x');
    let send = || push(&to, &bill.root, &[], &bill.blobs, &PushOptions::default(), &Silent);
    send().unwrap();
    let list = fake.tag("a", &image.root.digest.to_string().replace(':', "-")).unwrap();
    let kept = fake.manifest("a", &list).unwrap();
    assert!(String::from_utf8(kept.1).unwrap().contains(&bill.root.digest.to_string()));

    let fresh = FakeRegistry::start(Habits::default());
    let to = remote(&client, &NoCredentials, &repository(&fresh, "a"));
    image.push(&to).unwrap();
    let send = || push(&to, &bill.root, &[], &bill.blobs, &PushOptions::default(), &Silent);
    fresh.lose_tags(2);
    send().unwrap();
    assert!(tagged(&fresh, &image));
    let other = FakeRegistry::start(Habits::default());
    let to = remote(&client, &NoCredentials, &repository(&other, "a"));
    image.push(&to).unwrap();
    other.lose_tags(99);
    let error = push(&to, &bill.root, &[], &bill.blobs, &PushOptions::default(), &Silent).unwrap_err();
    assert!(error.to_string().contains("somebody else writes the list again and again"), "{error}");
}
