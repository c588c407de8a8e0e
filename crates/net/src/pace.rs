//! A body on its way. Who sends a byte now and then, so that no read ever waits long, holds nobody up for ever.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use crate::error::explain_io;

/// Bytes for each second of the timeout that must come in it.
const LEAST_PER_SECOND: u64 = 100;

/// Ends with an error where the connection broke before `Content-Length`, or where next to nothing comes.
pub struct Body {
    reader: Box<dyn Read + Send>,
    place: String,
    pace: Pace,
}

impl Body {
    pub(crate) fn new(body: ureq::Body, place: String, timeout: Duration) -> Self {
        let reader = Box::new(body.into_with_config().limit(u64::MAX).reader());
        Self { reader, place, pace: Pace { window: timeout, waited: Duration::ZERO, came: 0 } }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let asked = Instant::now();
        let read = self.reader.read(buffer);
        let read =
            read.map_err(|error| io::Error::new(error.kind(), explain_io(&error, &self.place, self.pace.window)))?;
        match read == 0 || self.pace.keeps_up(asked.elapsed(), read) {
            true => Ok(read),
            false => {
                let (place, came, window) = (&self.place, self.pace.came, self.pace.window.as_secs_f32());
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("{place} sent {came} bytes in {window} s")))
            }
        }
    }
}

/// How much came while it was waited for. Time in which nobody asked does not count: the disk may be slow, too.
struct Pace {
    window: Duration,
    waited: Duration,
    came: u64,
}

impl Pace {
    /// `false`: next to nothing has come in a whole window of waiting.
    fn keeps_up(&mut self, waited: Duration, came: usize) -> bool {
        self.waited += waited;
        self.came += came as u64;
        if self.waited < self.window {
            return true;
        }
        let enough = self.came as f64 >= self.window.as_secs_f64() * LEAST_PER_SECOND as f64;
        if enough {
            (self.waited, self.came) = (Duration::ZERO, 0);
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_ends_and_a_slow_line_does_not() {
        let pace = || Pace { window: Duration::from_secs(30), waited: Duration::ZERO, came: 0 };
        let reads = |bytes: usize| {
            let mut pace = pace();
            (0..1000).find(|_| !pace.keeps_up(Duration::from_secs(1), bytes))
        };
        assert_eq!(reads(1), Some(29), "a byte a second");
        assert_eq!(reads(99), Some(29));
        assert_eq!(reads(100), None, "a modem of 1988");
        assert!(pace().keeps_up(Duration::from_secs(29), 1), "one pause");
    }
}
