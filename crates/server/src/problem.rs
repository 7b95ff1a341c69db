//! All failures that a client can see, as one enum. REST sends them as problem details (RFC 9457), gRPC as
//! status; both state whether a retry can succeed.

use athanor_engine::{JobError, Refusal};
use athanor_store::StoreError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use utoipa::{IntoResponses, ToSchema};

/// The reason of a failure. Its name is stable and is meant for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The request is malformed.
    BadRequest,
    /// The token is missing or unknown.
    Unauthorised,
    /// The token lacks the permission.
    Forbidden,
    /// The path does not exist.
    NoSuchRoute,
    /// The path exists, and the method is not allowed.
    NoSuchMethod,
    /// The tenant has no such job.
    JobNotFound,
    /// The circuit does not exist or is not loaded.
    CircuitNotFound,
    /// The circuit is loading or warming up.
    CircuitNotReady,
    /// The idempotency key was used for a request with a different circuit or input.
    KeyConflict,
    /// The operation is not possible in the current state of the job or circuit.
    WrongState,
    /// The input does not have the form that the circuit needs, or does not satisfy the circuit.
    InvalidWitness,
    /// The callback is not allowed.
    CallbackRefused,
    /// The body is larger than the limit.
    TooLarge,
    /// A quota, the queue, or the memory for inputs is exhausted, or all connections are busy.
    Busy,
    /// The job needs more memory than the budget.
    DoesNotFit,
    /// An allocation failed.
    OutOfMemory,
    /// A time limit or the job's deadline has passed.
    Timeout,
    /// The job was cancelled.
    Cancelled,
    /// The proof could not be computed.
    ProofFailed,
    /// The service is stopping.
    Stopping,
    /// The journal cannot be written or read.
    Storage,
    /// A bug.
    Internal,
}

impl Reason {
    /// Stable name, HTTP status, gRPC code, the Midnight skills' code, and whether a retry can succeed.
    fn properties(self) -> (&'static str, StatusCode, Code, &'static str, bool) {
        use {Code as G, StatusCode as S};
        let (invalid, aborted, memory) = ("INVALID_WITNESS", "ABORTED", "OUT_OF_MEMORY");
        let (unknown, failed) = ("CIRCUIT_NOT_FOUND", "PROOF_GENERATION_FAILED");
        match self {
            Reason::BadRequest => {
                ("bad-request", S::BAD_REQUEST, G::InvalidArgument, invalid, false)
            }
            Reason::Unauthorised => {
                ("unauthorised", S::UNAUTHORIZED, G::Unauthenticated, aborted, false)
            }
            Reason::Forbidden => ("forbidden", S::FORBIDDEN, G::PermissionDenied, aborted, false),
            Reason::NoSuchRoute => {
                ("no-such-route", S::NOT_FOUND, G::Unimplemented, aborted, false)
            }
            Reason::NoSuchMethod => {
                ("no-such-method", S::METHOD_NOT_ALLOWED, G::Unimplemented, aborted, false)
            }
            Reason::JobNotFound => ("job-not-found", S::NOT_FOUND, G::NotFound, aborted, false),
            Reason::CircuitNotFound => {
                ("circuit-not-found", S::NOT_FOUND, G::NotFound, unknown, false)
            }
            Reason::CircuitNotReady => {
                ("circuit-not-ready", S::SERVICE_UNAVAILABLE, G::Unavailable, unknown, true)
            }
            Reason::KeyConflict => {
                ("idempotency-conflict", S::CONFLICT, G::AlreadyExists, aborted, false)
            }
            Reason::WrongState => {
                ("wrong-state", S::CONFLICT, G::FailedPrecondition, aborted, false)
            }
            Reason::InvalidWitness => {
                ("invalid-witness", S::UNPROCESSABLE_ENTITY, G::InvalidArgument, invalid, false)
            }
            Reason::CallbackRefused => {
                ("callback-refused", S::UNPROCESSABLE_ENTITY, G::InvalidArgument, aborted, false)
            }
            Reason::TooLarge => ("too-large", S::PAYLOAD_TOO_LARGE, G::OutOfRange, invalid, false),
            Reason::Busy => ("busy", S::SERVICE_UNAVAILABLE, G::Unavailable, memory, true),
            Reason::DoesNotFit => {
                ("does-not-fit", S::UNPROCESSABLE_ENTITY, G::ResourceExhausted, memory, false)
            }
            Reason::OutOfMemory => {
                ("out-of-memory", S::SERVICE_UNAVAILABLE, G::Unavailable, memory, true)
            }
            Reason::Timeout => {
                ("timeout", S::GATEWAY_TIMEOUT, G::DeadlineExceeded, "TIMEOUT", true)
            }
            Reason::Cancelled => ("cancelled", S::CONFLICT, G::Aborted, aborted, false),
            Reason::ProofFailed => {
                ("proof-failed", S::INTERNAL_SERVER_ERROR, G::Internal, failed, true)
            }
            Reason::Stopping => ("stopping", S::SERVICE_UNAVAILABLE, G::Unavailable, aborted, true),
            Reason::Storage => ("storage", S::SERVICE_UNAVAILABLE, G::Unavailable, failed, true),
            Reason::Internal => ("internal", S::INTERNAL_SERVER_ERROR, G::Internal, failed, false),
        }
    }

    /// The stable name.
    pub fn name(self) -> &'static str {
        self.properties().0
    }

    /// Whether a retry can succeed.
    pub fn retriable(self) -> bool {
        self.properties().4
    }
}

/// A failure with its description. As a response it is `application/problem+json`.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The reason.
    pub reason: Reason,
    /// What happened and what to do.
    pub detail: String,
    /// Seconds after which a retry can succeed, if known.
    pub retry_after: Option<f64>,
}

impl Problem {
    /// A problem with this description.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Problem {
        Problem { reason, detail: detail.into(), retry_after: None }
    }

    /// The code of the Midnight proving skills.
    pub(crate) fn skill_code(&self) -> &'static str {
        self.reason.properties().3
    }

    /// Value of `Retry-After` in seconds; `None` if a retry cannot succeed.
    fn retry_seconds(&self) -> Option<u32> {
        let wait = self.retry_after.or(self.reason.retriable().then_some(1.0));
        wait.map(|seconds| seconds.ceil().clamp(1.0, 3600.0) as u32)
    }

    /// The problem details (RFC 9457) as a JSON object.
    pub(crate) fn json(&self) -> serde_json::Value {
        let (name, status, ..) = self.reason.properties();
        json!({
            "type": format!("urn:athanor:problem:{name}"),
            "title": name,
            "status": status.as_u16(),
            "detail": self.detail,
            "retriable": self.reason.retriable(),
            "code": self.skill_code(),
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.reason.properties().1;
        let mut response = (status, self.json().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Status {
        let (name, _, code, _, retriable) = problem.reason.properties();
        let mut metadata = MetadataMap::new();
        metadata.insert("athanor-reason", MetadataValue::from_static(name));
        let retriable = if retriable { "true" } else { "false" };
        metadata.insert("athanor-retriable", MetadataValue::from_static(retriable));
        if let Some(seconds) = problem.retry_seconds() {
            metadata.insert("retry-after", seconds.into());
        }
        Status::with_metadata(code, problem.detail, metadata)
    }
}

/// The body of a problem, for the OpenAPI description.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `Problem::json` makes")]
pub(crate) struct ProblemDetails {
    /// `urn:athanor:problem:` followed by the title.
    r#type: String,
    /// The stable name of the reason.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened and what to do.
    detail: String,
    /// Whether a retry can succeed.
    retriable: bool,
    /// The code of the Midnight proving skills.
    code: String,
}

/// The problem responses of every operation, for the OpenAPI description.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "describes what `Problem` answers")]
pub(crate) enum Problems {
    /// The request cannot be fulfilled as sent.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Refused(ProblemDetails),
    /// The service cannot fulfil the request, now or at all.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Failed(ProblemDetails),
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Problem {
        let mut retry_after = None;
        let reason = match &error {
            JobError::UnknownCircuit(_) => Reason::CircuitNotFound,
            JobError::NotReady(_) => Reason::CircuitNotReady,
            JobError::Input(_) => Reason::InvalidWitness,
            JobError::Refused(Refusal::Busy { retry_after: wait }) => {
                retry_after = Some(wait.as_secs_f64());
                Reason::Busy
            }
            JobError::Refused(Refusal::NotRecorded) => Reason::Storage,
            JobError::Refused(Refusal::DeadlinePassed) | JobError::DeadlineMissed => {
                Reason::Timeout
            }
            JobError::Refused(Refusal::NeverFits { .. } | Refusal::NoWorker { .. }) => {
                Reason::DoesNotFit
            }
            JobError::Refused(_) => Reason::Internal,
            JobError::Failed { code, .. } => reason_of_code(code),
            JobError::Cancelled => Reason::Cancelled,
            JobError::Stopping => Reason::Stopping,
            _ => Reason::Internal,
        };
        Problem { reason, detail: error.to_string(), retry_after }
    }
}

/// The reason for the code of a failed step.
pub(crate) fn reason_of_code(code: &str) -> Reason {
    match code {
        "unsatisfied" | "bad-input" | "wrong-witness" | "bad-witness-file"
        | "bad-witness-value" | "witness-generator" => Reason::InvalidWitness,
        "out-of-memory" => Reason::OutOfMemory,
        _ => Reason::ProofFailed,
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        Problem::new(Reason::Storage, error.to_string())
    }
}
