//! Listeners and TLS, and limits for hostile clients.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    service::{PATIENCE, Service, place, verifies},
    support::Place,
};

/// A self-signed certificate for 127.0.0.1.
fn certificate(place: &Place) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    place.write("cert.pem", made.cert.pem());
    place.write("key.pem", made.signing_key.serialize_pem());
}

#[test]
fn the_port_speaks_tls_to_clients_that_trust_it() {
    let (place, _) = place();
    certificate(&place);
    let tls = "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    let config = place.write("serve.toml", tls);
    let service = Service::start(&place, Some(&config));
    let url = format!("https://{}", service.address);
    let run = |args: &[&str]| place.run_with([("ATHANOR_SERVER", url.as_str())], args);
    let until = Instant::now() + PATIENCE;
    while !run(&["circuits", "list", "--ca", "cert.pem"]).ok().stdout.contains("ready") {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
    let witness = place.given("witness.wtns");
    run(&["submit", "tiny", witness.to_str().unwrap(), "--wait", "--ca", "cert.pem"]).ok();
    run(&["circuits", "list"]).fails(27, "does not answer");
    // Plain HTTP at a TLS port gets no response.
    assert!(service.try_call("GET", "/health", &[], b"").is_none());

    let wrong = place.write("wrong.toml", tls.replace("key.pem", "cert.pem"));
    let served = place.run(["serve", "--config", wrong.to_str().unwrap(), "--data", "other"]);
    served.fails(26, "private key");
}

#[test]
fn a_unix_socket_is_this_users_alone_and_replaced_after_a_kill() {
    let (place, _) = place();
    let start = || {
        let mut command = Service::command(&place);
        Service::run(command.args(["--socket", "athanor.sock"])).unwrap().ready("tiny")
    };
    let service = start();
    let mode = std::fs::metadata(place.path("athanor.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let witness = place.given("witness.wtns");
    let submit = || {
        let server = [("ATHANOR_SERVER", "unix:athanor.sock")];
        place.run_with(server, ["submit", "tiny", witness.to_str().unwrap(), "--wait"]).ok()
    };
    submit();
    // A second service does not replace the socket.
    let mut second = Service::command_on(&place, "other".as_ref());
    second.args(["--socket", "athanor.sock"]);
    assert!(Service::run(&mut second).is_none());
    service.kill();
    assert!(place.path("athanor.sock").exists(), "a killed service leaves it");
    let service = start();
    submit();
    assert_eq!(service.terminate(), Some(0));
    assert!(!place.path("athanor.sock").exists());
    // A path that is not a socket is left unchanged.
    place.write("file", "mine");
    let mut third = Service::command(&place);
    assert!(Service::run(third.args(["--socket", "file"])).is_none());
    assert_eq!(std::fs::read(place.path("file")).unwrap(), b"mine");
}

/// Bytes of zeros, compressed a thousandfold.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; bytes]).unwrap();
    packed.finish().unwrap()
}

#[test]
fn bodies_are_bounded_as_they_come_however_they_come() {
    let (place, witness) = place();
    let limits = "[limits]\nbody-bytes = 1000000\nbody-seconds = 1\ninputs-mib = 2\n";
    let config = place.write("serve.toml", limits);
    let service = Service::start(&place, Some(&config)).ready("tiny");
    let path = "/v1/jobs?circuit=tiny&kind=wtns";
    let gzip = ("Content-Encoding", "gzip");

    // A compressed input is equal to the uncompressed one.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&witness).unwrap();
    let proven = service
        .call("POST", &path.replace("jobs", "prove"), &[gzip], &{ packed.finish().unwrap() });
    verifies(&place, &proven.is(200).json());

    let packed = bomb(200 << 20);
    assert!(packed.len() < 300_000);
    service.call("POST", path, &[gzip], &packed).problem(413, "too-large");
    service.call("POST", path, &[gzip], b"no gzip").problem(400, "bad-request");
    service.call("POST", path, &[("Content-Encoding", "zstd")], b"x").is(415);
    service.post(path, &vec![0; 1_000_001]).problem(413, "too-large");
    service.post("/api/prove", &vec![b' '; 1_000_001]).is(413);

    let open = |head: &str| {
        let mut stream = TcpStream::connect(&service.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n").as_bytes())
            .unwrap();
        stream
    };
    let status = |stream: &mut TcpStream| {
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line.split(' ').nth(1).map(str::to_owned)
    };
    // An impossible length is refused before the body is read.
    assert_eq!(status(&mut open("Content-Length: 999999999999")).as_deref(), Some("413"));
    // An endless body.
    let mut endless = open("Transfer-Encoding: chunked");
    let chunk = [b"ffff\r\n".as_slice(), &[0; 0xffff], b"\r\n"].concat();
    while endless.write_all(&chunk).is_ok() {}
    // Bodies that stop half-way hold memory for the received part; it is released later.
    let mut stopped: Vec<TcpStream> = (0..2).map(|_| open("Content-Length: 900000")).collect();
    stopped.iter_mut().for_each(|stream| stream.write_all(&[0; 800_000]).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    service.post(path, &vec![0; 900_000]).problem(503, "busy");
    for stream in &mut stopped {
        assert_eq!(status(stream).as_deref(), Some("504"));
    }
    service.submit(&witness, &[]).is(202);
}

#[test]
fn declared_bodies_that_never_come_take_no_memory_for_inputs() {
    let (place, witness) = place();
    let limits = "[limits]\nbody-bytes = 1000000\ninputs-mib = 1\n";
    let config = place.write("serve.toml", limits);
    let service = Service::start(&place, Some(&config)).ready("tiny");
    let head = "POST /v1/verify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let silent: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(&service.address).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    service.submit(&witness, &[]).is(202);
    // A body that needs nearly the whole budget is read to its end.
    let large = service.post("/v1/verify", &vec![b' '; 900_000]);
    large.problem(400, "bad-request");
    drop(silent);
}

#[test]
fn silent_connections_give_their_place_back() {
    let (place, _) = place();
    let limits = "[limits]\nconnections = 3\nconnections-reserved = 0\nheader-seconds = 5\n";
    let config = place.write("serve.toml", limits);
    let service = Service::start(&place, Some(&config));
    let connect = || TcpStream::connect(&service.address).unwrap();
    let mut held: Vec<TcpStream> = (0..3).map(|_| connect()).collect();
    // One client is silent, one sends half a header, one sends a request and then idles.
    held[1].write_all(b"GET /health HTTP/1.1\r\nHo").unwrap();
    held[2].write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    // All connections are in use: the oldest is closed for the newest.
    let text = service.get("/metrics").is(200).body;
    assert!(text.contains("athanor_connections_closed_total{reason=\"evicted\"} 1\n"), "{text}");
    for (number, mut stream) in held.into_iter().enumerate() {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let began = Instant::now();
        let _ = stream.read_to_end(&mut Vec::new());
        assert!(number > 0 || began.elapsed() < Duration::from_secs(3), "closed for another");
    }
}

#[test]
fn a_stranger_is_refused_before_the_body_is_read() {
    let (place, _) = place();
    let made = place.run(["config", "token", "a", "--json"]).ok().json();
    let tokens =
        format!("[[tokens]]\ntenant = \"a\"\nblake3 = {}\nrole = \"read\"\n", made["blake3"]);
    let config = place.write("serve.toml", tokens);
    let service = Service::start(&place, Some(&config));
    for path in ["/v1/jobs", "/v1/prove", "/v1/verify", "/api/prove", "/api/verify", "/input/tiny"]
    {
        let mut stream = TcpStream::connect(&service.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.contains(" 401 "), "{path}: {line}");
    }
}

#[test]
fn whatever_a_connection_says_the_service_goes_on() {
    let (place, witness) = place();
    let config = place.write("serve.toml", "[limits]\nheader-seconds = 1\nbody-seconds = 1\n");
    let service = Service::start(&place, Some(&config)).ready("tiny");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/service");
    let mut said = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let mut stream = TcpStream::connect(&service.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        said += 1;
    }
    assert!(said >= 28, "{said} files");
    service.submit(&witness, &[]).is(202);
}

/// Answers one request with 200 and returns its body.
fn hear(listener: &TcpListener) -> Value {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    reader.into_inner().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn a_callback_hears_of_the_end_even_after_a_restart() {
    let (place, witness) = place();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let config = place.write("serve.toml", format!("callbacks = [\"{origin}\"]\n"));
    let service = Service::start(&place, Some(&config)).ready("tiny");
    let submit = |service: &Service, callback: &str| {
        service.post(&format!("/v1/jobs?circuit=tiny&kind=wtns&callback={callback}"), &witness)
    };
    submit(&service, "http://127.0.0.1:1/").problem(422, "callback-refused");
    let id = submit(&service, &format!("{origin}/hook")).is(202).json()["id"].clone();
    let told = hear(&listener);
    assert_eq!((&told["id"], &told["state"]), (&id, &Value::from("complete")));
    assert!(told.get("proof").is_none());
    let until = Instant::now() + PATIENCE;
    let path = format!("/v1/jobs/{}", id.as_str().unwrap());
    while service.get(&path).json()["callback"] != "told" {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(10));
    }
    // The callback's receiver does not answer. The service is killed, and delivers after its restart.
    let id = submit(&service, &format!("{origin}/again")).is(202).json()["id"].clone();
    let (silent, _) = listener.accept().unwrap();
    service.kill();
    drop(silent);
    let _service = Service::start(&place, Some(&config));
    assert_eq!(hear(&listener)["id"], id);
}

#[test]
fn the_description_names_every_path_of_our_own_form() {
    let (place, _) = place();
    let service = Service::start(&place, None);
    let described = service.get("/openapi.json").is(200).json();
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    for path in [
        "/v1/circuits",
        "/v1/circuits/{name}",
        "/v1/circuits/{name}/load",
        "/v1/circuits/{name}/unload",
        "/v1/jobs",
        "/v1/jobs/{id}",
        "/v1/jobs/{id}/events",
        "/v1/jobs/{id}/result",
        "/v1/jobs/{id}/retry",
        "/v1/prove",
        "/v1/status",
        "/v1/verify",
        "/v1/verify/many",
    ] {
        assert!(paths.iter().any(|named| *named == path), "{path} in {paths:?}");
    }
    service.call("PUT", "/v1/jobs", &[], b"").problem(405, "no-such-method");
    service.get("/v1/nothing").problem(404, "no-such-route");
}

#[test]
fn systemd_hears_that_it_is_ready_and_that_it_stops() {
    let (place, _) = place();
    let path = place.path("notify.sock");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    };
    let mut command = Service::command(&place);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let service = Service::run(&mut command).unwrap();
    // While its circuit loads, the service extends systemd's timeout; it is ready when it can serve.
    let until = Instant::now() + PATIENCE;
    let mut early = heard();
    while early != "READY=1" {
        let known = early.starts_with("EXTEND_TIMEOUT_USEC=") || early == "WATCHDOG=1";
        assert!(known && Instant::now() < until, "{early}");
        early = heard();
    }
    assert_eq!(service.get("/v1/circuits/tiny").json()["state"], "ready");
    assert_eq!(heard(), "WATCHDOG=1");
    assert_eq!(heard(), "WATCHDOG=1");
    assert_eq!(service.terminate(), Some(0));
    let until = Instant::now() + PATIENCE;
    while heard() != "STOPPING=1" {
        assert!(Instant::now() < until);
    }
}
