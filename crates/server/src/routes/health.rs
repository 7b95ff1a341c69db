//! Health and metrics. Health needs no token and contains nothing about jobs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{authorize, json_response};
use crate::auth::Role;
use crate::problem::Problem;
use crate::readiness;
use crate::state::App;

/// `GET /health/live`: whether the engine's thread responds.
pub(super) async fn live(State(app): State<Arc<App>>) -> Response {
    let engine = readiness::engine_health(&app);
    json_response(status(engine.live), &json!({ "live": engine.live, "engine": engine }))
}

/// `GET /health/ready`: whether the service accepts jobs, with each condition.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    let readiness = readiness::check(&app).await;
    json_response(status(readiness.ready), &readiness)
}

/// `GET /health`: liveness in the form that most probes expect.
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let engine = readiness::engine_health(&app);
    let word = match (app.stopping.load(Ordering::Relaxed), engine.live) {
        (_, false) => "unhealthy",
        (true, true) => "stopping",
        (false, true) => "healthy",
    };
    let uptime = app.began.elapsed().as_secs();
    let response = json!({ "status": word, "uptime": uptime, "engine": engine });
    json_response(status(word == "healthy"), &response)
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// `GET /metrics`.
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    authorize(&app, &headers, Role::Read)?;
    Ok(metrics_response(&app))
}

/// The metrics, without authorization.
pub(super) fn metrics_response(app: &App) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (StatusCode::OK, kind, crate::metrics::render(app)).into_response()
}
