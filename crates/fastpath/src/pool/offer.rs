//! One share of one job, offered to one worker: begun by it, or taken back by whoever offered it.
//!
//! The word holds the job's generation and how far the offer got. Making an offer releases what
//! came before it to the worker that begins; ending one releases what the worker did to the caller
//! that settles. That is all the ordering that the jobs have: what one job leaves in plain memory,
//! such as letters in mailboxes, the next job finds there.

use crate::sync::{AtomicU64, Ordering, relax};

const OFFERED: u64 = 0;
const BEGUN: u64 = 1;
const OVER: u64 = 2;

/// Turns of the waiting loop before the core is offered to others.
#[cfg(not(loom))]
const SPINS: u32 = 4096;

/// See the module.
pub(super) struct Offer(AtomicU64);

impl Offer {
    /// No offer yet; generations begin at 1.
    pub(super) fn none() -> Self {
        Self(AtomicU64::new(OVER))
    }

    /// Offers a share of job `generation`. The offer before must be settled.
    pub(super) fn make(&self, generation: u64) {
        self.0.store(generation << 2 | OFFERED, Ordering::Release);
    }

    /// The worker begins; `false` if it is not wanted, or was too late.
    pub(super) fn begin(&self, generation: u64) -> bool {
        self.change(generation << 2 | OFFERED, generation << 2 | BEGUN).is_ok()
    }

    /// The worker has done what it began.
    pub(super) fn finish(&self, generation: u64) {
        self.0.store(generation << 2 | OVER, Ordering::Release);
    }

    /// Takes the offer back, which gives `true`, or waits until the worker that began is done.
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
        /// A letter from each sender, left without any ordering of its own.
        letters: [AtomicU32; 2],
        /// Letters read in each shard.
        read: [AtomicU32; 2],
    }

    impl Post {
        /// The first job leaves letters, the second reads those of every shard, its own first.
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

    /// A finish or a settle without its ordering, or a shard that two may take, fails here.
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
