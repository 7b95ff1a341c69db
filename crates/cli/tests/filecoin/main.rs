//! Filecoin's PoRep by commands and by the service: parameters, a sealed sector, its proof.

mod critical;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A working directory; converted keys and parameters are cached between runs.
struct Place {
    directory: tempfile::TempDir,
    kept: PathBuf,
}

impl Place {
    fn new() -> Self {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("filecoin");
        fs::create_dir_all(&kept).unwrap();
        Self { directory: tempfile::tempdir().unwrap(), kept }
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_athanor"));
        command
            .args(arguments.split_ascii_whitespace())
            .current_dir(self.directory.path())
            .env("ATHANOR_CACHE_DIR", &self.kept);
        command
    }

    /// Runs `athanor` and returns its exit code and output.
    fn run(&self, arguments: &str) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// As above, but must succeed; returns the output.
    fn json(&self, arguments: &str) -> Value {
        let (code, stdout, stderr) = self.run(&format!("{arguments} --json"));
        assert_eq!(code, 0, "{arguments}: {stdout} {stderr}");
        serde_json::from_str(&stdout).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Parameters for partitions of 2 KiB, made by the command if they do not exist.
    fn parameters(&self) -> PathBuf {
        static MAKING: Mutex<()> = Mutex::new(());
        let _one = MAKING.lock().unwrap();
        let params = self.kept.join("params");
        if !params.exists() {
            let at = params.display();
            let made =
                self.json(&format!("filecoin params --sector 2KiB --partitions 10 --output {at}"));
            assert_eq!(
                (made["production"].as_bool(), made["constraints"].as_u64()),
                (Some(false), Some(1_344_268))
            );
            let standing = fs::read_to_string(made["standing"].as_str().unwrap()).unwrap();
            assert!(standing.contains("NOT FOR PRODUCTION"), "{standing}");
        }
        params
    }

    /// Writes the C1 output of a sector with that number of partitions to `c1.json`.
    fn sector(&self, partitions: u64) -> Vec<u8> {
        let (code, _, stderr) = self.run(&format!(
            "filecoin c1 --sector 2KiB --partitions {partitions} --miner f01000 --number 7 --output c1.json"
        ));
        assert_eq!(code, 0, "{stderr}");
        fs::read(self.path("c1.json")).unwrap()
    }
}

struct Service {
    child: Child,
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(place: &Place) -> Self {
        let arguments = "serve --circuits circuits --data data --listen 127.0.0.1:0";
        let mut child = place.command(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("it says where it listens").unwrap();
            if let Some((_, address)) = line.split_once("listening at http://") {
                break address.to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let service = Self { child, address };
        let until = Instant::now() + Duration::from_secs(60);
        while service.call("GET", "/v1/circuits/porep-2k", b"").1["state"] != "ready" {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(20));
        }
        service
    }

    fn call(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        self.announce(method, path, body.len(), body)
    }

    /// Sends a request with a content length, and returns the response.
    fn announce(&self, method: &str, path: &str, length: usize, body: &[u8]) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

#[test]
fn a_sector_goes_from_seal_to_verified_proof_by_command_and_by_service() {
    // The network's ten take minutes.
    let partitions = if std::env::var_os("ATHANOR_LONG_TESTS").is_some() { 10 } else { 2 };
    let place = Place::new();
    let params = place.parameters();
    let sector = place.sector(partitions);
    let added = place.json(&format!(
        "filecoin circuit porep-2k --sector 2KiB --partitions {partitions} --params {} --dir circuits",
        params.display()
    ));
    assert_eq!(added["circuit"]["options"]["sector"], "2KiB");
    let listed = place.json("circuits list --dir circuits");
    assert_eq!(listed["circuits"][0]["partitions"], partitions);

    let prove = "prove --circuit porep-2k --dir circuits --input c1.json --public public.json";
    let proven = place.json(&format!("{prove} --proof proof.bin --miner f01000"));
    assert_eq!(
        (proven["checked"].as_str(), proven["partitions"].as_u64()),
        (Some("verify_seal"), Some(partitions))
    );
    assert_eq!(fs::metadata(place.path("proof.bin")).unwrap().len(), 192 * partitions);
    let statement = fs::read_to_string(place.path("public.json")).unwrap();
    assert!(statement.contains("\"miner\": \"f01000\""), "{statement}");

    let (code, _, stderr) = place.run(&format!("{prove} --proof other.bin --miner f01001"));
    assert_eq!(code, 17, "{stderr}");
    assert!(stderr.contains("f01001"), "{stderr}");
    assert!(!place.path("other.bin").exists());
    let (code, _, stderr) = place.run("prove --circuit porep-2k --dir circuits --wtns c1.json");
    assert_eq!(code, 17, "{stderr}");

    let service = Service::start(&place);
    let mut envelope: Value = serde_json::from_slice(&sector).unwrap();
    envelope["Miner"] = "f01000".into();
    let prove = "/v1/prove?circuit=porep-2k";
    let (status, proof) = service.call("POST", prove, envelope.to_string().as_bytes());
    assert_eq!((status, proof["checked"].as_str()), (200, Some("verify_seal")), "{proof}");
    let mut claim = proof.clone();
    claim.as_object_mut().unwrap().remove("checked");
    claim["circuit"] = "porep-2k".into();
    let (_, verified) = service.call("POST", "/v1/verify", claim.to_string().as_bytes());
    assert_eq!(verified["valid"], true, "{verified}");
    claim["publicSignals"]["comm_r"] = "11".repeat(32).into();
    let (_, verified) = service.call("POST", "/v1/verify", claim.to_string().as_bytes());
    assert_eq!(verified["valid"], false, "{verified}");

    let text = envelope.to_string();
    let (status, problem) = service.call("POST", prove, &text.as_bytes()[..text.len() / 2]);
    assert_eq!(status, 422, "{problem}");
    let (status, problem) = service.announce("POST", prove, 200 << 20, b"");
    assert_eq!(status, 413, "{problem}");
}
