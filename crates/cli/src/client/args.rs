//! Command lines of the client.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// The service's address and the caller's credentials.
#[derive(Debug, Args)]
pub struct Remote {
    /// Address of the service: http://…, https://… or unix:/path/to/socket
    #[arg(
        long,
        value_name = "URL",
        env = "ATHANOR_SERVER",
        default_value = "http://127.0.0.1:8780",
        global = true
    )]
    pub server: String,
    /// File with the token [default: the environment variable ATHANOR_TOKEN]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, global = true)]
    pub token_file: Option<PathBuf>,
    /// Certificate (PEM) to trust instead of the system's certificates
    #[arg(long, value_name = "FILE.pem", value_hint = ValueHint::FilePath, global = true)]
    pub ca: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long, global = true)]
    pub json: bool,
}

/// `athanor submit`.
#[derive(Debug, Args)]
pub struct Submit {
    /// The circuit's name
    pub circuit: String,
    /// Input signals (JSON) or a computed witness (.wtns)
    #[arg(value_hint = ValueHint::FilePath)]
    pub input: PathBuf,
    /// Priority: critical, high, normal or batch
    #[arg(long)]
    pub class: Option<String>,
    /// Deadline in seconds from now; a job that is not complete by then ends as deadline-missed
    #[arg(long, value_name = "SECONDS")]
    pub deadline: Option<f64>,
    /// Idempotency key: a repeated submit with the same key and request returns the same job
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// URL that the service calls when the job has ended
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub callback: Option<String>,
    /// Wait for the proof and write it
    #[arg(long)]
    pub wait: bool,
    /// Output files.
    #[command(flatten)]
    pub out: Out,
    /// The service to connect to.
    #[command(flatten)]
    pub remote: Remote,
}

/// Output files for a proof.
#[derive(Debug, Args)]
pub struct Out {
    /// Output file for the proof
    #[arg(long, value_name = "P.json", default_value = "proof.json", value_hint = ValueHint::FilePath)]
    pub proof: PathBuf,
    /// Output file for the public signals
    #[arg(long, value_name = "Q.json", default_value = "public.json", value_hint = ValueHint::FilePath)]
    pub public: PathBuf,
}

/// `athanor jobs`.
#[derive(Debug, Args)]
pub struct Jobs {
    /// The command.
    #[command(subcommand)]
    pub verb: JobsVerb,
    /// The service to connect to.
    #[command(flatten)]
    pub remote: Remote,
}

/// The commands of `athanor jobs`.
#[derive(Debug, Subcommand)]
pub enum JobsVerb {
    /// List the newest jobs, and print the cursor for older ones
    List {
        /// Maximum number of jobs to list
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// Cursor that a previous list printed; lists older jobs
        #[arg(long, value_name = "CURSOR")]
        before: Option<u64>,
    },
    /// Show a job's state
    Show {
        /// Id of the job
        id: String,
    },
    /// Print each state change of a job until it has ended
    Watch {
        /// Id of the job
        id: String,
    },
    /// Write a job's proof and public signals
    Result {
        /// Id of the job
        id: String,
        /// Output files.
        #[command(flatten)]
        out: Out,
    },
    /// Cancel a job
    Cancel {
        /// Id of the job
        id: String,
    },
    /// Retry a job that ended without a proof
    Retry {
        /// Id of the job
        id: String,
    },
}

/// `athanor circuits load` and `unload`.
#[derive(Debug, Args)]
pub struct CircuitOfService {
    /// The circuit's name
    pub name: String,
    /// The service to connect to.
    #[command(flatten)]
    pub remote: Remote,
}
