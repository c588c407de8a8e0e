//! R12: pushes that are cut. Wherever the registry stops hearing us, after any request or in the middle of any body, it
//! holds no manifest without its blobs, and the next push completes what the first began.
//!
//! `CORTEN_R12=500` cuts so many; else it is a short form of it.

use corten_registry::{NoCredentials, PushOptions};
use corten_testkit::registry::{FakeRegistry, Habits};

use super::{Image, assert_whole, client, content, image, remote, repository, with_index};

/// Pushes that are cut in the normal suite.
const SHORT: usize = 60;

/// Linear congruence (Knuth): the same bytes and cuts in each run, whatever the machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

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
    let asked = std::env::var("CORTEN_R12").ok();
    let all: usize = asked.as_ref().map_or(SHORT, |text| text.parse().unwrap());
    let (mut random, wholes) = (Random(12), [0, 1, 2, 3].map(whole));
    let mut done = 0;
    // After each request of each kind of registry, then anywhere.
    for (number, whole) in wholes.iter().enumerate() {
        for requests in (0..whole.requests).take(all / 4) {
            cut_and_complete(number, Cut { requests, bytes: u64::MAX }, 1);
            done += 1;
        }
    }
    while done < all {
        let number = random.below(12) as usize;
        let whole = wholes[number % 4];
        let bytes = random.below(whole.bytes * 9 / 10);
        cut_and_complete(number, Cut { requests: usize::MAX, bytes }, 1 + random.below(4) as usize);
        done += 1;
    }
    if asked.is_some() {
        println!("R12 {done} pushes cut, 0 torn, {done} completed");
    }
}
