//! Pauses between tries. What a server asks for (`Retry-After`) holds for all that is asked of it, on all threads; our own
//! pauses differ by chance, so that many who were refused together do not come back together.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Settings, Url};

/// Pauses from here on are told.
const LONG: Duration = Duration::from_secs(2);

type Tell = dyn Fn(&str) + Send + Sync;

/// Is told what is waited for, a line each.
#[derive(Clone)]
pub struct Teller(pub Arc<Tell>);

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

/// Until when nothing is asked, by origin.
#[derive(Default)]
pub(crate) struct Pauses {
    until: Mutex<BTreeMap<String, Instant>>,
}

impl Pauses {
    /// Waits until the origin may be asked again.
    pub(crate) fn hold(&self, url: &Url) {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner).get(&url.origin()).copied();
        if let Some(left) = until.and_then(|until| until.checked_duration_since(Instant::now())) {
            std::thread::sleep(left);
        }
    }

    pub(crate) fn wait(&self, url: &Url, asked: Option<Duration>, pause: Duration, settings: &Settings) {
        let pause = asked.unwrap_or_else(|| by_chance(pause, chance())).min(settings.longest_pause);
        if let (Some(_), true, Some(teller)) = (asked, pause >= LONG, &settings.teller) {
            teller.0(&format!("waiting {} s: {} asks for it", pause.as_secs(), url.host()));
        }
        if let (Some(_), Some(end)) = (asked, Instant::now().checked_add(pause)) {
            let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
            let known = until.entry(url.origin()).or_insert(end);
            *known = end.max(*known);
        }
        std::thread::sleep(pause);
    }
}

/// Between three and five quarters of it.
fn by_chance(pause: Duration, chance: u64) -> Duration {
    pause.mul_f64(0.75 + (chance % 1024) as f64 / 2048.0)
}

/// The standard library's only source of chance.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_pauses_differ() {
        let second = Duration::from_secs(1);
        assert_eq!(by_chance(second, 0), Duration::from_millis(750));
        let longest = by_chance(second, u64::MAX);
        assert!(longest > Duration::from_millis(1249) && longest < Duration::from_millis(1250), "{longest:?}");
        assert!((0..8).map(|_| by_chance(second, chance())).collect::<std::collections::BTreeSet<_>>().len() > 1);
    }

    #[test]
    fn what_a_server_asks_for_holds_for_all_and_is_told_and_has_an_end() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let teller = Teller(Arc::new(move |line| log.lock().unwrap().push(line.to_owned())));
        let settings = Settings { longest_pause: Duration::ZERO, teller: Some(teller), ..Settings::default() };
        let url = Url::parse("https://h.example/v2/").unwrap();
        let pauses = Pauses::default();
        pauses.wait(&url, None, Duration::from_secs(100), &settings);
        assert!(pauses.until.lock().unwrap().is_empty(), "nobody asked for it");
        pauses.wait(&url, Some(Duration::from_secs(100_000)), Duration::ZERO, &settings);
        let until = pauses.until.lock().unwrap().clone();
        assert_eq!(until.keys().collect::<Vec<_>>(), ["https://h.example"]);
        assert!(until["https://h.example"] <= Instant::now(), "cut short");
        assert!(told.lock().unwrap().is_empty());
        let slow = Settings { longest_pause: LONG, ..settings.clone() };
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| pauses.wait(&url, Some(LONG), Duration::ZERO, &slow));
            while pauses.until.lock().unwrap()["https://h.example"] < begun + LONG {
                std::thread::yield_now();
            }
            pauses.hold(&url);
            assert!(begun.elapsed() >= LONG);
        });
        assert_eq!(*told.lock().unwrap(), ["waiting 2 s: h.example asks for it"]);
    }
}
