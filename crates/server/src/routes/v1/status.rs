//! `/v1/status`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::{authorize, json_response};
use crate::auth::Role;
use crate::problem::{Problem, Problems};
use crate::responses::Status;
use crate::state::App;

/// The status of the service.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "status",
    responses(
        (status = 200, body = Status),
        Problems,
    )
)]
pub(in crate::routes) async fn status(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = authorize(&app, &headers, Role::Read)?;
    Ok(json_response(StatusCode::OK, &Status::of(&app, &caller)?))
}
