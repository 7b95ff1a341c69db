//! The offer of one share of a job to one worker. The worker begins it, or the caller takes it
//! back.
//!
//! ```text
//! make            begin            finish
//! ----> OFFERED --------> BEGUN --------> OVER
//!          |                               ^
//!          +-------------------------------+
//!                settle (taken back)
//! ```
//!
//! The word holds the generation of the job and the state. `make` releases the caller's earlier
//! writes to the worker whose `begin` succeeds. `finish` releases the worker's writes to the caller
//! whose `settle` observes it. Jobs have no other memory ordering; it suffices for the plain memory
//! that one job writes and the next reads, such as mailboxes.

use crate::sync::{AtomicU64, Ordering, relax};

const OFFERED: u64 = 0;
const BEGUN: u64 = 1;
const OVER: u64 = 2;

/// Iterations of the waiting loop between two calls of `yield_now`.
#[cfg(not(loom))]
const SPINS: u32 = 4096;

/// The generation of a job, shifted left by two, and the state of the offer in the low bits.
pub(super) struct Offer(AtomicU64);

impl Offer {
    /// The state before the first offer. Generations begin at 1.
    pub(super) fn none() -> Self {
        Self(AtomicU64::new(OVER))
    }

    /// Offers a share of job `generation`. The previous offer must be settled.
    pub(super) fn make(&self, generation: u64) {
        self.0.store(generation << 2 | OFFERED, Ordering::Release);
    }

    /// The worker begins the share. Returns `false` if it was not offered or was taken back.
    pub(super) fn begin(&self, generation: u64) -> bool {
        self.change(generation << 2 | OFFERED, generation << 2 | BEGUN).is_ok()
    }

    /// The worker completes the share that it began.
    pub(super) fn finish(&self, generation: u64) {
        self.0.store(generation << 2 | OVER, Ordering::Release);
    }

    /// Takes the offer back and returns `true`, or waits until the worker that began it has
    /// finished and returns `false`.
    pub(super) fn settle(&self, generation: u64) -> bool {
        let over = generation << 2 | OVER;
        #[cfg(not(loom))]
        let mut turns = 0_u32;
        loop {
            match self.change(generation << 2 | OFFERED, over) {
                Ok(()) => return true,
                Err(state) if state == over => return false,
                Err(_) => {}
            }
            #[cfg(not(loom))]
            {
                turns += 1;
                if turns.is_multiple_of(SPINS) {
                    std::thread::yield_now();
                }
            }
            relax();
        }
    }

    fn change(&self, from: u64, to: u64) -> Result<(), u64> {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }
}

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use crate::exec::shards::Claims;
    use crate::sync::AtomicU32;
    use loom::sync::Arc;

    struct Post {
        generation: AtomicU64,
        offer: Offer,
        claims: Claims,
        /// An entry from each sender, written with relaxed ordering.
        letters: [AtomicU32; 2],
        /// Number of reads of each shard.
        read: [AtomicU32; 2],
    }

    impl Post {
        /// The first job writes entries. The second reads the entries of every shard, the worker's
        /// own shard first.
        fn share(&self, generation: u64, worker: usize) {
            if generation == 1 {
                self.letters[worker].store(7, Ordering::Relaxed);
                return;
            }
            for shard in self.claims.from(worker, 2) {
                let found = self.letters.each_ref().map(|letter| letter.load(Ordering::Relaxed));
                assert_eq!(found, [7, 7], "every letter of the job before is there");
                self.read[shard]
                    .store(self.read[shard].load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
        }
    }

    /// Fails if `finish` or `settle` lacks its ordering, or if two workers can claim one shard.
    #[test]
    fn letters_of_one_job_are_read_once_in_the_next_in_every_interleaving() {
        loom::model(|| {
            let zero = || [AtomicU32::new(0), AtomicU32::new(0)];
            let post = Arc::new(Post {
                generation: AtomicU64::new(0),
                offer: Offer::none(),
                claims: Claims::new(2),
                letters: zero(),
                read: zero(),
            });
            let worker = {
                let post = Arc::clone(&post);
                loom::thread::spawn(move || {
                    let mut seen = 0;
                    while seen < 2 {
                        let now = post.generation.load(Ordering::Acquire);
                        if now == seen {
                            relax();
                            continue;
                        }
                        seen = now;
                        if post.offer.begin(now) {
                            post.share(now, 1);
                            post.offer.finish(now);
                        }
                    }
                })
            };
            for generation in 1..=2 {
                post.offer.make(generation);
                post.generation.store(generation, Ordering::Release);
                post.share(generation, 0);
                if post.offer.settle(generation) {
                    post.share(generation, 1);
                }
            }
            assert_eq!(post.read.each_ref().map(|n| n.load(Ordering::Relaxed)), [1, 1]);
            worker.join().unwrap();
        });
    }
}
