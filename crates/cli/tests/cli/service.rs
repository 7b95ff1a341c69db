//! A running service, and requests as plain bytes without a client library.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::Place;

/// Timeout of every operation here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running service in its own directory; killed on drop.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: String,
    /// Its log, line by line.
    said: Arc<Mutex<Vec<String>>>,
}

/// A response.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {}", self.head, self.body);
        self
    }

    /// The stable code of an error response.
    pub(crate) fn problem(&self, status: u16, name: &str) {
        assert_eq!(
            (self.status, self.json()["title"].as_str()),
            (status, Some(name)),
            "{}",
            self.body
        );
        assert!(self.head.contains("application/problem+json"), "{}", self.head);
    }
}

impl Service {
    pub(crate) fn start(place: &Place, config: Option<&Path>) -> Service {
        let mut command = Service::command(place);
        config.into_iter().for_each(|path| _ = command.arg("--config").arg(path));
        Service::run(&mut command).expect("it says where it listens")
    }

    /// The command that starts it; a test may add to it.
    pub(crate) fn command(place: &Place) -> Command {
        Service::command_on(place, Path::new("data"))
    }

    /// As above, with a different data directory.
    pub(crate) fn command_on(place: &Place, data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_athanor"));
        command.args(["serve", "--circuits", "circuits", "--threads", "2"]);
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
        command.current_dir(place.path(".")).env("ATHANOR_CACHE_DIR", place.path("cache"));
        command
    }

    /// Starts it; `None` if it ends before it listens.
    pub(crate) fn run(command: &mut Command) -> Option<Service> {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let address = loop {
            let Some(line) = lines.next() else {
                let _ = child.wait();
                return None;
            };
            let line = line.unwrap();
            said.lock().unwrap().push(line.clone());
            let Some((_, address)) = line.split_once("listening at http") else { continue };
            // A JSON line continues after the address.
            break address.split_once("://").unwrap().1.split('"').next().unwrap().to_owned();
        };
        // Drains the pipe, since a full pipe would block the service.
        let heard = said.clone();
        std::thread::spawn(move || {
            let lines = lines.map_while(Result::ok);
            lines.for_each(|line| heard.lock().unwrap().push(line));
        });
        Some(Service { child, address, said })
    }

    /// The lines of its log that contain this text.
    pub(crate) fn said(&self, words: &str) -> Vec<String> {
        let said = self.said.lock().unwrap();
        said.iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until a circuit is ready.
    pub(crate) fn ready(self, circuit: &str) -> Self {
        let until = Instant::now() + PATIENCE;
        loop {
            let state = self.get(&format!("/v1/circuits/{circuit}")).json();
            if state["state"] == "ready" {
                return self;
            }
            assert!(Instant::now() < until && state["state"] != "failed", "{state}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.call("POST", path, &[], body)
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        self.try_call(method, path, headers, body).expect("it answers")
    }

    /// `None` if the service ends meanwhile.
    pub(crate) fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Reply> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        stream.write_all((head + "\r\n").as_bytes()).ok()?;
        // The service may not read a refused body to its end.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").or_else(|| read.err().and(None))?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = match head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            true => unchunked(body),
            false => body.to_owned(),
        };
        Some(Reply { status, head: head.to_owned(), body })
    }

    /// Sends a request and disconnects at once, without an answer.
    pub(crate) fn vanish(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return };
        let length = body.len();
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n");
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        let _ = stream.write_all(&[(head + "\r\n").as_bytes(), body].concat());
    }

    /// Waits until every job that the service knows has ended.
    pub(crate) fn all_ended(&self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let jobs = self.get("/v1/jobs?limit=500").is(200).json();
            let all = jobs["jobs"].as_array().unwrap();
            let open: Vec<&Value> = all.iter().filter(|job| job["state"] == "accepted").collect();
            if open.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "{open:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Submits the witness file of the directory.
    pub(crate) fn submit(&self, witness: &[u8], headers: &[(&str, &str)]) -> Reply {
        self.call("POST", "/v1/jobs?circuit=tiny&kind=wtns", headers, witness)
    }

    /// The result, once the job has ended.
    pub(crate) fn result(&self, id: &str) -> Reply {
        let until = Instant::now() + PATIENCE;
        loop {
            let reply = self.get(&format!("/v1/jobs/{id}/result"));
            if reply.status != 409 || reply.json()["title"] != "wrong-state" {
                return reply;
            }
            assert!(Instant::now() < until, "{}", reply.body);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGKILL, while clients are connected.
    pub(crate) fn stop(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.signal("-TERM");
        self.ended()
    }

    /// Sends it a signal, such as `-HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end and returns the exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits until its log has that number of lines with this text.
    pub(crate) fn hear(&self, words: &str, count: usize) -> Vec<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let lines = self.said(words);
            if lines.len() >= count {
                return lines;
            }
            assert!(Instant::now() < until, "it says {words:?} {} times", lines.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            assert_eq!(self.said("panicked at")[..], [""; 0], "no request makes it panic");
        }
    }
}

pub(crate) fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or(0);
        if length == 0 || rest.len() < length {
            break;
        }
        whole += &rest[..length];
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// A directory with a catalog of one circuit, and a witness for it.
pub(crate) fn place() -> (Place, Vec<u8>) {
    let place = Place::new("bn128");
    let (zkey, wtns) = (place.given("final.zkey"), place.given("witness.wtns"));
    let (zkey, input) = (zkey.to_str().unwrap(), wtns.to_str().unwrap());
    place
        .run(["circuits", "add", "tiny", "--zkey", zkey, "--input", input, "--dir", "circuits"])
        .ok();
    (place, fs::read(wtns).unwrap())
}

/// The proof in a result is valid by the key's own verification key.
pub(crate) fn verifies(place: &Place, result: &Value) {
    let proof = place.write("p.json", result["proof"].to_string());
    let public = place.write("q.json", result["publicSignals"].to_string());
    place.verify(&place.given("verification_key.json"), &public, &proof).ok();
}
