//! Bugs to be caught: each property's checker is shown one that it must find.
//!
//! Outside the crate's own tests there is no way to plant one, and [`Planted::is`] is `false` at
//! compile time.

/// A bug that breaks one property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "planted by tests only"))]
pub(crate) enum Bug {
    /// A retry that came due is forgotten: its job never ends.
    LoseRetry,
    /// A job that ends while runs are stopping is answered at its end and again after them.
    AnswerTwice,
    /// Growth is granted when it fits in what is free, safe or not.
    UnsafeGrowth,
    /// What a step keeps is not given back when its job is dropped.
    LeakDropped,
    /// A cancelled job's ready steps stay in the queues.
    StartCancelled,
    /// The youngest ready step is taken instead of the first.
    YoungestFirst,
    /// Only the first stage knows the order; later steps go by partition number alone.
    OrderInFirstStageOnly,
    /// Younger work passes a blocked elder freely.
    PassFreely,
    /// A blocked elder stops everyone behind it, also those who take no memory.
    HeadOfLine,
    /// Acknowledged when accepted, not when the journal has it.
    AcknowledgeEarly,
    /// Answered when ended, not when the journal has it.
    AnswerEarly,
    /// The reserve serves everyone.
    ReserveForAll,
    /// A quarantined device goes on without a test.
    SkipQuarantine,
    /// Backoff depends on something beside the seed.
    UnseededJitter,
    /// A producer emits without a credit.
    EmitFreely,
    /// A device that holds the key is not looked for.
    ForgetHolders,
    /// All tenants weigh the same.
    IgnoreWeights,
    /// A job rises once and no more.
    RiseOnce,
    /// The end of a job that fails is not given to the journal, so it is never told.
    SilentFailure,
    /// What a run held that outlived its job is not given back.
    KeepAfterStop,
}

/// Which bug is planted, if any.
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
