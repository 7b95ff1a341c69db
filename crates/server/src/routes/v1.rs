//! Our own form.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use athanor_engine::Input;
use athanor_store::Page;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{bad_body, bad_json, caller, json as answer, raw_json};
use crate::auth::{Caller, Role};
use crate::jobs::{self, Asked};
use crate::problem::{Problem, Reason};
use crate::state::{App, Loading};

type Body = Result<Bytes, BytesRejection>;

/// A submit in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submit {
    circuit: String,
    /// Signals, as the circuit's witness generator takes them.
    input: Box<RawValue>,
    class: Option<String>,
    deadline_seconds: Option<f64>,
}

/// The same in the query, for a body of the input's own bytes.
#[derive(Deserialize)]
pub(super) struct SubmitQuery {
    circuit: Option<String>,
    kind: Option<String>,
    class: Option<String>,
    deadline_seconds: Option<f64>,
}

fn asked(headers: &HeaderMap, query: SubmitQuery, body: Body) -> Result<Asked, Problem> {
    let body = body.map_err(bad_body)?;
    let key = headers.get("idempotency-key").map(|value| {
        value.to_str().map(str::to_owned).map_err(|_| {
            Problem::new(Reason::BadRequest, "the Idempotency-Key is not printable ASCII")
        })
    });
    let idempotency_key = key.transpose()?;
    let (circuit, input, class, deadline) = match query.circuit {
        // The input's own bytes; what they are, the query says.
        Some(circuit) => {
            let kind = query.kind.as_deref().unwrap_or("json");
            (circuit, Input::new(kind, body.to_vec()), query.class, query.deadline_seconds)
        }
        None => {
            let submit: Submit = serde_json::from_slice(&body).map_err(|e| bad_json(&e))?;
            let input = jobs::json_input(&submit.input);
            (submit.circuit, input, submit.class, submit.deadline_seconds)
        }
    };
    let deadline = deadline.map(|seconds| {
        Duration::try_from_secs_f64(seconds).map_err(|_| {
            Problem::new(Reason::BadRequest, "deadline_seconds is no time from now on")
        })
    });
    Ok(Asked { circuit, input, class, deadline: deadline.transpose()?, idempotency_key })
}

/// `POST /v1/jobs`: accepted and durable, or refused.
pub(super) async fn submit(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(query): Query<SubmitQuery>,
    body: Body,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, Role::Submit)?;
    let id = jobs::submit(&app, &caller, asked(&headers, query, body)?).await?;
    let place = format!("/v1/jobs/{id}");
    let mut response = answer(StatusCode::ACCEPTED, &json!({ "id": id, "url": place }));
    if let Ok(place) = place.parse() {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// `POST /v1/prove`: submits and waits for the proof.
pub(super) async fn prove(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(query): Query<SubmitQuery>,
    body: Body,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, Role::Submit)?;
    let id = jobs::submit(&app, &caller, asked(&headers, query, body)?).await?;
    let patience = Duration::from_secs(app.config.limits.wait_seconds);
    let result = jobs::wait(&app, &caller, &id, patience).await?;
    let mut response = raw_json(StatusCode::OK, result);
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("athanor-job", id);
    }
    Ok(response)
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    before: Option<u64>,
    limit: Option<u32>,
}

/// `GET /v1/jobs`: the tenant's, newest first; `next` is the cursor of the next page.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, Role::Read)?;
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let rows = app.store.list(&caller.tenant, &Page { before: query.before, limit }).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| row.number.0);
    let described: Vec<Value> = rows.iter().map(|row| jobs::describe(&app, row)).collect();
    Ok(answer(StatusCode::OK, &json!({ "jobs": described, "next": next })))
}

/// `GET /v1/jobs/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, Role::Read)?;
    let row = jobs::row_of(&app, &caller, &id).await?;
    Ok(answer(StatusCode::OK, &jobs::describe(&app, &row)))
}

/// `GET /v1/jobs/{id}/result`: the verified proof and its public signals.
pub(super) async fn result(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, Role::Read)?;
    Ok(raw_json(StatusCode::OK, jobs::result(&app, &caller, &id).await?))
}

/// `DELETE /v1/jobs/{id}`: cancels it.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, Role::Submit)?;
    jobs::cancel(&app, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/jobs/{id}/retry`: revives a job that ended without a result.
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, Role::Submit)?;
    jobs::retry(&app, &caller, &id).await?;
    Ok(answer(StatusCode::ACCEPTED, &json!({ "id": id })))
}

/// `GET /v1/jobs/{id}/events`: server-sent events until the job ends.
pub(super) async fn events(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, Role::Read)?;
    let row = jobs::row_of(&app, &caller, &id).await?;
    let watch = match app.open_job(&caller.tenant, &id) {
        Some(job) => Sse::new(Box::pin(watch(job)) as Events),
        None => {
            let event = Event::default().event(row.state.name());
            let event = event.data(jobs::describe(&app, &row).to_string());
            Sse::new(Box::pin(futures_util::stream::iter([Ok(event)])) as Events)
        }
    };
    Ok(watch.keep_alive(KeepAlive::default()).into_response())
}

type Events = std::pin::Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>;

/// Every standing of a job that there is time to tell.
fn watch(job: Arc<crate::state::OpenJob>) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold((job, 0, false), |(job, seen, over)| async move {
        if over {
            return None;
        }
        let (status, version) = job.handle.next(seen).await;
        let (name, data) = jobs::event(&status);
        let event = Event::default().event(name).data(data.to_string());
        let over = matches!(status, athanor_engine::Status::Ended(_));
        Some((Ok(event), (job, version, over)))
    })
}

/// A proof to verify.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    pub(super) circuit: String,
    pub(super) proof: Box<RawValue>,
    #[serde(rename = "publicSignals")]
    pub(super) public: Box<RawValue>,
}

/// `POST /v1/verify`: `{"valid": ...}`.
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller(&app, &headers, Role::Read)?;
    let body = body.map_err(bad_body)?;
    let asked: Verify = serde_json::from_slice(&body).map_err(|error| bad_json(&error))?;
    let (valid, why) = check(&app, &asked.circuit, &asked.proof, &asked.public).await?;
    Ok(answer(StatusCode::OK, &json!({ "valid": valid, "reason": why })))
}

/// Whether a proof is valid, and why not.
pub(super) async fn check(
    app: &Arc<App>,
    circuit: &str,
    proof: &RawValue,
    public: &RawValue,
) -> Result<(bool, Option<String>), Problem> {
    let bundle = format!("{{\"proof\":{},\"publicSignals\":{}}}", proof.get(), public.get());
    let (app, circuit) = (app.clone(), circuit.to_owned());
    let verified =
        tokio::task::spawn_blocking(move || app.engine.verify(&circuit, bundle.as_bytes())).await;
    match verified.map_err(|error| Problem::new(Reason::Internal, error.to_string()))? {
        Ok(()) => Ok((true, None)),
        Err(error @ athanor_engine::JobError::UnknownCircuit(_)) => Err(error.into()),
        Err(error) => Ok((false, Some(error.to_string()))),
    }
}

fn describe_circuits(app: &App) -> Vec<Value> {
    let loaded = app.engine.circuits();
    let loading = app.loading().clone();
    let mut names = app.catalog.names().unwrap_or_default();
    names.extend(loaded.iter().map(|circuit| circuit.name.clone()));
    names.sort();
    names.dedup();
    let describe = |name: String| {
        let found = loaded.iter().find(|circuit| circuit.name == name);
        let (state, why) = match (found, loading.get(&name)) {
            (_, Some(Loading::Running)) => ("loading", None),
            (Some(_), _) => ("ready", None),
            (None, Some(Loading::Failed(why))) => ("failed", Some(why.clone())),
            (None, None) => ("unloaded", None),
        };
        json!({
            "name": name,
            "state": state,
            "reason": why,
            "proof_system": found.map(|circuit| circuit.about.proof_system.clone()),
            "curve": found.map(|circuit| circuit.about.curve.clone()),
            "key_resident": found.is_some_and(|circuit| circuit.resident),
        })
    };
    names.into_iter().map(describe).collect()
}

/// `GET /v1/circuits`.
pub(super) async fn circuits(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller(&app, &headers, Role::Read)?;
    Ok(answer(StatusCode::OK, &json!({ "circuits": describe_circuits(&app) })))
}

/// `GET /v1/circuits/{name}`.
pub(super) async fn circuit(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    caller(&app, &headers, Role::Read)?;
    let found = describe_circuits(&app).into_iter().find(|circuit| circuit["name"] == *name);
    let mut found = found.ok_or_else(|| unknown(&name))?;
    if let Ok(manifest) = app.catalog.manifest(&name) {
        found["manifest"] = serde_json::to_value(&manifest).unwrap_or_default();
    }
    Ok(answer(StatusCode::OK, &found))
}

fn unknown(name: &str) -> Problem {
    Problem::new(Reason::CircuitNotFound, format!("there is no circuit {name:?}"))
}

/// `POST /v1/circuits/{name}/load`: returns at once; the circuit is ready after its warm-up proof.
pub(super) async fn load(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    caller(&app, &headers, Role::Admin)?;
    app.catalog
        .manifest(&name)
        .map_err(|error| Problem::new(Reason::CircuitNotFound, error.to_string()))?;
    if app.engine.circuits().iter().any(|circuit| circuit.name == name) {
        return Ok(answer(StatusCode::OK, &json!({ "name": name, "state": "ready" })));
    }
    begin_load(&app, name.clone());
    Ok(answer(StatusCode::ACCEPTED, &json!({ "name": name, "state": "loading" })))
}

/// Loads a circuit on a thread of its own, unless that is under way.
pub(crate) fn begin_load(app: &Arc<App>, name: String) {
    if let Some(Loading::Running) = app.loading().insert(name.clone(), Loading::Running) {
        return;
    }
    let app = app.clone();
    tokio::task::spawn_blocking(move || {
        let loaded = app.engine.open(&app.catalog, &name, &app.backends);
        let mut loading = app.loading();
        match loaded {
            Ok(()) => _ = loading.remove(&name),
            Err(error) => {
                let why = error.to_string();
                crate::run::say(&format!("circuit {name:?} is not served: {why}"));
                loading.insert(name, Loading::Failed(why));
            }
        }
    });
}

/// `POST /v1/circuits/{name}/unload`.
pub(super) async fn unload(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    caller(&app, &headers, Role::Admin)?;
    app.engine.unload(&name).map_err(|_| unknown(&name))?;
    app.loading().remove(&name);
    Ok(answer(StatusCode::OK, &json!({ "name": name, "state": "unloaded" })))
}

/// `GET /v1/status`.
pub(super) async fn status(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller: Caller = caller(&app, &headers, Role::Read)?;
    let standing = app.engine.standing();
    let standing =
        standing.ok_or_else(|| Problem::new(Reason::Stopping, "the engine has stopped"))?;
    let counts = standing.stats.counts();
    let own = app.open().values().filter(|job| job.tenant == caller.tenant).count();
    Ok(answer(
        StatusCode::OK,
        &json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": app.began.elapsed().as_secs(),
            "stopping": app.stopping.load(Ordering::Relaxed),
            "memory": {
                "budget": standing.budget,
                "reserved": standing.reserved,
                "resident": standing.resident,
                "drift": standing.drift(),
            },
            "jobs": {
                "open": standing.open_jobs,
                "yours": own,
                "accepted": counts.accepted,
                "complete": counts.complete,
                "failed": counts.failed,
                "cancelled": counts.cancelled,
                "late": counts.late,
            },
            "counters": standing.counters,
            "circuits": describe_circuits(&app),
        }),
    ))
}
