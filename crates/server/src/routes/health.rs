//! Whether it lives, whether it can serve, and its numbers. These need no token and tell nothing of
//! anybody's jobs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{answer, caller};
use crate::auth::Role;
use crate::problem::Problem;
use crate::state::{App, Loading};

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Response {
    answer(StatusCode::OK, &json!({ "live": true }))
}

/// `GET /health/ready`: it takes jobs; circuits apart.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let stopping = app.stopping.load(Ordering::Relaxed);
    let devices = app.engine.beats() > 0 || app.began.elapsed().as_secs() < 5;
    let loading = app.loading();
    let waiting = loading.values().filter(|state| matches!(state, Loading::Running)).count();
    let failed = loading.values().filter(|state| matches!(state, Loading::Failed(_))).count();
    let ready = !stopping && devices;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(
        status,
        &json!({
            "ready": ready,
            "server": !stopping,
            "device": devices,
            "circuits": { "loading": waiting, "failed": failed },
        }),
    )
}

/// `GET /health`, as most probes know it.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let stopping = app.stopping.load(Ordering::Relaxed);
    let (status, word) = match stopping {
        false => (StatusCode::OK, "healthy"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    answer(status, &json!({ "status": word, "uptime": app.began.elapsed().as_secs() }))
}

/// `GET /metrics`.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller(&app, &headers, Role::Read)?;
    Ok(figures(&app))
}

/// The metrics, whoever asks.
pub(super) fn figures(app: &App) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, kind, crate::metrics::render(app)).into_response()
}
