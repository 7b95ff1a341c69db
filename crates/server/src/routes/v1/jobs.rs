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

/// A submit in JSON.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct Submit {
    circuit: String,
    /// Signals, as the circuit's witness generator takes them.
    #[schema(value_type = Object)]
    input: Box<RawValue>,
    /// `critical`, `high`, `normal` or `batch`.
    class: Option<String>,
    /// From now on.
    deadline_seconds: Option<f64>,
    /// Told by POST of the job's end, if its origin is allowed.
    callback: Option<String>,
}

/// The same in the query, for a body of the input's own bytes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct SubmitQuery {
    /// If it is here, the body is the input's own bytes.
    circuit: Option<String>,
    /// What the bytes are: `json` or `wtns`.
    kind: Option<String>,
    /// `critical`, `high`, `normal` or `batch`.
    class: Option<String>,
    /// From now on.
    deadline_seconds: Option<f64>,
    /// Told by POST of the job's end, if its origin is allowed.
    callback: Option<String>,
}

fn build_request(
    headers: &HeaderMap,
    query: SubmitQuery,
    body: Upload,
) -> Result<SubmitRequest, Problem> {
    let key = headers.get("idempotency-key").map(|value| {
        value.to_str().map(str::to_owned).map_err(|_| {
            Problem::new(Reason::BadRequest, "the Idempotency-Key is not printable ASCII")
        })
    });
    let idempotency_key = key.transpose()?;
    let Upload { bytes, memory } = body;
    let (circuit, input, class, deadline, callback) = match query.circuit {
        // The input's own bytes; what they are, the query says.
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

/// Accepts a job; the answer comes when it is durable.
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

/// Submits and waits for the proof.
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

/// How long the stages took, as browsers and proxies read it (the W3C's Server Timing).
fn server_timing(stages: &[(String, Duration)]) -> String {
    let one = |(name, time): &(String, Duration)| {
        format!("{};dur={:.3}", name.replace(' ', "-"), time.as_secs_f64() * 1e3)
    };
    stages.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Which page of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct ListQuery {
    /// The cursor that the page before ended with.
    before: Option<u64>,
    /// At most so many, 500 at most.
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

/// How a job stands.
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

/// Cancels a job; it can be revived.
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

/// Revives a job that ended without a result.
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

/// Server-sent events until the job has ended.
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
    let events: EventStream = match app.open_job(&caller.tenant, &id) {
        Some(job) => Box::pin(jobs::watch(job).map(|event| Ok(sse_event(&event)))),
        None => Box::pin(futures_util::stream::iter([Ok(sse_event(&JobEvent::from_row(&row)))])),
    };
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

type EventStream = Pin<Box<dyn Stream<Item = Result<sse::Event, Infallible>> + Send>>;

fn sse_event(event: &JobEvent) -> sse::Event {
    sse::Event::default().event(event.name()).data(event.json().to_string())
}
