//! Limits of connections: which client gets one when there are too many.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use athanor_server::proto::{StatusRequest, prover_client::ProverClient};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tonic::{Code, Request, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    service::{PATIENCE, Service, place},
    support::Place,
};

/// A connection of HTTP/2 that opens no stream and answers pings.
struct Quiet {
    stream: TcpStream,
    bytes: Vec<u8>,
    pings: usize,
    goodbye: bool,
    closed: bool,
}

impl Quiet {
    fn open(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&settings).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, bytes: Vec::new(), pings: 0, goodbye: false, closed: false }
    }

    /// Reads the available frames and answers them.
    fn pump(&mut self) {
        let mut bytes = [0; 1024];
        while !self.closed {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.closed = true,
                Ok(length) => self.bytes.extend(&bytes[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => self.closed = true,
            }
        }
        while self.bytes.len() >= 9 {
            let length = u32::from_be_bytes([0, self.bytes[0], self.bytes[1], self.bytes[2]]);
            let whole = 9 + length as usize;
            if self.bytes.len() < whole {
                break;
            }
            let mut frame: Vec<u8> = self.bytes.drain(..whole).collect();
            let (kind, flags) = (frame[3], frame[4]);
            self.goodbye |= kind == 7;
            if flags & 1 == 0 && matches!(kind, 4 | 6) {
                self.pings += usize::from(kind == 6);
                frame[4] |= 1;
                if kind == 4 {
                    frame = vec![0, 0, 0, 4, 1, 0, 0, 0, 0];
                }
                let _ = self.stream.write_all(&frame);
            }
        }
    }
}

/// Many quiet connections, kept alive by a thread.
struct Crowd {
    all: Arc<Mutex<Vec<Quiet>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn open(address: &str, count: usize) -> Self {
        let all: Vec<Quiet> = (0..count).map(|_| Quiet::open(address)).collect();
        let all = Arc::new(Mutex::new(all));
        let stop = Arc::new(AtomicBool::new(false));
        let (own, over) = (all.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                own.lock().unwrap().iter_mut().for_each(Quiet::pump);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { all, stop, thread: Some(thread) }
    }

    fn count(&self, which: impl Fn(&Quiet) -> bool) -> usize {
        self.all.lock().unwrap().iter().filter(|quiet| which(quiet)).count()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Waits until the condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A metric of the service.
fn figure(service: &Service, headers: &[(&str, &str)], name: &str) -> u64 {
    let text = service.call("GET", "/metrics", headers, b"").is(200).body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

const OPEN: &str = "athanor_connections_open";
const RESERVED: &str = "athanor_connections_reserved_in_use";
const EVICTED: &str = "athanor_connections_closed_total{reason=\"evicted\"}";
const IDLE: &str = "athanor_connections_closed_total{reason=\"idle\"}";

fn start(place: &Place, config: &str) -> Service {
    let config = place.write("serve.toml", config);
    Service::start(place, Some(&config))
}

#[test]
fn idle_http2_connections_keep_nobody_out_and_are_closed() {
    let (place, witness) = place();
    let limits = "connections = 20\nconnections-reserved = 4\nheader-seconds = 1\nidle-seconds = 5";
    let service = start(&place, &format!("[limits]\n{limits}\n")).ready("tiny");
    let crowd = Crowd::open(&service.address, 24);
    until("all places are held", || crowd.count(|quiet| !quiet.closed) == 24);
    service.get("/health/ready").is(200);
    service.submit(&witness, &[]).is(202);
    assert!(figure(&service, &[], EVICTED) >= 1, "the oldest was evicted");
    assert!(figure(&service, &[], RESERVED) >= 1);
    // They answer pings and are closed nevertheless; each receives a GOAWAY.
    until("pings are answered", || crowd.count(|quiet| quiet.pings > 0) > 10);
    until("all are closed", || crowd.count(|quiet| quiet.closed) == 24);
    assert_eq!(crowd.count(|quiet| quiet.goodbye), 24);
    assert!(figure(&service, &[], IDLE) >= 15);
}

/// Two tokens; the highest class of the second is critical.
fn tokens(place: &Place) -> (String, [String; 2]) {
    let mut config = String::new();
    let bearers = ["normal", "critical"].map(|class| {
        let made = place.run(["config", "token", class, "--json"]).ok().json();
        config += &format!(
            "[[tokens]]\ntenant = \"{class}\"\nblake3 = {}\nrole = \"submit\"\nclass = \"{class}\"\n",
            made["blake3"]
        );
        format!("Bearer {}", made["token"].as_str().unwrap())
    });
    (config, bearers)
}

/// A request without its body. Returns when the service waits for the body.
fn hold(address: &str, bearer: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("POST /v1/verify HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\n");
    let rest = "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    stream.write_all((head + rest).as_bytes()).unwrap();
    let answer = answered(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 100 "), "{answer}");
    stream
}

fn answered(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 4096];
    let length = stream.read(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn while_all_places_are_busy_health_and_critical_tokens_are_served() {
    let (place, _) = place();
    let (tokens, [normal, critical]) = tokens(&place);
    let limits = "[limits]\nconnections = 3\nconnections-reserved = 8\n";
    let service = start(&place, &format!("{tokens}{limits}"));
    until("it is ready", || service.get("/health/ready").status == 200);
    let normal = [("Authorization", normal.as_str())];
    let critical = [("Authorization", critical.as_str())];
    let ask = |headers| service.call("GET", "/v1/status", headers, b"");
    ask(&normal).is(200);
    let mut held: Vec<TcpStream> = (0..3).map(|_| hold(&service.address, normal[0].1)).collect();
    until("all places are taken", || ask(&normal).status == 503);
    let refused = ask(&normal);
    refused.problem(503, "busy");
    let head = refused.head.to_ascii_lowercase();
    assert!(head.contains("retry-after") && head.contains("connection: close"), "{head}");
    let probes = || {
        for path in ["/health", "/health/live", "/health/ready"] {
            service.get(path).is(200);
        }
        assert!(figure(&service, &normal, OPEN) >= 4);
        ask(&critical).is(200);
    };
    probes();
    over_grpc(&service.address, normal[0].1);
    // Silent connections, more than the reserve, do not block them either.
    let silent: Vec<TcpStream> =
        (0..20).map(|_| TcpStream::connect(&service.address).unwrap()).collect();
    probes();
    assert!(figure(&service, &normal, EVICTED) >= 10);
    // Running requests were not closed for them; they continue and then release their connections.
    ask(&normal).problem(503, "busy");
    for stream in &mut held {
        stream.write_all(b"{}").unwrap();
        assert!(answered(stream).starts_with("HTTP/1.1 400"));
    }
    until("places are free", || ask(&normal).status == 200);
    drop(silent);
}

/// Checks that health is answered over gRPC and other calls are not.
fn over_grpc(address: &str, bearer: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let check = HealthCheckRequest { service: String::new() };
        HealthClient::new(channel.clone()).check(check).await.unwrap();
        let mut request = Request::new(StatusRequest {});
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        let refused = ProverClient::new(channel).get_status(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(refused.metadata().get("athanor-reason").unwrap(), "busy");
        assert!(refused.metadata().contains_key("retry-after"));
    });
}

#[test]
fn a_client_has_a_share_of_the_connections_and_leaves_the_rest_to_others() {
    let (place, _) = place();
    let limits = "[limits]\nconnections = 10\nconnections-per-client = 2\nheader-seconds = 60\n";
    let service = start(&place, limits).ready("tiny");
    let held: Vec<TcpStream> = (0..2).map(|_| hold(&service.address, "none")).collect();
    until("the share is taken", || service.get("/v1/status").status == 503);
    assert!(service.get("/v1/status").body.contains("of this client"));
    service.get("/health/ready").is(200);
    // Another address of this machine is another client.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address: SocketAddr = service.address.parse().unwrap();
    let other = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    let mut other = other;
    other.set_nonblocking(false).unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    other.write_all(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(answered(&mut other).starts_with("HTTP/1.1 200"));
    drop(held);
}

#[test]
fn a_client_that_takes_no_answers_is_closed() {
    let (place, _) = place();
    let service = start(&place, "[limits]\nheader-seconds = 60\nidle-seconds = 1\n");
    let mut stream = TcpStream::connect(&service.address).unwrap();
    stream.set_nonblocking(true).unwrap();
    // Responses that fill the buffers of both sides.
    let requests = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(64);
    while stream.write(&requests).is_ok() {}
    until("it is closed", || figure(&service, &[], IDLE) >= 1);
}

#[test]
fn health_has_a_listener_of_its_own() {
    let (place, _) = place();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (tokens, [normal, _]) = tokens(&place);
    let limits = "[limits]\nconnections = 1\nconnections-reserved = 0\n";
    let service = start(&place, &format!("listen-health = \"{free}\"\n{tokens}{limits}"));
    service.get("/metrics").is(401);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(free).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    // The port's only connection is in use, so it answers nothing.
    let mut held = Vec::new();
    until("the port is full", || {
        held.push(hold(&service.address, &normal));
        std::thread::sleep(Duration::from_millis(100));
        service.try_call("GET", "/health", &[], b"").is_none()
    });
    for path in ["/health", "/health/live", "/health/ready"] {
        assert!(ask(path).starts_with("HTTP/1.1 200"), "{path}");
    }
    assert!(ask("/metrics").contains("athanor_connections_open 1\n"));
    assert!(ask("/v1/status").starts_with("HTTP/1.1 404"));
    drop(held);
    until("the port answers", || service.try_call("GET", "/health", &[], b"").is_some());
}

/// The same command under a limit on open files that it cannot raise.
fn with_few_files(command: &Command, files: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.current_dir(command.get_current_dir().unwrap());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

#[test]
fn connections_follow_the_limit_on_open_files() {
    let (place, witness) = place();
    let mut command = with_few_files(&Service::command(&place), 100);
    let service = Service::run(&mut command).unwrap().ready("tiny");
    let told = service.said("leaves room for fewer connections");
    assert!(
        told[0].contains("open_files=\"100\"") && told[0].contains("configured=4096"),
        "{told:?}"
    );
    let held: Vec<TcpStream> =
        (0..150).map(|_| TcpStream::connect(&service.address).unwrap()).collect();
    service.get("/health/ready").is(200);
    let id = service.submit(&witness, &[]).is(202).json()["id"].as_str().unwrap().to_owned();
    service.result(&id).is(200);
    assert!(figure(&service, &[], EVICTED) >= 50);
    drop(held);
    service.get("/health/ready").is(200);
}

#[test]
fn without_file_descriptors_the_oldest_silent_connection_is_closed() {
    let (place, _) = place();
    let service = start(&place, "");
    service.get("/health").is(200);
    let process = Pid::from_raw(service.pid() as i32).unwrap();
    let open = std::fs::read_dir(format!("/proc/{}/fd", service.pid())).unwrap().count() as u64;
    // It was configured for more.
    let few = Rlimit { current: Some(open + 10), maximum: Some(open + 10) };
    prlimit(Some(process), Resource::Nofile, few).unwrap();
    let held: Vec<TcpStream> =
        (0..40).map(|_| TcpStream::connect(&service.address).unwrap()).collect();
    service.get("/health/live").is(200);
    assert!(figure(&service, &[], EVICTED) >= 20);
    drop(held);
    service.get("/health/live").is(200);
}

/// Health and a job through 5,000 connections at the default limits: `ATHANOR_LONG_TESTS=1`.
#[test]
fn five_thousand_connections_leave_room_for_health() {
    if std::env::var_os("ATHANOR_LONG_TESTS").is_none() {
        return;
    }
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let (place, witness) = place();
    let service = start(&place, "").ready("tiny");
    let crowd = Crowd::open(&service.address, 5_000);
    until("all places are held", || figure(&service, &[], RESERVED) >= 63);
    let mut worst = Duration::ZERO;
    for _ in 0..50 {
        let began = Instant::now();
        service.get("/health/live").is(200);
        worst = worst.max(began.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(worst < Duration::from_millis(250), "{worst:?}");
    service.submit(&witness, &[]).is(202);
    let alive = || crowd.count(|quiet| !quiet.closed);
    assert!(alive() >= 4_000, "{} hold their places", alive());
    let end = Instant::now() + Duration::from_secs(120);
    while alive() > 0 {
        assert!(Instant::now() < end, "{} idle connections stay", alive());
        std::thread::sleep(Duration::from_millis(500));
    }
}
