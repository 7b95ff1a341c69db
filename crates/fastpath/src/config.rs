//! What can be set, with its defaults, and the environment variables.

use crate::adaptive::Mode;

/// Settings of an executor. `Config::default()` is meant to be right for most.
#[derive(Clone, Debug)]
pub struct Config {
    /// Threads that execute, the caller's included. Default: the cores of the machine.
    pub threads: usize,
    /// Shards of the fast path to begin with. Default: 4 per thread.
    pub partitions: usize,
    /// Steps that a transaction may take. Default: ten million.
    pub step_limit: u64,
    /// Whether the mode is chosen from measurements. Default: yes, unless
    /// `FASTPATH_ADAPTIVE_PARTITION=0`.
    pub adaptive: bool,
    /// The mode to use without adaptation, where it applies; what it does not apply to runs
    /// optimistically. Default: [`Mode::Optimistic`].
    pub mode: Mode,
    /// Transactions claimed at once without adaptation. Default: 8.
    pub chunk: u32,
    /// Transactions that may be ahead of the commit frontier. Default: 1,024.
    pub window: usize,
    /// Proofs given to the verifier at once. Default: 32.
    pub verify_batch: usize,
    /// Whether the state root is kept up to date. Default: yes.
    pub root: bool,
    /// Whether every read and write is logged. Default: no.
    pub log: bool,
    /// Whether threads are bound to cores. Default: no.
    pub pin: bool,
    /// Entries kept resident in front of a state store; past it they are dropped after the block.
    /// Default: four million.
    pub resident: usize,
    /// A transaction slower than this many nanoseconds counts as slow. Default: 10 ms.
    pub slow_nanos: u64,
}

impl Default for Config {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            threads,
            partitions: 4 * threads,
            step_limit: 10_000_000,
            adaptive: std::env::var("FASTPATH_ADAPTIVE_PARTITION").as_deref() != Ok("0"),
            mode: Mode::Optimistic,
            chunk: 8,
            window: 1024,
            verify_batch: 32,
            root: true,
            log: false,
            pin: false,
            resident: 4 << 20,
            slow_nanos: 10_000_000,
        }
    }
}

impl Config {
    /// The default with this many threads, and as many shards as suit them.
    #[must_use]
    pub fn with_threads(threads: usize) -> Self {
        Self { threads, partitions: 4 * threads.max(1), ..Self::default() }
    }

    /// One mode, whatever the measurements say.
    #[must_use]
    pub fn fixed(mut self, mode: Mode) -> Self {
        self.adaptive = false;
        self.mode = mode;
        self
    }
}
