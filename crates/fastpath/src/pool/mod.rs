//! Workers that stay: they spin for a moment after their work, then park.
//!
//! A block of a few microseconds' work cannot pay for waking a sleeping thread (tens of
//! microseconds), and a service that waits for its next block must not burn a core. So a worker
//! watches for the next job as long as a wake-up costs, and parks after that.
//!
//! A share of a job is an offer. Whoever called takes back the shares that nobody has begun by the
//! time its own is done, and does them itself: on a busy machine nobody waits for a worker that is
//! not scheduled, and a small job is over before a parked worker wakes.

mod erase;
mod offer;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use erase::Erased;
use offer::Offer;

/// How long a worker watches before it parks.
const WATCH: Duration = Duration::from_micros(60);
/// Turns between two looks at the clock.
const TURNS: u32 = 256;

/// A fixed number of threads, of which the caller is the first.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// One job at a time.
    turn: Mutex<()>,
}

struct Shared {
    /// Counts jobs; a worker runs when it changes.
    generation: AtomicU64,
    job: Mutex<Option<Erased>>,
    /// What each worker is offered.
    offers: Vec<Offer>,
    panicked: AtomicBool,
    over: AtomicBool,
    parked: Vec<AtomicBool>,
}

impl Pool {
    /// A pool of `threads` threads including the caller's. `pin` binds each to a core if it can.
    pub(crate) fn new(threads: usize, pin: bool) -> std::io::Result<Self> {
        let others = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            generation: AtomicU64::new(0),
            job: Mutex::new(None),
            offers: (0..others).map(|_| Offer::none()).collect(),
            panicked: AtomicBool::new(false),
            over: AtomicBool::new(false),
            parked: (0..others).map(|_| AtomicBool::new(false)).collect(),
        });
        // Made first: if a thread is refused, dropping the pool ends those before it.
        let mut pool = Self { shared, workers: Vec::new(), turn: Mutex::new(()) };
        for id in 0..others {
            let shared = Arc::clone(&pool.shared);
            let name = format!("fastpath-{}", id + 1);
            pool.workers.push(thread::Builder::new().name(name).spawn(move || {
                if pin {
                    pin_to(id + 1);
                }
                shared.serve(id);
            })?);
        }
        if pin && others > 0 {
            pin_to(0);
        }
        Ok(pool)
    }

    /// Threads, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `f` with every number below `threads`, side by side, and returns when all are done.
    ///
    /// # Panics
    /// If `f` did, anywhere.
    pub(crate) fn run(&self, threads: usize, f: &(dyn Fn(usize) + Sync)) {
        let others = threads.clamp(1, self.threads()) - 1;
        if others == 0 {
            (0..threads.max(1)).for_each(f);
            return;
        }
        let _turn = crate::sync_lock(&self.turn);
        let shared = &*self.shared;
        erase::scoped(f, |job| {
            *crate::sync_lock(&shared.job) = Some(job);
            let generation = shared.generation.load(Ordering::Relaxed) + 1;
            for offer in &shared.offers[..others] {
                offer.make(generation);
            }
            shared.generation.store(generation, Ordering::SeqCst);
            for (parked, worker) in shared.parked.iter().zip(&self.workers).take(others) {
                if parked.load(Ordering::SeqCst) {
                    Thread::unpark(worker.thread());
                }
            }
            let mut panic = catch_unwind(AssertUnwindSafe(|| f(0))).err();
            for (id, offer) in shared.offers[..others].iter().enumerate() {
                if offer.settle(generation) {
                    let mine = catch_unwind(AssertUnwindSafe(|| f(id + 1)));
                    panic = panic.or(mine.err());
                }
            }
            *crate::sync_lock(&shared.job) = None;
            // Only now may this frame go: nobody else holds the job.
            if let Some(panic) = panic {
                resume_unwind(panic);
            }
        });
        assert!(!shared.panicked.swap(false, Ordering::Relaxed), "a worker panicked");
    }

    /// Lets parked workers watch for a job that comes soon.
    pub(crate) fn wake(&self) {
        self.run(self.threads(), &|_| ());
    }
}

impl Shared {
    fn serve(&self, id: usize) {
        let mut seen = 0;
        loop {
            seen = self.wait(id, seen);
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            if !self.offers[id].begin(seen) {
                // Not needed, or taken back.
                continue;
            }
            let job = *crate::sync_lock(&self.job);
            if let Some(job) = job
                && catch_unwind(AssertUnwindSafe(|| job.call(id + 1))).is_err()
            {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.offers[id].finish(seen);
        }
    }

    /// The next generation after `seen`.
    fn wait(&self, id: usize, seen: u64) -> u64 {
        let start = Instant::now();
        loop {
            for _ in 0..TURNS {
                let now = self.generation.load(Ordering::SeqCst);
                if now != seen {
                    return now;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > WATCH {
                // The flag first, then one more look: whoever changes the generation after the look
                // sees the flag.
                self.parked[id].store(true, Ordering::SeqCst);
                while self.generation.load(Ordering::SeqCst) == seen {
                    thread::park();
                }
                self.parked[id].store(false, Ordering::SeqCst);
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker catches its jobs' panics, so it has none of its own.
            let _ = worker.join();
        }
    }
}

/// Binds the calling thread to core `index`, counted among those it may use.
fn pin_to(index: usize) {
    if let Some(core) = core_affinity::get_core_ids().and_then(|cores| cores.get(index).copied()) {
        core_affinity::set_for_current(core);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn every_number_is_called_once_per_job() {
        let pool = Pool::new(4, false).unwrap();
        for threads in [1, 2, 3, 4, 2, 4] {
            for _ in 0..200 {
                let calls: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
                pool.run(threads, &|i| {
                    calls[i].fetch_add(1, Ordering::Relaxed);
                });
                for (i, calls) in calls.iter().enumerate() {
                    assert_eq!(calls.load(Ordering::Relaxed), usize::from(i < threads));
                }
            }
        }
    }

    #[test]
    fn a_parked_worker_wakes_up() {
        let pool = Pool::new(2, false).unwrap();
        for _ in 0..3 {
            thread::sleep(WATCH * 4);
            let sum = AtomicUsize::new(0);
            pool.run(2, &|i| {
                sum.fetch_add(i + 1, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 3);
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(3, false).unwrap();
        for panicking in 0..3 {
            let run = || {
                pool.run(3, &|i| {
                    if i == panicking {
                        std::panic::resume_unwind(Box::new("on purpose"));
                    }
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
            pool.run(3, &|_| {});
        }
    }
}
