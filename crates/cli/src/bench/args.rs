//! Command lines of the measurements.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::args::Common;

/// `athanor bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Whole proofs, from witness to proof
    Groth16(BenchGroth16),
    /// The parallel transaction executor beside the plain loop, on workloads W1 to W8
    Fastpath(Box<BenchFastpath>),
    /// Sums of points and transforms, one thread
    Kernels(BenchKernels),
    /// Many jobs of several circuits at once, from input to verified proof
    Engine(BenchEngine),
    /// The service: its cost beside the engine's, its latency, and itself overloaded
    Service(BenchService),
    /// Many proofs of one key at once, beside one by one
    Verify(BenchVerify),
}

/// `athanor bench service`.
#[derive(Debug, Args)]
pub struct BenchService {
    /// Clients of the overload
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub clients: u32,
    /// How long the overload lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Proofs of each round of the comparison with the engine
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub proofs: u32,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor bench verify`.
#[derive(Debug, Args)]
pub struct BenchVerify {
    /// Numbers of proofs in a batch
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,8,32,256",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub proofs: Vec<u32>,
    /// Counted runs; the median is shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor bench fastpath`. Options that are not given take the workload's usual value.
#[derive(Debug, Args)]
pub struct BenchFastpath {
    /// defi, game, nft, transfer, or w1 to w8 [default: transfer]
    #[arg(long, value_name = "KIND", conflicts_with = "matrix")]
    pub workload_type: Option<String>,
    /// Exponent of the Zipf distribution of accounts
    #[arg(long, value_name = "A")]
    pub zipf_alpha: Option<f64>,
    /// Share of transactions that only read
    #[arg(long, value_name = "SHARE")]
    pub read_ratio: Option<f64>,
    /// Share of accesses that go to the hot accounts
    #[arg(long, value_name = "SHARE")]
    pub hot_ratio: Option<f64>,
    /// Share of private transactions, whose real Groth16 proofs are verified first
    #[arg(long, value_name = "SHARE")]
    pub privacy_ratio: Option<f64>,
    /// Share of transactions over owned objects
    #[arg(long, value_name = "SHARE")]
    pub owned_ratio: Option<f64>,
    /// Nanoseconds of arithmetic in a transaction
    #[arg(long, value_name = "NS")]
    pub work_ns: Option<f64>,
    /// Transactions of a block
    #[arg(long, value_name = "N")]
    pub txs: Option<usize>,
    /// Accounts, and objects
    #[arg(long, value_name = "N")]
    pub accounts: Option<u64>,
    /// Every so many-th transaction costs a hundred times the work
    #[arg(long, value_name = "N")]
    pub heavy_every: Option<usize>,
    /// Shards of the fast path to begin with
    #[arg(long, value_name = "N")]
    pub partitions: Option<usize>,
    /// Numbers of threads
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "2")]
    pub threads: Vec<usize>,
    /// What transactions promise about their accesses
    #[arg(long, value_name = "WHAT", value_parser = ["exact", "superset", "guess"])]
    pub declare: Option<String>,
    /// A mode to force, instead of the executor's own choice
    #[arg(long, value_name = "MODE", value_parser = ["serial", "shards", "declared", "optimistic"])]
    pub mode: Option<String>,
    /// Transactions claimed at once, with a forced mode
    #[arg(long, value_name = "N")]
    pub chunk: Option<u32>,
    /// Bind threads to cores
    #[arg(long)]
    pub pin: bool,
    /// Microseconds that a read of the state takes
    #[arg(long, value_name = "US")]
    pub latency_us: Option<u64>,
    /// Reads of the state in flight
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// One name in how many is slow to read
    #[arg(long, value_name = "N")]
    pub slow_one_in: Option<u64>,
    /// Interleaved rounds of which each figure is the median
    #[arg(long, value_name = "N", default_value = "10")]
    pub rounds: usize,
    /// Where the random numbers begin
    #[arg(long, value_name = "N", default_value = "0")]
    pub seed: u64,
    /// Measure the whole table
    #[arg(long)]
    pub matrix: bool,
    /// Of the whole table, only cells whose name contains this
    #[arg(long, value_name = "TEXT", requires = "matrix")]
    pub only: Option<String>,
    /// Where a chart of the speed-ups goes
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Serve the metrics on this port of the loopback address while measuring
    #[arg(long, value_name = "PORT")]
    pub serve_metrics: Option<u16>,
    /// Run for so many seconds instead, and watch memory and latency
    #[arg(long, value_name = "SECONDS", conflicts_with = "matrix")]
    pub stability: Option<u64>,
    /// One JSON object a cell
    #[arg(long)]
    pub json: bool,
}

/// `athanor bench kernels`.
#[derive(Debug, Args)]
pub struct BenchKernels {
    /// Logarithms of the lengths of G1 sums and of the sizes of transforms
    #[arg(long, value_name = "LOG", value_delimiter = ',', default_value = "14,20",
        value_parser = clap::value_parser!(u32).range(4..=22))]
    pub sizes: Vec<u32>,
    /// Logarithms of the lengths of G2 sums
    #[arg(long, value_name = "LOG", value_delimiter = ',', default_value = "14,18",
        value_parser = clap::value_parser!(u32).range(4..=22))]
    pub g2_sizes: Vec<u32>,
    /// Counted runs; the median is shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Answer with one JSON object a row
    #[arg(long)]
    pub json: bool,
}

/// `athanor bench engine`.
#[derive(Debug, Args)]
pub struct BenchEngine {
    /// Jobs
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub jobs: u32,
    /// Which circuits: Merkle membership (small), 65,000 constraints of which 98 % over bits
    /// (large), or both in turn
    #[arg(long, value_name = "MIX", value_enum, default_value = "mixed")]
    pub mix: Mix,
    /// Room in memory beside the resident keys, in works of the largest circuit [default: what the
    /// system grants]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub room: Option<u32>,
    /// Draw the waterfall: a row for each job
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Write the same for Chrome's and Perfetto's trace viewers
    #[arg(long, value_name = "OUT.json", value_hint = ValueHint::FilePath)]
    pub chrome_trace: Option<PathBuf>,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// A mix of circuits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mix {
    /// Merkle membership.
    Small,
    /// 65,000 constraints.
    Large,
    /// Both in turn.
    Mixed,
}

/// `athanor bench groth16`.
#[derive(Debug, Args)]
pub struct BenchGroth16 {
    /// A key of your own; without one, circuits are made and cached
    #[arg(long, value_name = "K", requires = "wtns", value_hint = ValueHint::FilePath)]
    pub zkey: Option<PathBuf>,
    /// The witness for it
    #[arg(long, value_name = "W", requires = "zkey", value_hint = ValueHint::FilePath)]
    pub wtns: Option<PathBuf>,
    /// Logarithms of the sizes of the circuits that are made
    #[arg(long, value_name = "LOG", value_delimiter = ',', default_value = "12,14,16,18",
        value_parser = clap::value_parser!(u32).range(4..=22))]
    pub sizes: Vec<u32>,
    /// Counted runs; the median is shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Memory that tables of each key may take beside it, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    pub tables_mib: u64,
    /// Each stage alone, on one thread, beside what the hardware allows
    #[arg(long)]
    pub stages: bool,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

impl BenchGroth16 {
    /// Bytes that tables of a key may take.
    pub fn tables(&self) -> u64 {
        self.tables_mib.saturating_mul(1 << 20)
    }
}
