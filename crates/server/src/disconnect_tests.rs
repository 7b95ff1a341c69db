//! Clients that disconnect: a request is dropped at its n-th poll, for every n and in each API. Afterwards there is
//! either no job, or one that all parts of the service know.

use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use athanor_engine::modelled::{Act, Modelled, Script};
use athanor_engine::{Catalog, Config as EngineConfig, Engine};
use athanor_store::{CallbackState, JobRow, JobState, Page, Store, StoreOptions};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use prost::Message;
use tower::ServiceExt;

use crate::callbacks::Callbacks;
use crate::config::{Config, Limits};
use crate::grpc::proto::{self, submit_request::Part};
use crate::state::App;
use crate::upload::InputMemory;
use crate::{grpc, routes};

/// Memory for inputs.
const INPUTS: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);
/// More polls than any request takes.
const MOST_POLLS: usize = 200;

struct Service {
    app: Arc<App>,
    router: Router,
    /// Where callbacks are received.
    origin: String,
    _data: tempfile::TempDir,
}

/// Answers every callback with 200.
fn receive_callbacks(listener: TcpListener) {
    for stream in listener.incoming().map_while(Result::ok) {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(&stream);
            loop {
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap_or(0);
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let _ = reader.read_exact(&mut vec![0; length]);
                let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
    }
}

impl Service {
    fn start(limits: Limits) -> Service {
        let data = tempfile::tempdir().unwrap();
        let store =
            Store::open(data.path(), StoreOptions { seal_key: None, keep_inputs: true }).unwrap();
        let store = Arc::new(store);
        let engine = EngineConfig { memory: Some(4 << 30), ..EngineConfig::with_threads(2) };
        let engine = Engine::start(engine, store.clone()).unwrap();
        let circuit = Modelled { step_time: Duration::from_millis(1), ..Modelled::default() };
        engine.load("model", Arc::new(circuit)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || receive_callbacks(listener));
        let callbacks = Callbacks::new(std::slice::from_ref(&origin)).unwrap();
        let config = Config { limits, ..Config::default() };
        let (catalog, inputs) = (Catalog::new(data.path()), InputMemory::new(INPUTS as u64));
        let app = App::new(config, engine, store, catalog, Vec::new(), inputs, callbacks);
        let app = Arc::new(app);
        let router = routes::router(app.clone()).merge(grpc::router(app.clone()).0);
        Service { app, router, origin, _data: data }
    }

    async fn rows(&self) -> Vec<JobRow> {
        self.app.store.list("", &Page { before: None, limit: 500 }).await.unwrap()
    }

    /// Sends a request and drops it after `polls` polls. Returns whether it was answered.
    async fn drop_after(&self, polls: usize, request: Request<Body>) -> bool {
        let mut answer = pin!(self.router.clone().oneshot(request));
        let mut polled = 0;
        poll_fn(|context| {
            polled += 1;
            match answer.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending if polled == polls => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Waits until no job is counted or open, no input memory is reserved, and every job in the journal has ended
    /// and has had its callback. Returns the rows.
    async fn settle(&self) -> Vec<JobRow> {
        let until = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows().await;
            let delivered = |row: &JobRow| match &row.callback {
                Some(callback) => callback.state == CallbackState::Delivered.name(),
                None => true,
            };
            let ended = rows.iter().all(|row| row.state != JobState::Accepted && delivered(row));
            let engine = self.app.engine.standing().unwrap().open_jobs;
            let idle = self.app.quotas.all() == 0 && self.app.open_jobs().is_empty() && engine == 0;
            if ended && idle && self.app.input_memory.reserve(INPUTS).is_ok() {
                return rows;
            }
            assert!(
                Instant::now() < until,
                "counted {}, open {}, in the engine {engine}, rows {rows:?}",
                self.app.quotas.all(),
                self.app.open_jobs().len(),
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// One operation of an API: makes a request from a unique number.
type Form = fn(&Service, u64) -> Request<Body>;

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(Method::POST).uri(path).body(body.into()).unwrap()
}

fn script(number: u64) -> String {
    format!("{{\"salt\":{number}}}")
}

fn rest_body(service: &Service, number: u64) -> String {
    let input = script(number);
    let url = format!("{}/{number}", service.origin);
    format!("{{\"circuit\":\"model\",\"input\":{input},\"callback\":\"{url}\"}}")
}

fn with_key(mut request: Request<Body>, number: u64) -> Request<Body> {
    let key = format!("k{number}").parse().unwrap();
    request.headers_mut().insert("idempotency-key", key);
    request
}

fn grpc_request(service: &Service, method: &str, number: u64) -> Request<Body> {
    let spec = proto::JobSpec {
        circuit: "model".into(),
        callback: format!("{}/{number}", service.origin),
        idempotency_key: format!("k{number}"),
        ..proto::JobSpec::default()
    };
    let parts = [Part::Request(spec), Part::Chunk(script(number).into_bytes())];
    let mut body = Vec::new();
    for part in parts {
        let message = proto::SubmitRequest { part: Some(part) }.encode_to_vec();
        body.push(0);
        body.extend((message.len() as u32).to_be_bytes());
        body.extend(message);
    }
    let mut request = post(&format!("/athanor.v1.Prover/{method}"), body);
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request
}

const FORMS: [(&str, Form); 9] = [
    ("POST /v1/jobs", |service, n| post("/v1/jobs", rest_body(service, n))),
    ("POST /v1/jobs with a key", |service, n| with_key(post("/v1/jobs", rest_body(service, n)), n)),
    ("POST /v1/prove", |service, n| post("/v1/prove", rest_body(service, n))),
    ("POST /v1/prove with a key", |service, n| {
        with_key(post("/v1/prove", rest_body(service, n)), n)
    }),
    ("POST /api/prove", |_, n| {
        post("/api/prove", format!("{{\"circuitId\":\"model\",\"witness\":{}}}", script(n)))
    }),
    ("POST /api/prove/async", |_, n| {
        post("/api/prove/async", format!("{{\"circuitId\":\"model\",\"witness\":{}}}", script(n)))
    }),
    ("POST /input/model", |_, n| post("/input/model", script(n))),
    ("gRPC Submit", |service, n| grpc_request(service, "Submit", n)),
    ("gRPC Prove", |service, n| grpc_request(service, "Prove", n)),
];

fn in_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
    runtime.shutdown_timeout(Duration::from_secs(1));
}

#[test]
fn a_submit_that_is_dropped_at_any_poll_leaves_no_job_or_a_complete_one() {
    let service = Service::start(Limits::default());
    in_runtime(async {
        let mut number = 0;
        for (name, form) in FORMS {
            let mut polls = 1;
            loop {
                number += 1;
                if service.drop_after(polls, form(&service, number)).await {
                    break;
                }
                polls += 1;
                assert!(polls < MOST_POLLS, "{name} is not answered");
            }
            assert!(polls > 1, "{name} was dropped at least once");
            let rows = service.settle().await;
            let states =
                rows.iter().map(|row| row.state).filter(|state| *state != JobState::Complete);
            assert_eq!(states.count(), 0, "{name}: {rows:?}");
            let counts = service.app.engine.standing().unwrap().stats;
            assert_eq!(counts.counts().complete, rows.len() as u64, "{name}");
            assert_eq!(service.app.metrics.complete("model"), rows.len() as u64, "{name}");
        }
    });
}

/// A repeated request with the same key after a dropped one gives one job.
#[test]
fn a_keyed_submit_that_is_dropped_at_any_poll_is_found_again_by_its_key() {
    let service = Service::start(Limits::default());
    in_runtime(async {
        let form = |number| with_key(post("/v1/jobs", rest_body(&service, number)), number);
        for polls in 1..MOST_POLLS {
            let number = polls as u64;
            let answered = service.drop_after(polls, form(number)).await;
            // Immediately, while the first acceptance may still run.
            assert!(service.drop_after(MOST_POLLS, form(number)).await);
            let keyed = format!("k{number}");
            let rows = service.settle().await;
            let same = rows.iter().filter(|row| row.idempotency_key.as_ref() == Some(&keyed));
            assert_eq!(same.count(), 1);
            if answered {
                break;
            }
        }
    });
}

#[test]
fn a_retry_or_cancel_that_is_dropped_at_any_poll_leaves_a_job_that_ends() {
    let service = Service::start(Limits::default());
    in_runtime(async {
        for polls in 1..MOST_POLLS {
            // The job fails once and succeeds when it is retried: faults are counted by the job's number.
            let failing = Script::fault(0, 9, Act::Permanent);
            let body = String::from_utf8(failing.bytes().to_vec()).unwrap();
            let submit = post("/v1/jobs?circuit=model", body);
            assert!(service.drop_after(MOST_POLLS, submit).await);
            let id = service.settle().await[0].public.clone();
            let retry = post(&format!("/v1/jobs/{id}/retry"), "");
            let retried = service.drop_after(polls, retry).await;
            let cancel = Request::delete(format!("/v1/jobs/{id}")).body(Body::empty()).unwrap();
            let cancelled = service.drop_after(polls, cancel).await;
            service.settle().await;
            if retried && cancelled {
                break;
            }
        }
    });
}

#[test]
fn submits_that_come_together_do_not_pass_a_tenants_limit() {
    let limits = Limits { jobs_per_tenant: 3, ..Limits::default() };
    let service = Service::start(limits);
    in_runtime(async {
        // The jobs wait until the engine ends.
        let waits = Script::fault(0, 1, Act::Wait).bytes().to_vec();
        let submit =
            || service.router.clone().oneshot(post("/v1/jobs?circuit=model", waits.clone()));
        let answers = futures_util::future::join_all((0..24).map(|_| submit())).await;
        let accepted = answers.iter().filter(|answer| answer.as_ref().unwrap().status() == 202);
        assert_eq!((accepted.count(), service.rows().await.len()), (3, 3));
        let leaves = service.app.open_jobs().values().cloned().collect::<Vec<_>>();
        for job in leaves {
            job.handle.cancel();
        }
        service.settle().await;
    });
}

#[test]
fn a_caller_that_disconnects_does_not_cancel_a_shared_job() {
    let service = Service::start(Limits::default());
    in_runtime(async {
        let ask = || with_key(post("/v1/prove", rest_body(&service, 1)), 1);
        let first = service.router.clone().oneshot(ask());
        let waiting = tokio::spawn(first);
        // Callers disconnect after more and more polls, while one stays.
        for polls in 1..8 {
            service.drop_after(polls, ask()).await;
        }
        assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
        let rows = service.settle().await;
        assert_eq!((rows.len(), rows[0].state), (1, JobState::Complete));
    });
}
