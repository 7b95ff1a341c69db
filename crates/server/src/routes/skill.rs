//! The API of the Midnight proving skills: the same jobs with other names.

use std::sync::Arc;
use std::time::Duration;

use athanor_engine::Input;
use athanor_store::JobState;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{authorize, bad_json, json_response, parse_json, read_body, v1};
use crate::acceptance::{self, SubmitRequest};
use crate::auth::{Caller, Role};
use crate::client_proofs::ClientProof;
use crate::jobs;
use crate::problem::Problem;
use crate::state::App;

/// A failure in the form of the Midnight proving skills.
pub(super) struct SkillProblem(Problem);

impl From<Problem> for SkillProblem {
    fn from(problem: Problem) -> SkillProblem {
        SkillProblem(problem)
    }
}

impl IntoResponse for SkillProblem {
    fn into_response(self) -> Response {
        let (code, message) = (self.0.skill_code(), self.0.detail.clone());
        let mut response = self.0.into_response();
        let body = json!({ "success": false, "error": message, "code": code }).to_string();
        *response.body_mut() = body.into();
        let kind = axum::http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(axum::http::header::CONTENT_TYPE, kind);
        response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
        response
    }
}

#[derive(Deserialize)]
struct Prove {
    #[serde(rename = "circuitId")]
    circuit: String,
    witness: Box<RawValue>,
    /// Milliseconds.
    timeout: Option<u64>,
    #[serde(rename = "priority")]
    _priority: Option<Value>,
}

/// Default wait for a proof in milliseconds.
const DEFAULT_TIMEOUT_MS: u64 = 60_000;

async fn submit(app: &Arc<App>, request: Request) -> Result<(Caller, String, Duration), Problem> {
    let caller = authorize(app, request.headers(), Role::Submit)?;
    let body = read_body(app, request).await?;
    let prove: Prove = parse_json(body.bytes).await?;
    let timeout = Duration::from_millis(prove.timeout.unwrap_or(DEFAULT_TIMEOUT_MS));
    let submit = SubmitRequest {
        circuit: prove.circuit,
        input: signals(&prove.witness)?,
        class: None,
        deadline: None,
        idempotency_key: None,
        callback: None,
        input_memory: body.memory,
    };
    Ok((caller.clone(), acceptance::submit(app, &caller, submit).await?, timeout))
}

/// The input from `witness`: an object of signals, or a pair of public and private signals. The pair is merged into one
/// object, because names of signals are unique in a circuit.
fn signals(witness: &RawValue) -> Result<Input, Problem> {
    #[derive(Deserialize)]
    struct Pair {
        #[serde(rename = "publicInputs")]
        public: serde_json::Map<String, Value>,
        #[serde(rename = "privateInputs")]
        private: serde_json::Map<String, Value>,
    }
    match serde_json::from_str::<Pair>(witness.get()) {
        Ok(Pair { mut public, private }) => {
            public.extend(private);
            Ok(Input::new("json", Value::Object(public).to_string().into_bytes()))
        }
        Err(_) => Ok(jobs::json_input(witness)),
    }
}

fn proof_json(id: &str, result: &[u8]) -> Result<Value, Problem> {
    let result: Value = serde_json::from_slice(result).map_err(|error| bad_json(&error))?;
    Ok(json!({
        "success": true,
        "jobId": id,
        "proof": result["proof"],
        "publicInputs": result["publicSignals"],
    }))
}

/// `POST /api/prove`.
pub(super) async fn prove(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, SkillProblem> {
    let (caller, id, timeout) = submit(&app, request).await?;
    let output = jobs::wait(&app, &caller, &id, timeout).await?;
    Ok(json_response(StatusCode::OK, &proof_json(&id, &output.bytes)?))
}

/// `POST /api/prove/async`.
pub(super) async fn prove_async(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, SkillProblem> {
    let (_, id, _) = submit(&app, request).await?;
    Ok(json_response(StatusCode::ACCEPTED, &json!({ "jobId": id, "status": "queued" })))
}

/// `GET /api/prove/status/{id}`.
pub(super) async fn status(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, SkillProblem> {
    let caller = authorize(&app, &headers, Role::Read)?;
    let row = jobs::find_row(&app, &caller, &id).await?;
    let running = |app: &App| {
        let open = app.find_open_job(&caller.tenant, &id).map(|job| job.handle.status());
        matches!(open, Some(athanor_engine::Status::Accepted { stage: Some(_), .. }))
    };
    let (status, result, error) = match row.state {
        JobState::Accepted if running(&app) => ("processing", None, None),
        JobState::Accepted => ("queued", None, None),
        JobState::Complete => {
            let result = jobs::result(&app, &caller, &id).await?;
            ("completed", Some(proof_json(&id, &result)?), None)
        }
        _ => match jobs::result(&app, &caller, &id).await {
            Err(problem) => ("failed", None, Some(problem)),
            Ok(_) => ("completed", None, None),
        },
    };
    let error = error.map(|e| json!({ "code": e.skill_code(), "message": e.detail }));
    Ok(json_response(
        StatusCode::OK,
        &json!({
            "jobId": id,
            "status": status,
            "createdAt": row.created,
            "result": result,
            "error": error,
        }),
    ))
}

#[derive(Deserialize)]
struct Verify {
    #[serde(rename = "circuitId")]
    circuit: String,
    proof: Box<RawValue>,
    #[serde(rename = "publicInputs")]
    public: Box<RawValue>,
}

/// `POST /api/verify`.
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, SkillProblem> {
    authorize(&app, request.headers(), Role::Read)?;
    let body = read_body(&app, request).await?;
    let request: Verify = parse_json(body.bytes).await?;
    let began = std::time::Instant::now();
    let proof = ClientProof { proof: request.proof, public: request.public };
    let valid = v1::verify::verify_one(&app, &request.circuit, proof).await?.valid;
    Ok(json_response(
        StatusCode::OK,
        &json!({
            "valid": valid,
            "circuitId": request.circuit,
            "duration": began.elapsed().as_secs_f64() * 1e3,
        }),
    ))
}

/// `GET /api/circuits`.
pub(super) async fn circuits(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, SkillProblem> {
    authorize(&app, &headers, Role::Read)?;
    let names: Vec<String> = app.engine.circuits().into_iter().map(|c| c.name).collect();
    Ok(json_response(StatusCode::OK, &json!({ "circuits": names })))
}
