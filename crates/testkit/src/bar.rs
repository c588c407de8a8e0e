//! A bar of the scorecard, seen from its test: short in the test suite, whole under `cargo xtask bar`.
//!
//! ```no_run
//! let bar = corten_testkit::bar::Bar::begin("R6");
//! let mut random = bar.random();
//! for _ in 0..bar.length(10, 500) {
//!     random.below(3);
//! }
//! bar.finish("0 of 500 were lost", true);
//! ```
#![allow(clippy::print_stdout, reason = "its line on standard output is what a bar is for")]

use std::time::Instant;

/// A bar that is being measured.
pub struct Bar {
    name: &'static str,
    seed: u64,
    start: Instant,
}

impl Bar {
    /// `name` is that of the scorecard. The seed is `CORTEN_TEST_SEED`, else another one each time; it is printed.
    pub fn begin(name: &'static str) -> Self {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var("CORTEN_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        // Short enough to be typed.
        let seed = seed.unwrap_or(now % 1_000_000_007);
        println!("{name}: CORTEN_TEST_SEED={seed}");
        Self { name, seed, start: Instant::now() }
    }

    /// Is it to be measured whole?
    pub fn is_whole(&self) -> bool {
        std::env::var("CORTEN_BAR").is_ok_and(|name| name == self.name)
    }

    /// How often: `short` in the test suite, `whole` under `cargo xtask bar`, or as often as that was told.
    pub fn length(&self, short: usize, whole: usize) -> usize {
        let told = std::env::var("CORTEN_BAR_TIMES").ok().and_then(|times| times.parse().ok());
        if self.is_whole() { told.unwrap_or(whole).min(whole) } else { short }
    }

    /// Random numbers, the same for the same seed.
    pub fn random(&self) -> Random {
        Random::new(self.seed)
    }

    /// Says the figure, and fails the test where it misses its target.
    #[track_caller]
    pub fn finish(self, value: impl std::fmt::Display, is_met: bool) {
        let seconds = (self.start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        let line = serde_json::json!({ "value": value.to_string(), "seconds": seconds, "seed": self.seed });
        println!("bar: {line}");
        assert!(is_met, "{}: {value}", self.name);
    }
}

/// Random numbers (xorshift), for tests alone.
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // The first numbers of small seeds are alike.
        (0..8).for_each(|_| {
            random.number();
        });
        random
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 on, less than `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() >> 11).unwrap() % bound.max(1)
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}
