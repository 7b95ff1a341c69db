//! `/v1/verify`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::{answer, caller, parse, receive};
use crate::answers::{Verdict, Verdicts};
use crate::auth::Role;
use crate::problem::{Problem, Problems, Reason};
use crate::state::App;
use crate::upload::Upload;
use crate::verify::{self, Claim};

/// A proof to verify.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct Verify {
    circuit: String,
    /// As snarkjs writes it.
    #[schema(value_type = Object)]
    proof: Box<RawValue>,
    /// As snarkjs writes them.
    #[serde(rename = "publicSignals")]
    #[schema(value_type = Vec<String>)]
    public: Box<RawValue>,
}

/// Proofs of one circuit to verify together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct VerifyMany {
    circuit: String,
    claims: Vec<OneOfMany>,
}

/// One of many proofs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct OneOfMany {
    /// As snarkjs writes it.
    #[schema(value_type = Object)]
    proof: Box<RawValue>,
    /// As snarkjs writes them.
    #[serde(rename = "publicSignals")]
    #[schema(value_type = Vec<String>)]
    public: Box<RawValue>,
}

/// Whether a proof is valid.
#[utoipa::path(
    post,
    path = "/v1/verify",
    tag = "verify",
    request_body = Verify,
    responses(
        (status = 200, body = Verdict),
        Problems,
    )
)]
pub(in crate::routes) async fn one(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    caller(&app, request.headers(), Role::Read)?;
    let Upload { bytes, room: _room } = receive(&app, request).await?;
    let asked: Verify = parse(bytes).await?;
    let claim = Claim { proof: asked.proof, public: asked.public };
    let verdict = single(&app, &asked.circuit, claim).await?;
    Ok(answer(StatusCode::OK, &verdict))
}

/// The verdict on one claim.
pub(in crate::routes) async fn single(
    app: &Arc<App>,
    circuit: &str,
    claim: Claim,
) -> Result<Verdict, Problem> {
    let verdicts = verify::verify(app, circuit, vec![claim]).await?;
    verdicts.into_iter().next().ok_or_else(|| Problem::new(Reason::Internal, "no verdict"))
}

/// Whether each of many proofs of a circuit is valid, which is cheaper than one by one.
#[utoipa::path(
    post,
    path = "/v1/verify/many",
    tag = "verify",
    request_body = VerifyMany,
    responses(
        (status = 200, body = Verdicts),
        Problems,
    )
)]
pub(in crate::routes) async fn many(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    caller(&app, request.headers(), Role::Read)?;
    let Upload { bytes, room: _room } = receive(&app, request).await?;
    let asked: VerifyMany = parse(bytes).await?;
    let claims = asked.claims.into_iter();
    let claims = claims.map(|one| Claim { proof: one.proof, public: one.public }).collect();
    let verdicts = verify::verify(&app, &asked.circuit, claims).await?;
    Ok(answer(StatusCode::OK, &Verdicts { verdicts }))
}
