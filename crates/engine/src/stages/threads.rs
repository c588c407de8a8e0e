//! The same work for many things, on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use corten_diagnostic::Failure;

/// Things that a thread takes at a time.
const CHUNK: usize = 32;

/// Results in the order of the things; the first error that was met ends it.
pub(super) fn each<T: Sync, R: Send>(
    things: &[T],
    jobs: usize,
    work: impl Fn(&T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let chunks = things.len().div_ceil(CHUNK);
    if chunks <= 1 || jobs <= 1 {
        return things.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let one = || -> Result<Vec<(usize, Vec<R>)>, Failure> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(chunk) = things.chunks(CHUNK).nth(at) else { return Ok(done) };
            match chunk.iter().map(&work).collect() {
                Ok(results) => done.push((at, results)),
                Err(failure) => {
                    next.store(chunks, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let results: Vec<Result<_, Failure>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..jobs.min(chunks)).map(|_| scope.spawn(one)).collect();
        let mut results = vec![one()];
        results.extend(
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::bug("a thread died")))),
        );
        results
    });
    let mut all = Vec::with_capacity(chunks);
    for result in results {
        all.append(&mut result?);
    }
    all.sort_unstable_by_key(|(at, _)| *at);
    Ok(all.into_iter().flat_map(|(_, results)| results).collect())
}
