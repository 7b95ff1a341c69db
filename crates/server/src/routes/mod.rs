//! REST routes.
//!
//! The native API (`/v1`) is routed and described by the same declarations, so that its OpenAPI description
//! (`/openapi.json`) matches the routes. The compatibility APIs are documented by their original projects.

mod health;
mod rapidsnark;
mod skill;
mod v1;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_http::decompression::RequestDecompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::auth::{Caller, Role};
use crate::events;
use crate::problem::{Problem, Reason};
use crate::state::App;
use crate::upload::{self, Upload};

#[derive(OpenApi)]
#[openapi(info(
    title = "Athanor",
    description = "Zero-knowledge proofs as durable jobs. Where the service has tokens, send one: \
                   `Authorization: Bearer <token>`."
))]
struct Description;

/// The native API and its description.
fn v1() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(v1::jobs::submit, v1::jobs::list))
        .routes(routes!(v1::jobs::show, v1::jobs::cancel))
        .routes(routes!(v1::jobs::result))
        .routes(routes!(v1::jobs::events))
        .routes(routes!(v1::jobs::retry))
        .routes(routes!(v1::jobs::prove))
        .routes(routes!(v1::verify::one))
        .routes(routes!(v1::verify::many))
        .routes(routes!(v1::circuits::list))
        .routes(routes!(v1::circuits::show))
        .routes(routes!(v1::circuits::load))
        .routes(routes!(v1::circuits::unload))
        .routes(routes!(v1::status::status))
        .split_for_parts()
}

/// The OpenAPI 3.1 description of the native API, in JSON.
pub fn openapi() -> String {
    v1().1.to_pretty_json().unwrap_or_default()
}

/// All REST routes of the port.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (ours, _) = v1();
    let described = openapi();
    ours.route("/api/prove", post(skill::prove))
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
        .route(
            "/openapi.json",
            get(move || std::future::ready(json_bytes(StatusCode::OK, described.into_bytes()))),
        )
        .fallback(async || {
            Problem::new(Reason::NoSuchRoute, "there is no such path: see /openapi.json")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                Reason::NoSuchMethod,
                "method not allowed for this path: see /openapi.json",
            )
        })
        // `upload` bounds the decompressed length of a body.
        .layer(RequestDecompressionLayer::new())
        .with_state(app)
}

/// The routes of the listener for probes: health and metrics. They need no token, because the operator chooses the
/// address.
pub(crate) fn probes(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(async |State(app): State<Arc<App>>| health::metrics_response(&app)))
        .fallback(async || {
            Problem::new(
                Reason::NoSuchRoute,
                "there is no such path: this listener serves only /health and /metrics",
            )
        })
        .with_state(app)
}

/// The caller of a request, if it has the permissions of `role`.
fn authorize(app: &App, headers: &HeaderMap, role: Role) -> Result<Caller, Problem> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    Caller::authorize(&app.config().tokens, authorization, role)
}

/// Reads a request's body. The caller must have been authorized before.
async fn read_body(app: &App, request: Request) -> Result<Upload, Problem> {
    let (parts, body) = request.into_parts();
    let read = upload::read(&app.input_memory, app.upload_limits(), &parts.headers, body).await;
    read.inspect_err(|problem| events::refused(None, None, problem))
}

/// Largest body in bytes that is parsed on a network thread. A larger one would delay other requests.
const PARSED_IN_PLACE: usize = 64 << 10;

/// Parses a body as JSON.
async fn parse_json<T: DeserializeOwned + Send + 'static>(bytes: Vec<u8>) -> Result<T, Problem> {
    let small = bytes.len() <= PARSED_IN_PLACE;
    let read = move || serde_json::from_slice(&bytes).map_err(|error| bad_json(&error));
    if small {
        return read();
    }
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Problem::new(Reason::Internal, error.to_string()))?
}

/// Parses the query of a URI.
fn parse_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let read = Query::<T>::try_from_uri(uri);
    read.map(|Query(read)| read)
        .map_err(|error| Problem::new(Reason::BadRequest, error.body_text()))
}

fn bad_json(error: &serde_json::Error) -> Problem {
    // The message contains the position and not the text, because a body may contain secrets.
    let message = format!(
        "the body is not the expected JSON object: line {}, column {}: {:?} error",
        error.line(),
        error.column(),
        error.classify()
    );
    Problem::new(Reason::BadRequest, message)
}

fn json_response(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => json_bytes(status, bytes),
        Err(error) => Problem::new(Reason::Internal, error.to_string()).into_response(),
    }
}

/// A response with bytes that are JSON.
fn json_bytes(status: StatusCode, bytes: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, bytes).into_response()
}
