//! The gRPC calls. Each one authorizes the caller and runs the same operation as its REST counterpart.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use athanor_engine::Input;
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::proto::{self, submit_request::Part};
use crate::acceptance::{self, SubmitRequest};
use crate::auth::{Caller, Role};
use crate::circuits;
use crate::client_proofs::{self, ClientProof};
use crate::events;
use crate::jobs;
use crate::problem::{Problem, Reason};
use crate::responses::{self, JobEvent};
use crate::state::App;
use crate::upload;

pub(super) struct Prover(pub(super) Arc<App>);

type Reply<T> = Result<Response<T>, Status>;

fn respond<T, U: From<T>>(value: T) -> Reply<U> {
    Ok(Response::new(value.into()))
}

/// `None` for an empty string, the value of an absent field.
fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl Prover {
    fn authorize(&self, metadata: &MetadataMap, role: Role) -> Result<Caller, Problem> {
        let authorization = metadata.get("authorization").and_then(|value| value.to_str().ok());
        Caller::authorize(&self.0.config().tokens, authorization, role)
    }

    /// Receives an input and submits it.
    async fn receive_and_submit(
        &self,
        request: Request<Streaming<proto::SubmitRequest>>,
    ) -> Result<(String, Caller), Problem> {
        let app = &self.0;
        let caller = self.authorize(request.metadata(), Role::Submit)?;
        let mut parts = request.into_inner();
        let malformed = |why: &str| Problem::new(Reason::BadRequest, why);
        let first = tokio::time::timeout(app.upload_limits().timeout, parts.next()).await;
        let first = first.map_err(|_| {
            Problem::new(Reason::Timeout, "the first message did not arrive in time")
        })?;
        let Some(Ok(proto::SubmitRequest { part: Some(Part::Request(spec)) })) = first else {
            return Err(malformed("the first message must contain `request`"));
        };
        let chunks = parts.map(|part| match part {
            Ok(proto::SubmitRequest { part: Some(Part::Chunk(chunk)) }) => Ok(chunk),
            Ok(_) => Err(malformed("messages after the first must contain `chunk`")),
            Err(_) => Err(malformed("the upload ended early or is malformed")),
        });
        let body =
            upload::collect(&app.input_memory, app.upload_limits(), None, std::pin::pin!(chunks))
                .await;
        let body = body.inspect_err(|problem| events::refused(Some(&caller), None, problem))?;
        let kind = non_empty(spec.kind).unwrap_or_else(|| "json".into());
        let deadline = match spec.deadline_seconds {
            0.0 => None,
            seconds => Some(jobs::deadline_after(seconds)?),
        };
        let submit = SubmitRequest {
            circuit: spec.circuit,
            input: Input::new(&kind, body.bytes),
            class: non_empty(spec.class),
            deadline,
            idempotency_key: non_empty(spec.idempotency_key),
            callback: non_empty(spec.callback),
            input_memory: body.memory,
        };
        Ok((acceptance::submit(app, &caller, submit).await?, caller))
    }
}

/// Checks that a text is JSON.
fn raw_json(text: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(text)
        .map_err(|_| Problem::new(Reason::BadRequest, "`proof` and `public_signals` must be JSON"))
}

/// Splits a result into its proof and public signals.
fn proof_response(id: String, result: &[u8]) -> Result<proto::ProofResponse, Problem> {
    #[derive(Deserialize)]
    struct Bundle<'a> {
        #[serde(borrow)]
        proof: &'a RawValue,
        #[serde(borrow, rename = "publicSignals")]
        public: &'a RawValue,
    }
    let bundle: Bundle<'_> = serde_json::from_slice(result)
        .map_err(|error| Problem::new(Reason::Internal, error.to_string()))?;
    let (proof, public) = (bundle.proof.get().into(), bundle.public.get().into());
    Ok(proto::ProofResponse { id, proof, public_signals: public })
}

#[tonic::async_trait]
impl proto::prover_server::Prover for Prover {
    async fn submit(
        &self,
        request: Request<Streaming<proto::SubmitRequest>>,
    ) -> Reply<proto::SubmitResponse> {
        let (id, _) = self.receive_and_submit(request).await?;
        respond(proto::SubmitResponse { id })
    }

    async fn prove(
        &self,
        request: Request<Streaming<proto::SubmitRequest>>,
    ) -> Reply<proto::ProofResponse> {
        let (id, caller) = self.receive_and_submit(request).await?;
        let timeout = Duration::from_secs(self.0.config().limits.wait_seconds);
        let output = jobs::wait(&self.0, &caller, &id, timeout).await?;
        respond(proof_response(id, &output.bytes)?)
    }

    async fn get_job(&self, request: Request<proto::JobRequest>) -> Reply<proto::Job> {
        let caller = self.authorize(request.metadata(), Role::Read)?;
        respond(jobs::show(&self.0, &caller, &request.into_inner().id).await?)
    }

    type WatchJobStream = Pin<Box<dyn Stream<Item = Result<proto::JobEvent, Status>> + Send>>;

    async fn watch_job(&self, request: Request<proto::JobRequest>) -> Reply<Self::WatchJobStream> {
        let caller = self.authorize(request.metadata(), Role::Read)?;
        let id = request.into_inner().id;
        let row = jobs::find_row(&self.0, &caller, &id).await?;
        let stream: Self::WatchJobStream = match self.0.find_open_job(&caller.tenant, &id) {
            Some(job) => Box::pin(jobs::watch(job).map(|event| Ok(event.into()))),
            None => Box::pin(futures_util::stream::iter([Ok(JobEvent::from_row(&row).into())])),
        };
        Ok(Response::new(stream))
    }

    async fn get_proof(&self, request: Request<proto::JobRequest>) -> Reply<proto::ProofResponse> {
        let caller = self.authorize(request.metadata(), Role::Read)?;
        let id = request.into_inner().id;
        let result = jobs::result(&self.0, &caller, &id).await?;
        respond(proof_response(id, &result)?)
    }

    async fn cancel_job(&self, request: Request<proto::JobRequest>) -> Reply<proto::Job> {
        let caller = self.authorize(request.metadata(), Role::Submit)?;
        let id = request.into_inner().id;
        jobs::cancel(&self.0, &caller, &id).await?;
        respond(jobs::show(&self.0, &caller, &id).await?)
    }

    async fn retry_job(&self, request: Request<proto::JobRequest>) -> Reply<proto::Job> {
        let caller = self.authorize(request.metadata(), Role::Submit)?;
        let id = request.into_inner().id;
        acceptance::retry(&self.0, &caller, &id).await?;
        respond(jobs::show(&self.0, &caller, &id).await?)
    }

    async fn list_jobs(
        &self,
        request: Request<proto::ListJobsRequest>,
    ) -> Reply<proto::ListJobsResponse> {
        let caller = self.authorize(request.metadata(), Role::Read)?;
        let proto::ListJobsRequest { before, limit } = request.into_inner();
        let (before, limit) = (Some(before).filter(|b| *b > 0), Some(limit).filter(|l| *l > 0));
        let responses::Jobs { jobs, next } = jobs::list(&self.0, &caller, before, limit).await?;
        let jobs = jobs.into_iter().map(Into::into).collect();
        respond(proto::ListJobsResponse { jobs, next: next.unwrap_or(0) })
    }

    async fn verify(&self, request: Request<proto::VerifyRequest>) -> Reply<proto::VerifyResponse> {
        self.authorize(request.metadata(), Role::Read)?;
        let proto::VerifyRequest { circuit, claims } = request.into_inner();
        let mut parsed = Vec::with_capacity(claims.len());
        for claim in claims {
            parsed.push(ClientProof {
                proof: raw_json(claim.proof)?,
                public: raw_json(claim.public_signals)?,
            });
        }
        let verdicts = client_proofs::verify(&self.0, &circuit, parsed).await?;
        let verdicts = verdicts.into_iter().map(Into::into).collect();
        respond(proto::VerifyResponse { verdicts })
    }

    async fn list_circuits(
        &self,
        request: Request<proto::ListCircuitsRequest>,
    ) -> Reply<proto::ListCircuitsResponse> {
        self.authorize(request.metadata(), Role::Read)?;
        let circuits = circuits::list(&self.0).into_iter().map(Into::into).collect();
        respond(proto::ListCircuitsResponse { circuits })
    }

    async fn get_circuit(&self, request: Request<proto::CircuitRequest>) -> Reply<proto::Circuit> {
        self.authorize(request.metadata(), Role::Read)?;
        respond(circuits::describe(&self.0, &request.into_inner().name)?)
    }

    async fn load_circuit(&self, request: Request<proto::CircuitRequest>) -> Reply<proto::Circuit> {
        self.authorize(request.metadata(), Role::Admin)?;
        respond(circuits::load(&self.0, &request.into_inner().name)?)
    }

    async fn unload_circuit(
        &self,
        request: Request<proto::CircuitRequest>,
    ) -> Reply<proto::Circuit> {
        self.authorize(request.metadata(), Role::Admin)?;
        respond(circuits::unload(&self.0, &request.into_inner().name)?)
    }

    async fn get_status(&self, request: Request<proto::StatusRequest>) -> Reply<proto::Status> {
        let caller = self.authorize(request.metadata(), Role::Read)?;
        respond(responses::Status::of(&self.0, &caller)?)
    }
}
