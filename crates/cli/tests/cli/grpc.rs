//! The service over gRPC.

use std::time::{Duration, Instant};

use athanor_server::proto::{
    CircuitRequest, Claim, JobRequest, JobSpec, JobState, ListJobsRequest, StatusRequest,
    SubmitRequest, VerifyRequest, prover_client::ProverClient, submit_request::Part,
};
use tokio_stream::StreamExt;
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::service::{PATIENCE, Service, place, verifies};

/// Runs the client's future.
fn block_on<T>(what: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build().unwrap().block_on(what)
}

async fn channel(service: &Service) -> Channel {
    let address = format!("http://{}", service.address);
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

/// An upload in pieces.
fn upload(
    spec: JobSpec,
    witness: &[u8],
) -> impl tokio_stream::Stream<Item = SubmitRequest> + use<> {
    let first = SubmitRequest { part: Some(Part::Request(spec)) };
    let chunks: Vec<SubmitRequest> = witness
        .chunks(100)
        .map(|chunk| SubmitRequest { part: Some(Part::Chunk(chunk.to_vec())) })
        .collect();
    tokio_stream::iter(std::iter::once(first).chain(chunks))
}

fn tiny() -> JobSpec {
    JobSpec { circuit: "tiny".into(), kind: "wtns".into(), ..JobSpec::default() }
}

#[test]
fn a_job_goes_through_every_verb_of_grpc() {
    let (place, witness) = place();
    let service = Service::start(&place, None).ready("tiny");
    block_on(async {
        let channel = channel(&service).await;
        let mut client = ProverClient::new(channel.clone());
        let proof = client.prove(upload(tiny(), &witness)).await.unwrap().into_inner();
        let result = serde_json::json!({
            "proof": serde_json::from_str::<serde_json::Value>(&proof.proof).unwrap(),
            "publicSignals":
                serde_json::from_str::<serde_json::Value>(&proof.public_signals).unwrap(),
        });
        verifies(&place, &result);

        let spec = JobSpec { idempotency_key: "k".into(), class: "high".into(), ..tiny() };
        let id = client.submit(upload(spec.clone(), &witness)).await.unwrap().into_inner().id;
        let again = client.submit(upload(spec.clone(), &witness)).await.unwrap().into_inner().id;
        assert_eq!(id, again);
        let job = || JobRequest { id: id.clone() };
        let mut events = client.watch_job(job()).await.unwrap().into_inner();
        let mut last = String::new();
        while let Some(event) = events.next().await {
            last = event.unwrap().event;
        }
        assert_eq!(last, "complete");
        let told = client.get_job(job()).await.unwrap().into_inner();
        assert_eq!((told.state(), told.class.as_str()), (JobState::Complete, "high"));
        assert!(told.ended >= told.created && told.created > 0);
        let fetched = client.get_proof(job()).await.unwrap().into_inner();
        let request = ListJobsRequest { before: 0, limit: 1 };
        let page = client.list_jobs(request).await.unwrap().into_inner();
        assert_eq!((page.jobs.len(), page.jobs[0].id.as_str()), (1, id.as_str()));
        let request = ListJobsRequest { before: page.next, limit: 0 };
        assert_eq!(client.list_jobs(request).await.unwrap().into_inner().jobs.len(), 1);

        // Many proofs: valid ones, one with the signals of a different proof, one that is not a proof.
        let claim = |proof: &str, public: &str| Claim {
            proof: proof.into(),
            public_signals: public.into(),
        };
        let good = claim(&fetched.proof, &fetched.public_signals);
        let claims = vec![
            good.clone(),
            claim(&proof.proof, "[\"7\"]"),
            good.clone(),
            claim("{}", &proof.public_signals),
            claim(&proof.proof, &proof.public_signals),
        ];
        let request = VerifyRequest { circuit: "tiny".into(), claims };
        let verdicts = client.verify(request).await.unwrap().into_inner().verdicts;
        let valid: Vec<bool> = verdicts.iter().map(|verdict| verdict.valid).collect();
        assert_eq!(valid, [true, false, true, false, true], "{verdicts:?}");
        let request = VerifyRequest { circuit: "tiny".into(), claims: vec![claim("{} , ", "[]")] };
        assert_eq!(client.verify(request).await.unwrap_err().code(), Code::InvalidArgument);

        let refused = client.cancel_job(job()).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(refused.metadata().get("athanor-reason").unwrap(), "wrong-state");
        assert_eq!(client.retry_job(job()).await.unwrap_err().code(), Code::FailedPrecondition);
        let status = client.get_status(StatusRequest {}).await.unwrap().into_inner();
        assert_eq!((status.circuits.len(), status.jobs_open), (1, 0));
        let request = || CircuitRequest { name: "tiny".into() };
        assert!(client.get_circuit(request()).await.unwrap().into_inner().state == "ready");
        client.unload_circuit(request()).await.unwrap();
        let gone = client.submit(upload(tiny(), &witness)).await.unwrap_err();
        assert_eq!(gone.code(), Code::NotFound);
        client.load_circuit(request()).await.unwrap();

        let mut health = HealthClient::new(channel);
        let request = |service: &str| HealthCheckRequest { service: service.into() };
        for name in ["", "athanor.v1.Prover"] {
            let until = Instant::now() + PATIENCE;
            // SERVING, as soon as the service has noticed that it is ready.
            while health.check(request(name)).await.unwrap().into_inner().status != 1 {
                assert!(Instant::now() < until);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        assert_eq!(health.check(request("other")).await.unwrap_err().code(), Code::NotFound);
    });
}

#[test]
fn malformed_uploads_and_foreign_callers_get_a_status() {
    let (place, witness) = place();
    let made = place.run(["config", "token", "a", "--json"]).ok().json();
    let config = format!(
        "[limits]\nbody-bytes = 4096\n[[tokens]]\ntenant = \"a\"\nblake3 = {}\nrole = \"admin\"\n",
        made["blake3"]
    );
    let config = place.write("serve.toml", config);
    let service = Service::start(&place, Some(&config));
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    block_on(async {
        let mut client = ProverClient::new(channel(&service).await);
        let unknown = client.get_status(StatusRequest {}).await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unauthenticated);
        let unknown = client.submit(upload(tiny(), &witness)).await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unauthenticated);
        let signed = |parts: Vec<SubmitRequest>| {
            let mut request = Request::new(tokio_stream::iter(parts));
            request.metadata_mut().insert("authorization", bearer.parse().unwrap());
            request
        };
        let until = Instant::now() + PATIENCE;
        loop {
            let mut request = Request::new(CircuitRequest { name: "tiny".into() });
            request.metadata_mut().insert("authorization", bearer.parse().unwrap());
            let circuit = client.get_circuit(request).await.unwrap().into_inner();
            if circuit.state == "ready" {
                break;
            }
            assert!(Instant::now() < until, "{circuit:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let spec = |spec: JobSpec| SubmitRequest { part: Some(Part::Request(spec)) };
        let chunk = |bytes: &[u8]| SubmitRequest { part: Some(Part::Chunk(bytes.to_vec())) };
        for (parts, code) in [
            (vec![], Code::InvalidArgument),
            (vec![chunk(b"x")], Code::InvalidArgument),
            (vec![SubmitRequest { part: None }], Code::InvalidArgument),
            (vec![spec(tiny()), spec(tiny())], Code::InvalidArgument),
            (vec![spec(tiny())], Code::InvalidArgument),
            (vec![spec(tiny()), chunk(&[0; 4000]), chunk(&[0; 97])], Code::OutOfRange),
            (vec![spec(JobSpec { deadline_seconds: -1.0, ..tiny() })], Code::InvalidArgument),
            (vec![spec(JobSpec { deadline_seconds: f64::NAN, ..tiny() })], Code::InvalidArgument),
            (vec![spec(JobSpec { class: "urgent".into(), ..tiny() })], Code::InvalidArgument),
            (vec![spec(JobSpec { class: "critical".into(), ..tiny() })], Code::PermissionDenied),
            (
                vec![spec(JobSpec { callback: "http://127.0.0.1/".into(), ..tiny() })],
                Code::InvalidArgument,
            ),
        ] {
            let refused = client.submit(signed(parts.clone())).await.unwrap_err();
            assert_eq!(refused.code(), code, "{parts:?}: {refused:?}");
            assert_eq!(refused.metadata().get("athanor-retriable").unwrap(), "false");
        }
        let good = vec![spec(tiny()), chunk(&witness)];
        client.submit(signed(good)).await.unwrap();
    });
}
