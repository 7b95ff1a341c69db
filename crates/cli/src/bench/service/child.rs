//! The service as a child process.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

use super::{Bench, NAME, client::Client};
use crate::failure::{Failure, Kind};

/// A running service; killed on drop.
pub(super) struct Child {
    process: process::Child,
    pub(super) address: String,
}

/// Timeout until the circuit is ready.
const PATIENCE: Duration = Duration::from_secs(60);

impl Child {
    /// Starts it with a new data directory and waits until the circuit is ready.
    pub(super) fn start(bench: &Bench<'_>, data: &str, config: &str) -> Result<Child, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(Kind::Service, error);
        let path = bench.place.join(format!("{data}.toml"));
        fs::write(&path, config).map_err(|error| Failure::at(Kind::Unwritable, &path, error))?;
        let program = env::current_exe().map_err(|error| failed(&error))?;
        let mut process = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&path)
            .arg("--circuits")
            .arg(bench.place.join("circuits"))
            .arg("--data")
            .arg(bench.place.join(data))
            .args(["--threads", &bench.threads.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let lines = process.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        let mut lines = lines.into_iter().flatten().map_while(Result::ok);
        let address =
            lines.find_map(|line| Some(line.split_once("listening at http://")?.1.to_owned()));
        let child = match address {
            Some(address) => Child { process, address },
            None => return Err(failed(&"the service did not start")),
        };
        // Drains the rest, since a full pipe would block the service.
        std::thread::spawn(move || lines.for_each(drop));
        bench.runtime.block_on(async {
            let until = Instant::now() + PATIENCE;
            let mut client = Client::connect(&child.address).await?;
            let path = format!("/v1/circuits/{NAME}");
            while !client.get(&path).await?.body.contains("\"state\":\"ready\"") {
                if Instant::now() > until {
                    return Err(failed(&"the circuit did not become ready"));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        })?;
        Ok(child)
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).unwrap_or_default()
    }

    /// CPU time that it has used, with a resolution of 10 ms.
    pub(super) fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // The name, in parentheses, may contain spaces.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let ticks = |at: usize| after.split(' ').nth(at).and_then(|word| word.parse::<u64>().ok());
        let ticks = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
        Duration::from_millis(10 * ticks)
    }

    /// Peak resident memory in bytes.
    pub(super) fn peak(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
