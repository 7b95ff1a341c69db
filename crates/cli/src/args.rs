//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

/// Proves Circom circuits with Groth16, fast, and verifies every proof before you see it.
#[derive(Debug, Parser)]
#[command(name = "athanor", version, propagate_version = true, max_term_width = 100)]
#[command(after_long_help = crate::failure::exit_codes_help())]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a proof from a key and a witness, or an input
    Prove(Prove),
    /// Check a proof
    Verify(Verify),
    /// Prove and verify a real circuit that comes with athanor
    Demo(Demo),
    /// Run a scenario in virtual time, with the real scheduler
    Simulate(Simulate),
    /// Answer from a scenario: proofs per hour, workers, memory, what to buy next
    Plan(Scenario),
    /// Measure
    #[command(subcommand)]
    Bench(Bench),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// `athanor prove`.
#[derive(Debug, Args)]
#[command(
    override_usage = "athanor prove --zkey <K> (--wasm <W> --input <I> | --wtns <W>) [OPTIONS]
       athanor prove <K.zkey> <W.wtns> <PROOF.json> <PUBLIC.json>"
)]
pub struct Prove {
    /// Proving key, as snarkjs makes it
    #[arg(long, value_name = "K", required_unless_present = "files", value_hint = ValueHint::FilePath)]
    pub zkey: Option<PathBuf>,
    /// Ready witness
    #[arg(long, value_name = "W", conflicts_with_all = ["wasm", "input"],
        required_unless_present_any = ["wasm", "files"], value_hint = ValueHint::FilePath)]
    pub wtns: Option<PathBuf>,
    /// Witness generator, as Circom 2 makes it
    #[arg(long, value_name = "W", requires = "input", value_hint = ValueHint::FilePath)]
    pub wasm: Option<PathBuf>,
    /// Input for the witness generator
    #[arg(long, value_name = "I.json", requires = "wasm", value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Constraints; read when the proof fails, to name the constraint that the witness breaks
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: Option<PathBuf>,
    /// Signal names, for errors
    #[arg(long, value_name = "S", value_hint = ValueHint::FilePath)]
    pub sym: Option<PathBuf>,
    /// Where the proof goes
    #[arg(long, value_name = "P.json", default_value = "proof.json", value_hint = ValueHint::FilePath)]
    pub proof: PathBuf,
    /// Where the public signals go
    #[arg(long, value_name = "Q.json", default_value = "public.json", value_hint = ValueHint::FilePath)]
    pub public: PathBuf,
    /// Key, witness, proof and public signals, in rapidsnark's order
    #[arg(num_args = 4, conflicts_with_all = ["zkey", "wtns", "wasm", "input", "proof", "public"],
        value_names = ["K.zkey", "W.wtns", "PROOF.json", "PUBLIC.json"], value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Verifying key
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub vkey: PathBuf,
    /// Public signals
    #[arg(long, value_name = "Q.json", value_hint = ValueHint::FilePath)]
    pub public: PathBuf,
    /// Proof
    #[arg(long, value_name = "P.json", value_hint = ValueHint::FilePath)]
    pub proof: PathBuf,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `athanor demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// What to run.
    #[command(flatten)]
    pub scenario: Scenario,
    /// Draw the waterfall: a row for each partition
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
}

/// A scenario, for `athanor simulate` and `athanor plan`.
#[derive(Debug, Args)]
pub struct Scenario {
    /// Machine, circuits and work
    #[arg(value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Settings that replace the file's, such as machine.ram=512GiB
    #[arg(value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `athanor bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Whole proofs, from witness to proof
    Groth16(BenchGroth16),
    /// Sums of points and transforms, one thread
    Kernels(BenchKernels),
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
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// What many commands take.
#[derive(Clone, Copy, Debug, Args)]
pub struct Common {
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// The pool in which all parallel work of the command runs.
    pub fn pool(&self) -> Result<rayon::ThreadPool, crate::failure::Failure> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.unwrap_or(0).into())
            .thread_name(|index| format!("prover-{index}"))
            .build()
            .map_err(|error| crate::failure::Failure::new(crate::failure::Kind::OutOfMemory, error))
    }
}
