//! The API of rapidsnark-server: one input at a time, and a status of the last one. It uses ordinary jobs; "the
//! last one" is the newest job of the tenant.

use std::sync::Arc;

use athanor_engine::Input;
use athanor_store::{JobRow, JobState, Page};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::{authorize, json_response, read_body};
use crate::acceptance::{self, SubmitRequest};
use crate::auth::{Caller, Role};
use crate::jobs;
use crate::problem::Problem;
use crate::state::App;

/// `POST /input/{circuit}`: signals in JSON.
pub(super) async fn input(
    State(app): State<Arc<App>>,
    Path(circuit): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = authorize(&app, request.headers(), Role::Submit)?;
    let body = read_body(&app, request).await?;
    let submit = SubmitRequest {
        circuit,
        input: Input::new("json", body.bytes),
        class: None,
        deadline: None,
        idempotency_key: None,
        callback: None,
        input_memory: body.memory,
    };
    acceptance::submit(&app, &caller, submit).await?;
    Ok(json_response(StatusCode::OK, &json!({ "status": "busy" })))
}

async fn newest(app: &App, caller: &Caller) -> Result<Option<JobRow>, Problem> {
    let rows = app.store.list(&caller.tenant, &Page { before: None, limit: 1 }).await?;
    Ok(rows.into_iter().next())
}

/// `GET /status`.
pub(super) async fn status(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = authorize(&app, &headers, Role::Read)?;
    let response = match newest(&app, &caller).await? {
        None => json!({ "status": "ready" }),
        Some(row) => match row.state {
            JobState::Accepted => json!({ "status": "busy" }),
            JobState::Cancelled => json!({ "status": "aborted" }),
            JobState::Complete => {
                let bytes = jobs::result(&app, &caller, &row.public).await?;
                let result: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                json!({
                    "status": "success",
                    "proof": result["proof"].to_string(),
                    "pubData": result["publicSignals"].to_string(),
                })
            }
            JobState::Failed | JobState::DeadlineMissed => {
                json!({ "status": "failed", "error": row.message })
            }
        },
    };
    Ok(json_response(StatusCode::OK, &response))
}

/// `POST /cancel`.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = authorize(&app, &headers, Role::Submit)?;
    if let Some(row) = newest(&app, &caller).await?
        && row.state == JobState::Accepted
    {
        jobs::cancel(&app, &caller, &row.public).await?;
    }
    Ok(json_response(StatusCode::OK, &json!({ "status": "aborted" })))
}
