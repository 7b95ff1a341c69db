//! Command lines of the client.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// Which service, and who asks.
#[derive(Debug, Args)]
pub struct Remote {
    /// The service: http://…, https://… or unix:/path/to/socket
    #[arg(
        long,
        value_name = "URL",
        env = "ATHANOR_SERVER",
        default_value = "http://127.0.0.1:8780",
        global = true
    )]
    pub server: String,
    /// File with the token; else the environment's ATHANOR_TOKEN
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    pub token_file: Option<PathBuf>,
    /// Certificate, in PEM, to trust instead of the system's
    #[arg(long, value_name = "FILE.pem", value_hint = ValueHint::FilePath, global = true)]
    pub ca: Option<PathBuf>,
    /// Answer with one JSON object
    #[arg(long, global = true)]
    pub json: bool,
}

/// `athanor submit`.
#[derive(Debug, Args)]
pub struct Submit {
    /// The circuit's name
    pub circuit: String,
    /// Signals (JSON) or a ready witness (.wtns)
    #[arg(value_hint = ValueHint::FilePath)]
    pub input: PathBuf,
    /// How urgent it is: critical, high, normal or batch
    #[arg(long)]
    pub class: Option<String>,
    /// Seconds after which nobody wants the proof any more
    #[arg(long, value_name = "SECONDS")]
    pub deadline: Option<f64>,
    /// The same key with the same request is the same job
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// URL that is told when the job has ended
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub callback: Option<String>,
    /// Wait for the proof and write it
    #[arg(long)]
    pub wait: bool,
    /// Where the proof goes.
    #[command(flatten)]
    pub out: Out,
    /// Which service.
    #[command(flatten)]
    pub remote: Remote,
}

/// Where a proof goes.
#[derive(Debug, Args)]
pub struct Out {
    /// Where the proof goes
    #[arg(long, value_name = "P.json", default_value = "proof.json", value_hint = ValueHint::FilePath)]
    pub proof: PathBuf,
    /// Where the public signals go
    #[arg(long, value_name = "Q.json", default_value = "public.json", value_hint = ValueHint::FilePath)]
    pub public: PathBuf,
}

/// `athanor jobs`.
#[derive(Debug, Args)]
pub struct Jobs {
    /// What to do.
    #[command(subcommand)]
    pub verb: JobsVerb,
    /// Which service.
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum JobsVerb {
    /// The newest jobs, and the cursor of those before them
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// The cursor that a list ended with
        #[arg(long, value_name = "CURSOR")]
        before: Option<u64>,
    },
    /// How a job stands
    Show {
        /// The job
        id: String,
    },
    /// Tell each change of a job until it has ended
    Watch {
        /// The job
        id: String,
    },
    /// Write a job's proof and public signals
    Result {
        /// The job
        id: String,
        /// Where they go.
        #[command(flatten)]
        out: Out,
    },
    /// End the interest in a job
    Cancel {
        /// The job
        id: String,
    },
    /// Revive a job that ended without a proof
    Retry {
        /// The job
        id: String,
    },
}

/// `athanor circuits load` and `unload`.
#[derive(Debug, Args)]
pub struct CircuitOfService {
    /// The circuit's name
    pub name: String,
    /// Which service.
    #[command(flatten)]
    pub remote: Remote,
}
