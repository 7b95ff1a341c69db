//! Verifies proofs that clients send, with the verifying key of a loaded circuit.

use std::sync::Arc;

use athanor_engine::JobError;
use serde_json::value::RawValue;

use crate::problem::{Problem, Reason};
use crate::responses::Verdict;
use crate::state::App;

/// Limit on the proofs of one request.
pub(crate) const MAX_PROOFS: usize = 10_000;

/// A proof to verify and its public signals, each as JSON.
pub(crate) struct ClientProof {
    pub(crate) proof: Box<RawValue>,
    pub(crate) public: Box<RawValue>,
}

/// Verifies proofs of one circuit, together if there are several (batch verification).
pub(crate) async fn verify(
    app: &Arc<App>,
    circuit: &str,
    proofs: Vec<ClientProof>,
) -> Result<Vec<Verdict>, Problem> {
    if proofs.is_empty() || proofs.len() > MAX_PROOFS {
        let message =
            format!("the request has {} proofs to verify: send 1 to {MAX_PROOFS}", proofs.len());
        return Err(Problem::new(Reason::BadRequest, message));
    }
    // Verification competes with proving for the CPU, so the number of concurrent verifications is limited.
    let permit = app.verifications.clone().acquire_owned().await;
    let (app, circuit) = (app.clone(), circuit.to_owned());
    let work = move || {
        let _permit = permit;
        let bundle = |ClientProof { proof, public }: ClientProof| {
            format!("{{\"proof\":{},\"publicSignals\":{}}}", proof.get(), public.get()).into_bytes()
        };
        let bundles: Vec<Vec<u8>> = proofs.into_iter().map(bundle).collect();
        let bundles: Vec<&[u8]> = bundles.iter().map(Vec::as_slice).collect();
        app.engine.verify_many(&circuit, &bundles)
    };
    let verified = tokio::task::spawn_blocking(work).await;
    let verified =
        verified.map_err(|error| Problem::new(Reason::Internal, error.to_string()))??;
    let verdict = |verified: Result<(), JobError>| Verdict {
        valid: verified.is_ok(),
        reason: verified.err().map(|error| error.to_string()),
    };
    Ok(verified.into_iter().map(verdict).collect())
}
