//! What is at which path.

mod health;
mod rapidsnark;
mod skill;
mod v1;

pub(crate) use v1::begin_load;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::auth::{Caller, Role};
use crate::problem::{Problem, Reason};
use crate::state::App;

/// Everything behind the port.
pub(crate) fn router(app: Arc<App>) -> Router {
    let limits = app.config.limits;
    Router::new()
        .route("/v1/jobs", post(v1::submit).get(v1::list))
        .route("/v1/jobs/{id}", get(v1::show).merge(delete(v1::cancel)))
        .route("/v1/jobs/{id}/result", get(v1::result))
        .route("/v1/jobs/{id}/events", get(v1::events))
        .route("/v1/jobs/{id}/retry", post(v1::retry))
        .route("/v1/prove", post(v1::prove))
        .route("/v1/verify", post(v1::verify))
        .route("/v1/circuits", get(v1::circuits))
        .route("/v1/circuits/{name}", get(v1::circuit))
        .route("/v1/circuits/{name}/load", post(v1::load))
        .route("/v1/circuits/{name}/unload", post(v1::unload))
        .route("/v1/status", get(v1::status))
        .route("/api/prove", post(skill::prove))
        .route("/api/prove/async", post(skill::prove_async))
        .route("/api/prove/status/{id}", get(skill::status))
        .route("/api/verify", post(skill::verify))
        .route("/api/circuits", get(skill::circuits))
        .route("/input/{circuit}", post(rapidsnark::input))
        .route("/status", get(rapidsnark::status))
        .route("/cancel", post(rapidsnark::cancel))
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, Problem::new(Reason::BadRequest, "there is nothing here"))
                .into_response()
        })
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(limits.body_seconds)))
        .with_state(app)
}

/// Who asks, if they may.
fn caller(app: &App, headers: &HeaderMap, role: Role) -> Result<Caller, Problem> {
    let caller = Caller::of(&app.config.tokens, headers)?;
    caller.may(role)?;
    Ok(caller)
}

/// A body that could not be read or parsed.
fn bad_body(error: axum::extract::rejection::BytesRejection) -> Problem {
    let reason = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Reason::TooLarge,
        _ => Reason::BadRequest,
    };
    Problem::new(reason, error.body_text())
}

fn bad_json(error: &serde_json::Error) -> Problem {
    // The place, and not what stood there: a body may hold secrets.
    let message = format!(
        "the body is not the JSON object that is wanted: line {}, column {}: {:?} error",
        error.line(),
        error.column(),
        error.classify()
    );
    Problem::new(Reason::BadRequest, message)
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    let headers = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (status, headers, value.to_string()).into_response()
}

/// A verified result's own bytes, which are JSON.
fn raw_json(status: StatusCode, bytes: Vec<u8>) -> Response {
    let headers = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (status, headers, bytes).into_response()
}
