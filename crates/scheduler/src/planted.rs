//! Deliberate bugs: for each property the tests plant a bug that its checker must find.
//!
//! Only the crate's own tests can plant one; elsewhere [`Planted::is`] is `false` at compile time.

/// A bug that breaks one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "planted by tests only"))]
pub(crate) enum Bug {
    /// A retry that is due is forgotten, so its job never ends.
    LoseRetry,
    /// A job that ends while runs are being stopped is answered at its end and again after them.
    AnswerTwice,
    /// A reservation may grow whenever the bytes are free, whether the state stays safe or not.
    UnsafeGrowth,
    /// What a step keeps is not freed when its job is dropped.
    LeakDropped,
    /// A cancelled job's ready steps stay in the queues.
    StartCancelled,
    /// The last ready step is taken instead of the first.
    YoungestFirst,
    /// Only first steps are served in priority order; later steps go by partition number alone.
    OrderInFirstStageOnly,
    /// Later steps may take memory that a blocked head waits for.
    PassFreely,
    /// A blocked head stops all later steps, also those that take no memory.
    HeadOfLine,
    /// A job is acknowledged when it is accepted, before the journal has it.
    AcknowledgeEarly,
    /// A job is answered when it ends, before the journal has it.
    AnswerEarly,
    /// Every class may use the reserve.
    ReserveForAll,
    /// A quarantined device serves without a test.
    SkipQuarantine,
    /// Backoff depends on more than the seed.
    UnseededJitter,
    /// A producer emits beyond its growth bound.
    EmitFreely,
    /// A device that holds the key is not preferred.
    ForgetHolders,
    /// All tenants weigh the same.
    IgnoreWeights,
    /// A job rises one class by age and no further.
    RiseOnce,
    /// The end of a failed job is not given to the journal, so the client is never told.
    SilentFailure,
    /// The memory of a run that outlives its job is not freed.
    KeepAfterStop,
}

/// The planted bug, if any.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Planted {
    #[cfg(test)]
    pub(crate) bug: Option<Bug>,
}

impl Planted {
    #[cfg(test)]
    pub(crate) fn is(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// What [`Bug::UnseededJitter`] adds to a backoff, in nanoseconds.
    #[cfg(test)]
    pub(crate) fn noise(self) -> u64 {
        use std::sync::atomic::{AtomicU64, Ordering};
        static CALLS: AtomicU64 = AtomicU64::new(0);
        if self.is(Bug::UnseededJitter) { CALLS.fetch_add(1, Ordering::Relaxed) } else { 0 }
    }

    #[cfg(not(test))]
    pub(crate) const fn noise(self) -> u64 {
        0
    }

    #[cfg(not(test))]
    pub(crate) const fn is(self, _: Bug) -> bool {
        false
    }
}
