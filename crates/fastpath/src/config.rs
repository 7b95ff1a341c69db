//! The settings of the executor, their defaults and their environment variables.

use crate::adaptive::Mode;

/// Settings of an executor. `Config::default()` suits most uses.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of executing threads, including the caller's. Default: the available parallelism of
    /// the machine.
    pub threads: usize,
    /// Initial number of shards of the fast path. Default: 4 per thread.
    pub partitions: usize,
    /// Maximum number of steps of a transaction. Default: ten million.
    pub step_limit: u64,
    /// Whether the mode is chosen from measurements. Default: `true`, unless
    /// `FASTPATH_ADAPTIVE_PARTITION=0`.
    pub adaptive: bool,
    /// The mode if `adaptive` is off. [`Mode::Declared`] becomes optimistic unless all transactions
    /// of the block promise their access sets. The transactions that [`Mode::Shards`] cannot
    /// execute run in declared order if all of them promise their access sets, and otherwise
    /// optimistically. Default: [`Mode::Optimistic`].
    pub mode: Mode,
    /// Transactions per claim if `adaptive` is off, limited to 1 to 16. Default: 8.
    pub chunk: u32,
    /// Maximum number of transactions ahead of the commit frontier. At least 128 per thread are
    /// used, and the number is rounded up to a power of two. Default: 1,024.
    pub window: usize,
    /// Maximum number of proofs in one call of the verifier. Default: 32.
    pub verify_batch: usize,
    /// Whether the state root is computed. Default: `true`.
    pub root: bool,
    /// Whether every read and write is logged. Default: `false`.
    pub log: bool,
    /// Whether threads are pinned to cores. Default: `false`.
    pub pin: bool,
    /// Maximum number of resident entries in front of a state store. If a block ends with more, all
    /// of them are dropped. Default: 4,194,304.
    pub resident: usize,
    /// Duration in nanoseconds from which a transaction counts as slow. Default: 10 ms.
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
    /// The default settings for `threads` threads, with four shards per thread.
    #[must_use]
    pub fn with_threads(threads: usize) -> Self {
        Self { threads, partitions: 4 * threads.max(1), ..Self::default() }
    }

    /// Turns adaptation off and uses `mode`.
    #[must_use]
    pub fn fixed(mut self, mode: Mode) -> Self {
        self.adaptive = false;
        self.mode = mode;
        self
    }
}
