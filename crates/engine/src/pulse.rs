//! The time and content of the last answer of the engine's thread.
//!
//! The heartbeat requests an answer, the engine's thread answers between two messages, and all other
//! threads read the answer. No reader waits for the engine's thread.

use crate::engine::Standing;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Time without an answer after which the engine counts as unresponsive.
///
/// The engine's thread handles a message in microseconds. The longest messages hash or free an input
/// of the largest size, which takes well under a second. Five seconds also allow for an overloaded
/// machine.
const BOUND: Duration = Duration::from_secs(5);

pub(crate) struct Pulse {
    began: Instant,
    bound: Duration,
    /// Milliseconds from `began` to the last answer.
    answered: AtomicU64,
    /// Whether a request to the engine's thread is unanswered.
    asked: AtomicBool,
    /// Whether a query of the engine's thread has timed out since its last answer.
    silent: AtomicBool,
    last: RwLock<(Instant, Arc<Standing>)>,
}

impl Pulse {
    /// `pace`: interval of the heartbeat. `first`: the statistics before the thread starts.
    pub(crate) fn new(pace: Duration, first: Standing) -> Pulse {
        let began = Instant::now();
        Pulse {
            began,
            // With a long heartbeat interval, a late answer is not a fault.
            bound: BOUND.max(pace.saturating_mul(4)),
            answered: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            last: RwLock::new((began, Arc::new(first))),
        }
    }

    /// Marks a request as sent. Returns false if an earlier request is unanswered, so that requests do
    /// not accumulate in the queue.
    pub(crate) fn ask(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }

    /// Stores an answer of the engine's thread.
    pub(crate) fn answer(&self, standing: Standing) {
        let now = Instant::now();
        let last = (now, Arc::new(standing));
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = last;
        let millis = now.duration_since(self.began).as_millis();
        self.answered.store(u64::try_from(millis).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.silent.store(false, Ordering::Relaxed);
        self.asked.store(false, Ordering::Relaxed);
    }

    /// Time since the last answer.
    pub(crate) fn age(&self) -> Duration {
        let answered = Duration::from_millis(self.answered.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(answered)
    }

    /// Whether the last answer is recent enough.
    pub(crate) fn is_responsive(&self) -> bool {
        self.age() < self.bound
    }

    /// Records that a query timed out. Until the next answer, other queries do not wait.
    pub(crate) fn set_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// The statistics of the last answer, with their age.
    pub(crate) fn last(&self) -> Standing {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner).clone();
        Standing { age: last.0.elapsed(), ..(*last.1).clone() }
    }
}
