//! `/v1/verify`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::{authorize, json_response, parse_json, read_body};
use crate::auth::Role;
use crate::client_proofs::{self, ClientProof};
use crate::problem::{Problem, Problems, Reason};
use crate::responses::{Verdict, Verdicts};
use crate::state::App;
use crate::upload::Upload;

/// A proof to verify.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct Verify {
    circuit: String,
    /// The proof in the JSON of snarkjs.
    #[schema(value_type = Object)]
    proof: Box<RawValue>,
    /// The public signals in the JSON of snarkjs.
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
    /// The proof in the JSON of snarkjs.
    #[schema(value_type = Object)]
    proof: Box<RawValue>,
    /// The public signals in the JSON of snarkjs.
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
    authorize(&app, request.headers(), Role::Read)?;
    let Upload { bytes, memory: _memory } = read_body(&app, request).await?;
    let request_body: Verify = parse_json(bytes).await?;
    let proof = ClientProof { proof: request_body.proof, public: request_body.public };
    let verdict = verify_one(&app, &request_body.circuit, proof).await?;
    Ok(json_response(StatusCode::OK, &verdict))
}

/// Verifies one proof.
pub(in crate::routes) async fn verify_one(
    app: &Arc<App>,
    circuit: &str,
    proof: ClientProof,
) -> Result<Verdict, Problem> {
    let verdicts = client_proofs::verify(app, circuit, vec![proof]).await?;
    verdicts.into_iter().next().ok_or_else(|| Problem::new(Reason::Internal, "no verdict"))
}

/// Whether each of several proofs of a circuit is valid. One request for all is cheaper than one per proof.
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
    authorize(&app, request.headers(), Role::Read)?;
    let Upload { bytes, memory: _memory } = read_body(&app, request).await?;
    let request_body: VerifyMany = parse_json(bytes).await?;
    let claims = request_body.claims.into_iter();
    let proofs = claims.map(|one| ClientProof { proof: one.proof, public: one.public }).collect();
    let verdicts = client_proofs::verify(&app, &request_body.circuit, proofs).await?;
    Ok(json_response(StatusCode::OK, &Verdicts { verdicts }))
}
