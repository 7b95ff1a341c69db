//! `/v1/circuits`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::{authorize, json_response};
use crate::auth::Role;
use crate::circuits;
use crate::problem::{Problem, Problems};
use crate::responses::{Circuit, Circuits};
use crate::state::App;

/// All circuits of the catalog and all loaded circuits.
#[utoipa::path(
    get,
    path = "/v1/circuits",
    tag = "circuits",
    responses(
        (status = 200, body = Circuits),
        Problems,
    )
)]
pub(in crate::routes) async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    authorize(&app, &headers, Role::Read)?;
    Ok(json_response(StatusCode::OK, &Circuits { circuits: circuits::list(&app) }))
}

/// One circuit.
#[utoipa::path(
    get,
    path = "/v1/circuits/{name}",
    tag = "circuits",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Circuit),
        Problems,
    )
)]
pub(in crate::routes) async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    authorize(&app, &headers, Role::Read)?;
    Ok(json_response(StatusCode::OK, &circuits::describe(&app, &name)?))
}

/// Begins to load a circuit and responds at once. The circuit is ready after its warm-up proof.
#[utoipa::path(
    post,
    path = "/v1/circuits/{name}/load",
    tag = "circuits",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Circuit, description = "it is ready"),
        (status = 202, body = Circuit, description = "it is loading"),
        Problems,
    )
)]
pub(in crate::routes) async fn load(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    authorize(&app, &headers, Role::Admin)?;
    let circuit = circuits::load(&app, &name)?;
    let status = match circuit.state {
        "ready" => StatusCode::OK,
        _ => StatusCode::ACCEPTED,
    };
    Ok(json_response(status, &circuit))
}

/// Unloads a circuit: it accepts no more jobs. The memory of its key is freed after its last job.
#[utoipa::path(
    post,
    path = "/v1/circuits/{name}/unload",
    tag = "circuits",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Circuit),
        Problems,
    )
)]
pub(in crate::routes) async fn unload(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    authorize(&app, &headers, Role::Admin)?;
    Ok(json_response(StatusCode::OK, &circuits::unload(&app, &name)?))
}
