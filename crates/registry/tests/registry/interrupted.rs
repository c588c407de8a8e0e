//! R12: pushes that are cut. Wherever the registry stops hearing us, after any request or in the middle of any body, it
//! holds no manifest without its blobs, and the next push completes what the first began.

use corten_registry::{NoCredentials, PushOptions};
use corten_testkit::bar::Bar;
use corten_testkit::registry::{FakeRegistry, Habits};

use super::{Image, assert_whole, client, content, image, remote, repository, with_index};

/// Where a push is cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    requests: usize,
    bytes: u64,
}

fn habits(number: usize) -> Habits {
    let habits = || Habits { referrers: number.is_multiple_of(2), mounts: true, ..Habits::default() };
    match number % 4 {
        0 => habits(),
        1 => Habits { absolute: true, no_content: true, ..habits() },
        2 => Habits { largest_piece: Some(4 << 20), ..habits() },
        _ => Habits { stale_range: true, ..habits() },
    }
}

/// What is pushed: its blobs are larger than a piece now and then.
fn some_image(number: usize) -> Image {
    let large = if number % 4 == 2 { 5 << 20 } else { 300_000 };
    let layers = [content(b'a', 1000), content(b'b', 70_000), content(b'c', large)];
    if number.is_multiple_of(3) { with_index(image(&layers)).1 } else { image(&layers) }
}

/// How many requests and bytes a whole push takes.
fn whole(number: usize) -> Cut {
    let (fake, client) = (FakeRegistry::start(habits(number)), client());
    some_image(number).push(&remote(&client, &NoCredentials, &repository(&fake, "a"))).unwrap();
    let asked = fake.server().asked();
    let length = |asked: &corten_testkit::http::Asked| asked.header("content-length")?.parse::<u64>().ok();
    Cut { requests: asked.len(), bytes: asked.iter().filter_map(length).sum() }
}

fn cut_and_complete(number: usize, cut: Cut, jobs: usize) {
    let (fake, client) = (FakeRegistry::start(habits(number)), client());
    let (image, to) = (some_image(number), repository(&fake, "a"));
    fake.dies_after(cut.requests, cut.bytes);
    let options = PushOptions { jobs, ..PushOptions::default() };
    let first = image.push_with(&remote(&client, &NoCredentials, &to), &options);
    assert!(first.is_err(), "{number} {cut:?}: it was not cut");
    assert_eq!((fake.torn(), fake.breaches()), (vec![], vec![]), "{number} {cut:?}");
    fake.heal();
    image.push(&remote(&client, &NoCredentials, &to)).unwrap();
    assert_whole(&fake, "a", &image);
}

#[test]
fn r12_pushes_that_are_cut_leave_nothing_torn_and_the_next_completes_them() {
    let bar = Bar::begin("R12");
    let (all, mut random) = (bar.length(60, 500), bar.random());
    let wholes = [0, 1, 2, 3].map(whole);
    let mut done = 0;
    // After each request of each kind of registry, then anywhere.
    for (number, whole) in wholes.iter().enumerate() {
        for requests in (0..whole.requests).take(all / 6) {
            cut_and_complete(number, Cut { requests, bytes: u64::MAX }, 1);
            done += 1;
        }
    }
    while done < all {
        let number = random.below(12);
        let bytes = random.below(usize::try_from(wholes[number % 4].bytes).unwrap() * 9 / 10);
        cut_and_complete(number, Cut { requests: usize::MAX, bytes: bytes as u64 }, 1 + random.below(4));
        done += 1;
    }
    bar.finish(format!("0 of {done} torn, {done} completed"), done == all);
}
