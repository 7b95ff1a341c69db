//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use crate::client::args as client;

pub use crate::bench::args::{
    Bench, BenchEngine, BenchFastpath, BenchGroth16, BenchKernels, BenchService, BenchVerify, Mix,
};
pub use crate::cache::Cache;
pub use crate::export::Export;
#[cfg(feature = "filecoin")]
pub use crate::filecoin::Filecoin;
pub use crate::inspect::Inspect;
pub use crate::setup::ceremony::{SetupBeacon, SetupContribute, SetupNew, SetupVerify};
pub use crate::store::Store;

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
    /// Check a proof, or many of one key at once
    Verify(Verify),
    /// Prove and verify a real circuit that comes with athanor
    Demo(Demo),
    /// Make keys
    #[command(subcommand)]
    Setup(Setup),
    /// Keep circuits in a directory, ready to serve
    #[command(subcommand)]
    Circuits(Circuits),
    /// Serve proofs over HTTP and gRPC: durable jobs behind one port
    Serve(Serve),
    /// Submit an input to a running service
    Submit(client::Submit),
    /// Jobs of a running service
    Jobs(client::Jobs),
    /// The service's configuration
    #[command(subcommand)]
    Config(ServeConfig),
    /// Tell what a file is
    Inspect(Inspect),
    /// Export a verifying key, a contract's call, or a contract
    #[command(subcommand)]
    Export(Export),
    /// List or clean what is kept between runs
    #[command(subcommand)]
    Cache(Cache),
    /// The data directory of a service
    #[command(subcommand)]
    Store(Store),
    /// Filecoin: parameters for tests, circuits, real sectors to prove
    #[cfg(feature = "filecoin")]
    #[command(subcommand)]
    Filecoin(Filecoin),
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
    group = clap::ArgGroup::new("generator").args(["wasm", "circuit"]),
    override_usage = "athanor prove --zkey <K> (--wasm <W> --input <I> | --wtns <W>) [OPTIONS]
       athanor prove --circuit <NAME> [--dir <DIR>] (--input <I> | --wtns <W>) [OPTIONS]
       athanor prove <K.zkey> <W.wtns> <PROOF.json> <PUBLIC.json>"
)]
pub struct Prove {
    /// Proving key, as snarkjs makes it
    #[arg(long, value_name = "K", required_unless_present_any = ["files", "circuit"],
        value_hint = ValueHint::FilePath)]
    pub zkey: Option<PathBuf>,
    /// Circuit of a catalog, instead of files
    #[arg(long, value_name = "NAME",
        conflicts_with_all = ["zkey", "wasm", "r1cs", "sym"])]
    pub circuit: Option<String>,
    /// The catalog's directory
    #[arg(long, value_name = "DIR", default_value = "circuits", requires = "circuit",
        conflicts_with_all = ["zkey", "files"], value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Ready witness
    #[arg(long, value_name = "W", conflicts_with_all = ["wasm", "input"],
        required_unless_present_any = ["wasm", "files", "input"], value_hint = ValueHint::FilePath)]
    pub wtns: Option<PathBuf>,
    /// Witness generator, as Circom 2 makes it
    #[arg(long, value_name = "W", requires = "input", value_hint = ValueHint::FilePath)]
    pub wasm: Option<PathBuf>,
    /// Input for the witness generator
    #[arg(long, value_name = "I.json", requires = "generator",
        required_unless_present_any = ["wtns", "files"], value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Constraints; read when the proof fails, to name the constraint that the witness breaks
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: Option<PathBuf>,
    /// Signal names, for errors
    #[arg(long, value_name = "S", value_hint = ValueHint::FilePath)]
    pub sym: Option<PathBuf>,
    /// Whose sector it is, for an output of C1
    #[cfg(feature = "filecoin")]
    #[arg(long, value_name = "f01000", requires = "circuit")]
    pub miner: Option<athanor_filecoin::MinerId>,
    /// Where the proof goes
    #[arg(long, value_name = "P.json", default_value = "proof.json", value_hint = ValueHint::FilePath)]
    pub proof: PathBuf,
    /// Where the public signals go
    #[arg(long, value_name = "Q.json", default_value = "public.json", value_hint = ValueHint::FilePath)]
    pub public: PathBuf,
    /// Key, witness, proof and public signals, in rapidsnark's order
    #[arg(num_args = 4,
        conflicts_with_all = ["zkey", "circuit", "wtns", "wasm", "input", "proof", "public"],
        value_names = ["K.zkey", "W.wtns", "PROOF.json", "PUBLIC.json"], value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor verify`.
#[derive(Debug, Args)]
#[command(
    override_usage = "athanor verify --vkey <V.json> --public <Q.json> --proof <P.json> [--public ... --proof ...]
       athanor verify --vkey <V.json> --all <DIR>"
)]
pub struct Verify {
    /// Verifying key
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub vkey: PathBuf,
    /// Public signals; repeat it for more proofs
    #[arg(long, value_name = "Q.json", required_unless_present = "all", value_hint = ValueHint::FilePath)]
    pub public: Vec<PathBuf>,
    /// Proof; repeat it for more, in the order of their public signals
    #[arg(long, value_name = "P.json", required_unless_present = "all", value_hint = ValueHint::FilePath)]
    pub proof: Vec<PathBuf>,
    /// All proofs of a directory: a proof's name has "proof" in it, its signals' "public" there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["public", "proof"], value_hint = ValueHint::DirPath)]
    pub all: Option<PathBuf>,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor setup`.
#[derive(Debug, Subcommand)]
pub enum Setup {
    /// Make a key for development: whoever runs this could forge proofs for it
    Dev(SetupDev),
    /// Begin a ceremony: the initial key of a circuit, from powers of tau
    New(SetupNew),
    /// Contribute a secret to a key
    Contribute(SetupContribute),
    /// End a ceremony with a public random value
    Beacon(SetupBeacon),
    /// Verify a key's history, and that it comes from its circuit
    Verify(SetupVerify),
}

/// `athanor setup dev`.
#[derive(Debug, Args)]
pub struct SetupDev {
    /// Constraints, as Circom makes them
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: PathBuf,
    /// Where the proving key goes
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Where the verifying key goes, if anywhere
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub vkey: Option<PathBuf>,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor circuits`.
#[derive(Debug, Subcommand)]
pub enum Circuits {
    /// Add a circuit: copy its files, prove its input once, write down what that took
    Add(CircuitsAdd),
    /// Show what a directory, or a running service, has
    List(CircuitsList),
    /// Have a running service load a circuit
    Load(client::CircuitOfService),
    /// Have a running service take no more jobs for a circuit
    Unload(client::CircuitOfService),
}

/// `athanor circuits add`.
#[derive(Debug, Args)]
pub struct CircuitsAdd {
    /// The circuit's name
    pub name: String,
    /// Proving key, as snarkjs makes it
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Witness generator, as Circom 2 makes it
    #[arg(long, value_name = "W", value_hint = ValueHint::FilePath)]
    pub wasm: Option<PathBuf>,
    /// An input (JSON or .wtns) to prove now and at every start; without one, claims are estimated
    #[arg(long, value_name = "I", value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Constraints, to name the one that a witness breaks
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: Option<PathBuf>,
    /// Signal names, for errors
    #[arg(long, value_name = "S", value_hint = ValueHint::FilePath)]
    pub sym: Option<PathBuf>,
    /// The catalog's directory; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "circuits", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor circuits list`.
#[derive(Debug, Args)]
pub struct CircuitsList {
    /// The catalog's directory; without one, a running service is asked
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// Which service.
    #[command(flatten)]
    pub remote: client::Remote,
}

/// `athanor serve`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Configuration file; the environment goes over it, and flags over both
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The catalog's directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub circuits: Option<PathBuf>,
    /// Where jobs and inputs are kept
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Where to listen, such as 127.0.0.1:8780
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<std::net::SocketAddr>,
    /// A Unix socket to listen at besides
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
    /// Threads to prove with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Memory that tables of each key may take beside it, in MiB; they make proofs faster
    #[arg(long, value_name = "MIB")]
    pub tables_mib: Option<u64>,
    /// Levels of the log by target, such as info,athanor_server::jobs=debug
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// How lines of the log are written: text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<athanor_server::LogFormat>,
}

/// `athanor config`.
#[derive(Debug, Subcommand)]
pub enum ServeConfig {
    /// Print what `serve` would run with
    Print(Serve),
    /// Say whether `serve` would take it
    Check(Serve),
    /// Make a token for a tenant
    Token(ConfigToken),
}

/// `athanor config token`.
#[derive(Debug, Args)]
pub struct ConfigToken {
    /// Whose jobs the token sees
    pub tenant: String,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
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
    /// A setting that replaces the file's, such as machine.memory="512 GiB"; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
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
