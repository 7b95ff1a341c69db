//! Command lines of the measurements.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::args::Common;

/// `athanor bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Complete proofs, from witness to proof
    Groth16(BenchGroth16),
    /// The parallel transaction executor against a sequential loop, on workloads W1 to W8
    Fastpath(Box<BenchFastpath>),
    /// Multi-scalar multiplications and transforms on one thread
    Kernels(BenchKernels),
    /// Many concurrent jobs of several circuits, from input to verified proof
    Engine(BenchEngine),
    /// The service: its cost against the engine's, its latency, its behaviour under overload
    Service(BenchService),
    /// Batch verification against single verification
    Verify(BenchVerify),
}

/// `athanor bench service`.
#[derive(Debug, Args)]
pub struct BenchService {
    /// Number of clients in the overload test
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub clients: u32,
    /// Duration of the overload test in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Number of proofs per round of the comparison with the engine
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub proofs: u32,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor bench verify`.
#[derive(Debug, Args)]
pub struct BenchVerify {
    /// Batch sizes
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,8,32,256",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub proofs: Vec<u32>,
    /// Number of measured runs; the median is shown
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
    /// Fraction of transactions that only read
    #[arg(long, value_name = "SHARE")]
    pub read_ratio: Option<f64>,
    /// Fraction of accesses to the hot accounts
    #[arg(long, value_name = "SHARE")]
    pub hot_ratio: Option<f64>,
    /// Fraction of private transactions, whose Groth16 proofs are verified first
    #[arg(long, value_name = "SHARE")]
    pub privacy_ratio: Option<f64>,
    /// Fraction of transactions over owned objects
    #[arg(long, value_name = "SHARE")]
    pub owned_ratio: Option<f64>,
    /// Nanoseconds of arithmetic per transaction
    #[arg(long, value_name = "NS")]
    pub work_ns: Option<f64>,
    /// Number of transactions per block
    #[arg(long, value_name = "N")]
    pub txs: Option<usize>,
    /// Number of accounts and of objects
    #[arg(long, value_name = "N")]
    pub accounts: Option<u64>,
    /// Every N-th transaction takes a hundred times the work
    #[arg(long, value_name = "N")]
    pub heavy_every: Option<usize>,
    /// Initial number of shards of the fast path
    #[arg(long, value_name = "N")]
    pub partitions: Option<usize>,
    /// Thread counts
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "2")]
    pub threads: Vec<usize>,
    /// Precision of the transactions' declared accesses
    #[arg(long, value_name = "WHAT", value_parser = ["exact", "superset", "guess"])]
    pub declare: Option<String>,
    /// Force a mode instead of the executor's choice
    #[arg(long, value_name = "MODE", value_parser = ["serial", "shards", "declared", "optimistic"])]
    pub mode: Option<String>,
    /// Number of transactions claimed at once, with a forced mode
    #[arg(long, value_name = "N")]
    pub chunk: Option<u32>,
    /// Bind threads to cores
    #[arg(long)]
    pub pin: bool,
    /// Latency of a state read in microseconds
    #[arg(long, value_name = "US")]
    pub latency_us: Option<u64>,
    /// Number of concurrent state reads
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// One in N names is slow to read
    #[arg(long, value_name = "N")]
    pub slow_one_in: Option<u64>,
    /// Number of interleaved rounds; each figure is their median
    #[arg(long, value_name = "N", default_value = "10")]
    pub rounds: usize,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value = "0")]
    pub seed: u64,
    /// Measure the whole matrix of workloads and settings
    #[arg(long)]
    pub matrix: bool,
    /// With --matrix, only cells whose name contains this text
    #[arg(long, value_name = "TEXT", requires = "matrix")]
    pub only: Option<String>,
    /// Output file for a chart of the speed-ups
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Serve metrics on this loopback port during the measurement
    #[arg(long, value_name = "PORT")]
    pub serve_metrics: Option<u16>,
    /// Run for this many seconds and record memory and latency
    #[arg(long, value_name = "SECONDS", conflicts_with = "matrix")]
    pub stability: Option<u64>,
    /// Print one JSON object per cell
    #[arg(long)]
    pub json: bool,
}

/// `athanor bench kernels`.
#[derive(Debug, Args)]
pub struct BenchKernels {
    /// Binary logarithms of the sizes of G1 MSMs and of transforms
    #[arg(long, value_name = "LOG", value_delimiter = ',', default_value = "14,20",
        value_parser = clap::value_parser!(u32).range(4..=22))]
    pub sizes: Vec<u32>,
    /// Binary logarithms of the sizes of G2 MSMs
    #[arg(long, value_name = "LOG", value_delimiter = ',', default_value = "14,18",
        value_parser = clap::value_parser!(u32).range(4..=22))]
    pub g2_sizes: Vec<u32>,
    /// Number of measured runs; the median is shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Print one JSON object per row
    #[arg(long)]
    pub json: bool,
}

/// `athanor bench engine`.
#[derive(Debug, Args)]
pub struct BenchEngine {
    /// Number of jobs
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub jobs: u32,
    /// Circuits: Merkle membership (small), 65,000 constraints of which 98 % are over bits
    /// (large), or both alternately
    #[arg(long, value_name = "MIX", value_enum, default_value = "mixed")]
    pub mix: Mix,
    /// Memory budget beyond the resident keys, in multiples of the largest circuit's working memory
    /// [default: what the system grants]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub room: Option<u32>,
    /// Output file for a waterfall chart (SVG), one row per job
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
    /// Output file for the trace viewers of Chrome and Perfetto
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
    /// Both alternately.
    Mixed,
}

/// `athanor bench groth16`.
#[derive(Debug, Args)]
pub struct BenchGroth16 {
    /// Proving key to measure [default: generated circuits, which are cached]
    #[arg(long, value_name = "K", requires = "wtns", value_hint = ValueHint::FilePath)]
    pub zkey: Option<PathBuf>,
    /// Witness for the key
    #[arg(long, value_name = "W", requires = "zkey", value_hint = ValueHint::FilePath)]
    pub wtns: Option<PathBuf>,
    /// Binary logarithms of the sizes of the generated circuits
    #[arg(long, value_name = "LOG", value_delimiter = ',', default_value = "12,14,16,18",
        value_parser = clap::value_parser!(u32).range(4..=22))]
    pub sizes: Vec<u32>,
    /// Number of measured runs; the median is shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Memory limit of the precomputed tables of each key, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    pub tables_mib: u64,
    /// Measure each stage alone, on one thread, beside the hardware's lower bound
    #[arg(long)]
    pub stages: bool,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

impl BenchGroth16 {
    /// Memory limit of the tables of each key, in bytes.
    pub fn tables(&self) -> u64 {
        self.tables_mib.saturating_mul(1 << 20)
    }
}
