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

/// Proves Circom circuits with Groth16 and verifies every proof before it is written.
#[derive(Debug, Parser)]
#[command(name = "athanor", version, propagate_version = true, max_term_width = 100)]
#[command(after_long_help = crate::failure::exit_codes_help())]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a proof from a key and a witness, or an input
    Prove(Prove),
    /// Verify one proof, or many proofs under one key in a batch
    Verify(Verify),
    /// Prove and verify the built-in example circuit
    Demo(Demo),
    /// Make proving keys, for development or by a ceremony
    #[command(subcommand)]
    Setup(Setup),
    /// Manage a catalog: a directory of circuits that `serve` loads
    #[command(subcommand)]
    Circuits(Circuits),
    /// Run the proving service: durable jobs over HTTP and gRPC on one port
    Serve(Serve),
    /// Submit an input to a running service
    Submit(client::Submit),
    /// List, show, watch or cancel jobs of a running service
    Jobs(client::Jobs),
    /// Print or check the service's configuration, or make a token
    #[command(subcommand)]
    Config(ServeConfig),
    /// Show the format, sizes and provenance of a file
    Inspect(Inspect),
    /// Export a verifying key, Solidity calldata or a Solidity verifier
    #[command(subcommand)]
    Export(Export),
    /// List or remove cached files: converted keys, compiled witness generators
    #[command(subcommand)]
    Cache(Cache),
    /// Check the data directory of a service
    #[command(subcommand)]
    Store(Store),
    /// Filecoin PoRep: test parameters, catalog circuits, test sectors
    #[cfg(feature = "filecoin")]
    #[command(subcommand)]
    Filecoin(Filecoin),
    /// Simulate a scenario in virtual time with the production scheduler
    Simulate(Simulate),
    /// Compute capacity from a scenario: proofs per hour, workers, memory, next upgrade
    Plan(Scenario),
    /// Run benchmarks
    #[command(subcommand)]
    Bench(Bench),
    /// Print a completion script for a shell
    Completions {
        /// The shell
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
    /// Proving key (.zkey, as snarkjs writes it)
    #[arg(long, value_name = "K", required_unless_present_any = ["files", "circuit"],
        value_hint = ValueHint::FilePath)]
    pub zkey: Option<PathBuf>,
    /// Name of a circuit in a catalog; replaces the file options
    #[arg(long, value_name = "NAME",
        conflicts_with_all = ["zkey", "wasm", "r1cs", "sym"])]
    pub circuit: Option<String>,
    /// Directory of the catalog
    #[arg(long, value_name = "DIR", default_value = "circuits", requires = "circuit",
        conflicts_with_all = ["zkey", "files"], value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Computed witness (.wtns)
    #[arg(long, value_name = "W", conflicts_with_all = ["wasm", "input"],
        required_unless_present_any = ["wasm", "files", "input"], value_hint = ValueHint::FilePath)]
    pub wtns: Option<PathBuf>,
    /// Witness generator (.wasm, as Circom 2 writes it)
    #[arg(long, value_name = "W", requires = "input", value_hint = ValueHint::FilePath)]
    pub wasm: Option<PathBuf>,
    /// Input signals (JSON) for the witness generator
    #[arg(long, value_name = "I.json", requires = "generator",
        required_unless_present_any = ["wtns", "files"], value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Constraints (.r1cs); read only if the proof fails, to name the violated constraint
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: Option<PathBuf>,
    /// Signal names (.sym) for error messages
    #[arg(long, value_name = "S", value_hint = ValueHint::FilePath)]
    pub sym: Option<PathBuf>,
    /// Miner that owns the sector, if the input is a C1 output
    #[cfg(feature = "filecoin")]
    #[arg(long, value_name = "f01000", requires = "circuit")]
    pub miner: Option<athanor_filecoin::MinerId>,
    /// Output file for the proof
    #[arg(long, value_name = "P.json", default_value = "proof.json", value_hint = ValueHint::FilePath)]
    pub proof: PathBuf,
    /// Output file for the public signals
    #[arg(long, value_name = "Q.json", default_value = "public.json", value_hint = ValueHint::FilePath)]
    pub public: PathBuf,
    /// Key, witness, proof and public signals, in the order that rapidsnark takes
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
    /// Verifying key (JSON)
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub vkey: PathBuf,
    /// Public signals (JSON); repeat the option for each proof
    #[arg(long, value_name = "Q.json", required_unless_present = "all", value_hint = ValueHint::FilePath)]
    pub public: Vec<PathBuf>,
    /// Proof (JSON); repeat the option in the same order as --public
    #[arg(long, value_name = "P.json", required_unless_present = "all", value_hint = ValueHint::FilePath)]
    pub proof: Vec<PathBuf>,
    /// Directory of proofs: each *proof*.json with the *public*.json of the same name
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
    /// Make a key for development; the person who runs this could forge proofs for it
    Dev(SetupDev),
    /// Begin a ceremony: make the initial key of a circuit from powers of tau
    New(SetupNew),
    /// Contribute a random secret to a key
    Contribute(SetupContribute),
    /// Finish a ceremony with a public random value (a beacon)
    Beacon(SetupBeacon),
    /// Verify a key's contributions and that it belongs to the circuit
    Verify(SetupVerify),
}

/// `athanor setup dev`.
#[derive(Debug, Args)]
pub struct SetupDev {
    /// Constraints (.r1cs, as Circom writes them)
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: PathBuf,
    /// Output file for the proving key
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Output file for the verifying key [default: not written]
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub vkey: Option<PathBuf>,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor circuits`.
#[derive(Debug, Subcommand)]
pub enum Circuits {
    /// Add a circuit: copy its files, prove its input once, record time and memory
    Add(CircuitsAdd),
    /// List the circuits of a catalog or of a running service
    List(CircuitsList),
    /// Load a circuit in a running service
    Load(client::CircuitOfService),
    /// Unload a circuit in a running service: it accepts no more jobs for it
    Unload(client::CircuitOfService),
}

/// `athanor circuits add`.
#[derive(Debug, Args)]
pub struct CircuitsAdd {
    /// The circuit's name
    pub name: String,
    /// Proving key (.zkey, as snarkjs writes it)
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Witness generator (.wasm, as Circom 2 writes it)
    #[arg(long, value_name = "W", value_hint = ValueHint::FilePath)]
    pub wasm: Option<PathBuf>,
    /// Input (JSON or .wtns) to prove now and at every start; without one, resource claims are estimates
    #[arg(long, value_name = "I", value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Constraints (.r1cs), to name a violated constraint in error messages
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: Option<PathBuf>,
    /// Signal names (.sym) for error messages
    #[arg(long, value_name = "S", value_hint = ValueHint::FilePath)]
    pub sym: Option<PathBuf>,
    /// Directory of the catalog; created if it does not exist
    #[arg(long, value_name = "DIR", default_value = "circuits", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor circuits list`.
#[derive(Debug, Args)]
pub struct CircuitsList {
    /// Directory of the catalog [default: list the circuits of a running service]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
    /// The service to connect to.
    #[command(flatten)]
    pub remote: client::Remote,
}

/// `athanor serve`.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Configuration file; environment variables override it, and options override both
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Directory of the catalog
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub circuits: Option<PathBuf>,
    /// Data directory, for jobs and inputs
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<PathBuf>,
    /// Address to listen on, such as 127.0.0.1:8780
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<std::net::SocketAddr>,
    /// Path of a Unix socket to listen on as well
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub socket: Option<PathBuf>,
    /// Number of proving threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Memory limit of the precomputed tables of each key, in MiB; larger tables make proofs faster
    #[arg(long, value_name = "MIB")]
    pub tables_mib: Option<u64>,
    /// Log filter: levels by target, such as info,athanor_server::jobs=debug
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
    /// Log format: text or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<athanor_server::LogFormat>,
}

/// `athanor config`.
#[derive(Debug, Subcommand)]
pub enum ServeConfig {
    /// Print the configuration that `serve` would use
    Print(Serve),
    /// Check that `serve` would accept the configuration
    Check(Serve),
    /// Make a token for a tenant
    Token(ConfigToken),
}

/// `athanor config token`.
#[derive(Debug, Args)]
pub struct ConfigToken {
    /// Tenant whose jobs the token gives access to
    pub tenant: String,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `athanor simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The scenario to run.
    #[command(flatten)]
    pub scenario: Scenario,
    /// Output file for a waterfall chart (SVG), one row per partition
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub svg: Option<PathBuf>,
}

/// A scenario, for `athanor simulate` and `athanor plan`.
#[derive(Debug, Args)]
pub struct Scenario {
    /// Scenario file (TOML): machine, circuits and jobs
    #[arg(value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Override one setting of the file, such as machine.memory="512 GiB"; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options that several commands share.
#[derive(Clone, Copy, Debug, Args)]
pub struct Common {
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// The thread pool that runs all parallel work of the command.
    pub fn pool(&self) -> Result<rayon::ThreadPool, crate::failure::Failure> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.unwrap_or(0).into())
            .thread_name(|index| format!("prover-{index}"))
            .build()
            .map_err(|error| crate::failure::Failure::new(crate::failure::Kind::OutOfMemory, error))
    }
}
