//! A pool of persistent workers, which spin for a moment after their work and then park.
//!
//! Waking a parked thread takes tens of microseconds. That is too long for a block of a few
//! microseconds' work, but a service that waits for its next block must not keep a core busy. A
//! worker therefore polls for the next job for about the duration of a wake-up, and parks
//! afterwards.
//!
//! Each worker is offered one share of a job. When the caller has done its own share, it takes back
//! the offers that no worker has begun and executes those shares itself. On a busy machine no job
//! waits for a worker that is not scheduled, and a small job ends before a parked worker wakes.

mod erase;
mod offer;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use erase::Erased;
use offer::Offer;

/// How long a worker polls before it parks.
const WATCH: Duration = Duration::from_micros(60);
/// Iterations of the polling loop between two clock reads.
const TURNS: u32 = 256;

/// A fixed number of threads. The calling thread is the first.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a job: the pool executes one job at a time.
    turn: Mutex<()>,
}

struct Shared {
    /// The number of jobs so far. A worker looks at its offer when it changes.
    generation: AtomicU64,
    job: Mutex<Option<Erased>>,
    /// One offer per worker.
    offers: Vec<Offer>,
    panicked: AtomicBool,
    over: AtomicBool,
    parked: Vec<AtomicBool>,
}

impl Pool {
    /// Creates a pool of `threads` threads, including the caller's. `pin` pins each to a core where
    /// the system allows it.
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
        // Created before the threads: if one cannot be started, the drop of the pool ends the
        // earlier ones.
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

    /// Number of threads, including the caller's.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `f` with every number below `threads`, in parallel where workers are free, and returns
    /// when all calls are done. `threads` is limited to the size of the pool, except for a pool of
    /// one thread.
    ///
    /// # Panics
    /// If a call of `f` panicked on any thread.
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
            // The closure can go out of scope from here on: every offer is settled, so no worker
            // holds it.
            if let Some(panic) = panic {
                resume_unwind(panic);
            }
        });
        assert!(!shared.panicked.swap(false, Ordering::Relaxed), "a worker panicked");
    }

    /// Makes parked workers poll again, before a job that is expected soon.
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
                // The job needs fewer workers, or the offer was taken back.
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

    /// Waits for a generation other than `seen` and returns it.
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
                // The flag is stored before the generation is loaded again. A thread that changes
                // the generation after this load therefore sees the flag and unparks this worker.
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
            // A worker catches the panics of its jobs, so `join` returns no panic.
            let _ = worker.join();
        }
    }
}

/// Pins the calling thread to core `index` of the cores that it may use.
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
