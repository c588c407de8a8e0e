//! Work on several threads whose results come back in the order in which it was given, so that the number of threads
//! changes nothing but the time.
//!
//! A thread starts when there is work that no other thread is free for; one job alone is done where it is asked for.
//! At most [`Pool::full`] jobs are on their way, so memory is bounded by the number of threads.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// More threads than this do not help one layer: inflating its members and hashing its tar are serial.
const MOST_THREADS: usize = 8;

/// What a thread does with one job after another; what it keeps between them must not change a result.
pub(crate) trait Work: Default + 'static {
    type Job: Send + 'static;
    type Done: Send + 'static;

    fn work(&mut self, job: Self::Job) -> io::Result<Self::Done>;
}

type Task<W> = (<W as Work>::Job, SyncSender<io::Result<<W as Work>::Done>>);

/// Threads that start as they are needed, and results that wait to be taken.
pub(crate) struct Pool<W: Work> {
    /// For jobs that are done on the caller's thread.
    here: W,
    most: usize,
    started: usize,
    tasks: Option<Sender<Task<W>>>,
    queue: Option<Arc<Mutex<Receiver<Task<W>>>>>,
    waiting: VecDeque<Waiting<W::Done>>,
    /// How many of `waiting` have been given to threads.
    given: usize,
}

enum Waiting<D> {
    Done(D),
    Coming(Receiver<io::Result<D>>),
}

/// As many threads as there are processors, within reason.
pub(crate) fn processors() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

impl<W: Work> Pool<W> {
    pub(crate) fn new(threads: NonZeroUsize) -> Self {
        let most = threads.get().min(MOST_THREADS);
        Self { here: W::default(), most, started: 0, tasks: None, queue: None, waiting: VecDeque::new(), given: 0 }
    }

    /// Before another job is given, a result must be taken.
    pub(crate) fn full(&self) -> bool {
        self.given > self.most
    }

    /// Is the first result there already? Then it can be taken without waiting.
    pub(crate) fn done_first(&self) -> bool {
        matches!(self.waiting.front(), Some(Waiting::Done(_)))
    }

    /// How many results are to be taken.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Gives a job to a thread; where one thread is all there may be, it is done at once.
    pub(crate) fn push(&mut self, job: W::Job) -> io::Result<()> {
        if self.most == 1 {
            let done = self.here.work(job)?;
            self.waiting.push_back(Waiting::Done(done));
            return Ok(());
        }
        if self.started < self.most && self.started <= self.given {
            self.start()?;
        }
        let (answer, coming) = sync_channel(1);
        let tasks = self.tasks.as_ref().ok_or_else(gone)?;
        tasks.send((job, answer)).map_err(|_| gone())?;
        self.waiting.push_back(Waiting::Coming(coming));
        self.given += 1;
        Ok(())
    }

    /// The last job: done here when nothing else is on its way, which spares small layers a thread.
    pub(crate) fn push_last(&mut self, job: W::Job) -> io::Result<()> {
        if self.given > 0 {
            return self.push(job);
        }
        let done = self.here.work(job)?;
        self.push_done(done);
        Ok(())
    }

    /// Something that needs no work, in its place.
    pub(crate) fn push_done(&mut self, done: W::Done) {
        self.waiting.push_back(Waiting::Done(done));
    }

    /// The next result, in the order of the jobs; none when all have been taken.
    pub(crate) fn next(&mut self) -> io::Result<Option<W::Done>> {
        match self.waiting.pop_front() {
            None => Ok(None),
            Some(Waiting::Done(done)) => Ok(Some(done)),
            Some(Waiting::Coming(coming)) => {
                self.given -= 1;
                coming.recv().unwrap_or_else(|_| Err(gone())).map(Some)
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let queue = match &self.queue {
            Some(queue) => Arc::clone(queue),
            None => {
                let (tasks, queue) = channel();
                let queue = Arc::new(Mutex::new(queue));
                (self.tasks, self.queue) = (Some(tasks), Some(Arc::clone(&queue)));
                queue
            }
        };
        // They end when the pool is dropped, and with it the sender.
        thread::Builder::new().name("compress".to_owned()).spawn(move || serve::<W>(&queue))?;
        self.started += 1;
        Ok(())
    }
}

fn serve<W: Work>(queue: &Mutex<Receiver<Task<W>>>) {
    let mut worker = W::default();
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, answer)) = task else { return };
        // Nobody may wait for it any more: the layer was given up.
        let _ = answer.send(worker.work(job));
    }
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses is gone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Square;

    impl Work for Square {
        type Job = u64;
        type Done = u64;

        fn work(&mut self, job: u64) -> io::Result<u64> {
            if job == 13 { Err(io::Error::other("unlucky")) } else { Ok(job * job) }
        }
    }

    #[test]
    fn results_come_in_order_and_no_more_than_threads_are_on_their_way() {
        for threads in [1, 2, 7] {
            let mut pool = Pool::<Square>::new(NonZeroUsize::new(threads).unwrap());
            let (mut results, mut most) = (Vec::new(), 0);
            for job in 100..400 {
                while pool.full() || pool.waiting.len() > 8 {
                    results.extend(pool.next().unwrap());
                }
                pool.push(job).unwrap();
                most = most.max(pool.given);
            }
            pool.push_last(7).unwrap();
            while let Some(result) = pool.next().unwrap() {
                results.push(result);
            }
            let expected: Vec<u64> = (100..400).chain([7]).map(|job| job * job).collect();
            assert_eq!(results, expected);
            assert!(pool.started <= threads && most <= threads + 1, "{threads} threads: {} {most}", pool.started);
        }
    }

    #[test]
    fn an_error_is_the_answer_of_its_job() {
        let mut pool = Pool::<Square>::new(NonZeroUsize::new(2).unwrap());
        for job in [12, 13, 14] {
            pool.push(job).unwrap();
        }
        assert_eq!(pool.next().unwrap(), Some(144));
        assert!(pool.next().is_err());
        assert_eq!(pool.next().unwrap(), Some(196));
    }
}
