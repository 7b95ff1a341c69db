//! `/v1/jobs` and `/v1/prove`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use athanor_engine::Input;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::super::{authorize, bad_json, json_bytes, json_response, parse_query, read_body};
use crate::acceptance::{self, SubmitRequest};
use crate::auth::Role;
use crate::jobs::{self, ProofOutput};
use crate::problem::{Problem, Problems, Reason};
use crate::responses::{Accepted, Job, JobEvent, Jobs};
use crate::state::App;
use crate::upload::Upload;

/// A job to submit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct Submit {
    circuit: String,
    /// Signals in the form that the circuit's witness generator reads.
    #[schema(value_type = Object)]
    input: Box<RawValue>,
    /// `critical`, `high`, `normal` or `batch`.
    class: Option<String>,
    /// Seconds from now after which the proof is not wanted.
    deadline_seconds: Option<f64>,
    /// URL that receives a POST when the job has ended, if its origin is allowed.
    callback: Option<String>,
}

/// A job to submit, in the query. The body is the input.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct SubmitQuery {
    /// If present, the body is the input itself and not a JSON object with `input`.
    circuit: Option<String>,
    /// The kind of the input: `json` (the default) or `wtns`.
    kind: Option<String>,
    /// `critical`, `high`, `normal` or `batch`.
    class: Option<String>,
    /// Seconds from now after which the proof is not wanted.
    deadline_seconds: Option<f64>,
    /// URL that receives a POST when the job has ended, if its origin is allowed.
    callback: Option<String>,
}

fn build_request(
    headers: &HeaderMap,
    query: SubmitQuery,
    body: Upload,
) -> Result<SubmitRequest, Problem> {
    let key = headers.get("idempotency-key").map(|value| {
        value.to_str().map(str::to_owned).map_err(|_| {
            Problem::new(Reason::BadRequest, "the Idempotency-Key must be printable ASCII")
        })
    });
    let idempotency_key = key.transpose()?;
    let Upload { bytes, memory } = body;
    let (circuit, input, class, deadline, callback) = match query.circuit {
        // The body is the input; the query has its kind.
        Some(circuit) => {
            let kind = query.kind.as_deref().unwrap_or("json");
            let input = Input::new(kind, bytes);
            (circuit, input, query.class, query.deadline_seconds, query.callback)
        }
        None => {
            let submit: Submit = serde_json::from_slice(&bytes).map_err(|e| bad_json(&e))?;
            let input = jobs::json_input(&submit.input);
            (submit.circuit, input, submit.class, submit.deadline_seconds, submit.callback)
        }
    };
    let deadline = deadline.map(jobs::deadline_after).transpose()?;
    Ok(SubmitRequest {
        circuit,
        input,
        class,
        deadline,
        idempotency_key,
        callback,
        input_memory: memory,
    })
}

async fn receive_and_submit(
    app: &Arc<App>,
    request: Request,
) -> Result<(String, crate::auth::Caller), Problem> {
    let caller = authorize(app, request.headers(), Role::Submit)?;
    let query: SubmitQuery = parse_query(request.uri())?;
    let headers = request.headers().clone();
    let body = read_body(app, request).await?;
    Ok((acceptance::submit(app, &caller, build_request(&headers, query, body)?).await?, caller))
}

/// Submits a job and responds when it is durable.
#[utoipa::path(
    post,
    path = "/v1/jobs",
    tag = "jobs",
    params(SubmitQuery, ("Idempotency-Key" = Option<String>, Header, description = "the same key with the same request is the same job")),
    request_body(content((Submit = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 202, body = Accepted, headers(("Location" = String))),
        Problems,
    )
)]
pub(in crate::routes) async fn submit(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    let (id, _) = receive_and_submit(&app, request).await?;
    let url = format!("/v1/jobs/{id}");
    let location = url.parse();
    let mut response = json_response(StatusCode::ACCEPTED, &Accepted { id, url });
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Submits a job and waits for its proof.
#[utoipa::path(
    post,
    path = "/v1/prove",
    tag = "jobs",
    params(SubmitQuery, ("Idempotency-Key" = Option<String>, Header, description = "the same key with the same request is the same job")),
    request_body(content((Submit = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 200, body = Object, description = "`proof` and `publicSignals`, as snarkjs writes them", headers(("Athanor-Job" = String), ("Server-Timing" = String))),
        Problems,
    )
)]
pub(in crate::routes) async fn prove(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    let (id, caller) = receive_and_submit(&app, request).await?;
    let timeout = Duration::from_secs(app.config().limits.wait_seconds);
    let ProofOutput { bytes, stages } = jobs::wait(&app, &caller, &id, timeout).await?;
    let mut response = json_bytes(StatusCode::OK, bytes);
    if let Ok(timing) = server_timing(&stages).parse() {
        response.headers_mut().insert("server-timing", timing);
    }
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("athanor-job", id);
    }
    Ok(response)
}

/// The durations of stages as a `Server-Timing` header (W3C).
fn server_timing(stages: &[(String, Duration)]) -> String {
    let one = |(name, time): &(String, Duration)| {
        format!("{};dur={:.3}", name.replace(' ', "-"), time.as_secs_f64() * 1e3)
    };
    stages.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// A page of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct ListQuery {
    /// `next` of the previous page.
    before: Option<u64>,
    /// Number of jobs, 50 by default and at most 500.
    limit: Option<u32>,
}

/// The tenant's jobs, newest first.
#[utoipa::path(
    get,
    path = "/v1/jobs",
    tag = "jobs",
    params(ListQuery),
    responses(
        (status = 200, body = Jobs),
        Problems,
    )
)]
pub(in crate::routes) async fn list(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = authorize(&app, request.headers(), Role::Read)?;
    let page: ListQuery = parse_query(request.uri())?;
    let jobs = jobs::list(&app, &caller, page.before, page.limit).await?;
    Ok(json_response(StatusCode::OK, &jobs))
}

/// The state of a job.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = Job),
        Problems,
    )
)]
pub(in crate::routes) async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = authorize(&app, &headers, Role::Read)?;
    Ok(json_response(StatusCode::OK, &jobs::show(&app, &caller, &id).await?))
}

/// The verified proof and its public signals.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/result",
    tag = "jobs",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = Object, description = "`proof` and `publicSignals`, as snarkjs writes them"),
        Problems,
    )
)]
pub(in crate::routes) async fn result(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = authorize(&app, &headers, Role::Read)?;
    Ok(json_bytes(StatusCode::OK, jobs::result(&app, &caller, &id).await?))
}

/// Cancels a job. It can be retried.
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path)),
    responses(
        (status = 204),
        Problems,
    )
)]
pub(in crate::routes) async fn cancel(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = authorize(&app, &headers, Role::Submit)?;
    jobs::cancel(&app, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Retries a job that ended without a result.
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/retry",
    tag = "jobs",
    params(("id" = String, Path)),
    responses(
        (status = 202, body = Job),
        Problems,
    )
)]
pub(in crate::routes) async fn retry(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = authorize(&app, &headers, Role::Submit)?;
    acceptance::retry(&app, &caller, &id).await?;
    Ok(json_response(StatusCode::ACCEPTED, &jobs::show(&app, &caller, &id).await?))
}

/// Status changes of a job as server-sent events, until it has ended.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    tag = "jobs",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = String, content_type = "text/event-stream", description = "events `entering`, `progress`, and `complete` or `ended` as the last"),
        Problems,
    )
)]
pub(in crate::routes) async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = authorize(&app, &headers, Role::Read)?;
    let row = jobs::find_row(&app, &caller, &id).await?;
    let events: EventStream = match app.find_open_job(&caller.tenant, &id) {
        Some(job) => Box::pin(jobs::watch(job).map(|event| Ok(sse_event(&event)))),
        None => Box::pin(futures_util::stream::iter([Ok(sse_event(&JobEvent::from_row(&row)))])),
    };
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

type EventStream = Pin<Box<dyn Stream<Item = Result<sse::Event, Infallible>> + Send>>;

fn sse_event(event: &JobEvent) -> sse::Event {
    sse::Event::default().event(event.name()).data(event.json().to_string())
}
