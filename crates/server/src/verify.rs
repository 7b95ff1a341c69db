//! Proofs that clients bring, checked against a loaded circuit's verifying key.

use std::sync::Arc;

use athanor_engine::JobError;
use serde_json::value::RawValue;

use crate::answers::Verdict;
use crate::problem::{Problem, Reason};
use crate::state::App;

/// Most proofs in one request.
pub(crate) const MOST: usize = 10_000;

/// A proof and the public signals that it is said to prove, each as JSON.
pub(crate) struct Claim {
    pub(crate) proof: Box<RawValue>,
    pub(crate) public: Box<RawValue>,
}

/// Whether each claim holds. Many are verified together, which is cheaper.
pub(crate) async fn verify(
    app: &Arc<App>,
    circuit: &str,
    claims: Vec<Claim>,
) -> Result<Vec<Verdict>, Problem> {
    if claims.is_empty() || claims.len() > MOST {
        let message = format!("a request has 1 to {MOST} proofs to verify");
        return Err(Problem::new(Reason::BadRequest, message));
    }
    // Verification runs beside proving: a few at once, so that it takes no more than a share.
    let turn = app.verifying.clone().acquire_owned().await;
    let (app, circuit) = (app.clone(), circuit.to_owned());
    let work = move || {
        let _turn = turn;
        let bundle = |Claim { proof, public }: Claim| {
            format!("{{\"proof\":{},\"publicSignals\":{}}}", proof.get(), public.get()).into_bytes()
        };
        let bundles: Vec<Vec<u8>> = claims.into_iter().map(bundle).collect();
        let bundles: Vec<&[u8]> = bundles.iter().map(Vec::as_slice).collect();
        app.engine.verify_many(&circuit, &bundles)
    };
    let verified = tokio::task::spawn_blocking(work).await;
    let verified =
        verified.map_err(|error| Problem::new(Reason::Internal, error.to_string()))??;
    let told = |verdict: Result<(), JobError>| Verdict {
        valid: verdict.is_ok(),
        reason: verdict.err().map(|error| error.to_string()),
    };
    Ok(verified.into_iter().map(told).collect())
}
