//! When the engine's thread last answered, and what it knew then.
//!
//! The heartbeat asks, the engine's thread answers between two messages, and everybody else reads: nobody has to
//! wait for a thread that does not answer.

use crate::engine::Standing;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Without an answer for this long, the engine counts as unresponsive.
///
/// Its thread handles a message in microseconds; the longest ones hash or free an input of the largest size, which
/// takes well under a second. Five seconds leave room for a machine that is short of processors.
const BOUND: Duration = Duration::from_secs(5);

pub(crate) struct Pulse {
    began: Instant,
    bound: Duration,
    /// Milliseconds from `began` to the last answer.
    answered: AtomicU64,
    /// Whether the engine's thread was asked and has not answered.
    asked: AtomicBool,
    /// Whether somebody waited for the engine's thread in vain since its last answer.
    silent: AtomicBool,
    last: RwLock<(Instant, Arc<Standing>)>,
}

impl Pulse {
    /// For a heartbeat of that pace; `first` is what is known before the thread starts.
    pub(crate) fn new(pace: Duration, first: Standing) -> Pulse {
        let began = Instant::now();
        Pulse {
            began,
            // A heartbeat that asks more seldom than that is no sign of a fault.
            bound: BOUND.max(pace.saturating_mul(4)),
            answered: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            last: RwLock::new((began, Arc::new(first))),
        }
    }

    /// Whether to ask now: not while an earlier question waits, so that the queue does not grow.
    pub(crate) fn ask(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }

    /// The engine's thread answers.
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

    /// Somebody waited in vain: until the next answer nobody else needs to.
    pub(crate) fn set_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// What the last answer said, with its age.
    pub(crate) fn last(&self) -> Standing {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner).clone();
        Standing { age: last.0.elapsed(), ..(*last.1).clone() }
    }
}
