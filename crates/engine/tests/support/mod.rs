//! An engine for tests, and the assertions after each test: no job remains, and no reservation except
//! that of the key.

use athanor_engine::modelled::Modelled;
use athanor_engine::{
    Config, Engine, Finished, Input, JobError, MemoryJournal, Retry, Span, Standing, Submission,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time limit of each wait: long enough for a slow machine, short enough to report a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) circuit: Arc<Modelled>,
}

pub(crate) fn config() -> Config {
    let mut config = Config::with_threads(2);
    config.memory = Some(4 << 30);
    config.grace = Duration::from_millis(50);
    config.heartbeat = Duration::from_millis(20);
    config.policy.retry =
        Retry { attempts: 3, base: Span::from_millis(1), cap: Span::from_millis(5) };
    config
}

impl Bench {
    pub(crate) fn new(circuit: Modelled) -> Bench {
        Bench::with(config(), circuit)
    }

    pub(crate) fn with(config: Config, circuit: Modelled) -> Bench {
        let engine = Engine::start(config, Arc::new(MemoryJournal)).unwrap();
        let circuit = Arc::new(circuit);
        engine.load("model", circuit.clone()).unwrap();
        Bench { engine, circuit }
    }

    pub(crate) fn prove(&self, input: Input) -> Result<Arc<Finished>, JobError> {
        let handle = self.engine.submit(Submission::new("model", input))?;
        handle.wait_timeout(PATIENCE).expect("the job ends")
    }

    pub(crate) fn standing(&self) -> Standing {
        self.engine.standing().unwrap()
    }

    /// Asserts that another job succeeds, and that then no job is open and at most the key's memory is
    /// reserved.
    pub(crate) fn is_clean(&self) {
        let input = athanor_engine::modelled::Script::good(0xC1EA);
        let finished = self.prove(input.clone()).unwrap();
        let expected = athanor_engine::modelled::Script::expected(&input, self.circuit.partitions);
        assert_eq!(*finished.bytes, *expected);
        let until = Instant::now() + PATIENCE;
        loop {
            let standing = self.standing();
            if standing.open_jobs == 0 && standing.reserved <= self.circuit.key_bytes {
                return;
            }
            assert!(Instant::now() < until, "{} bytes are kept", standing.reserved);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Names of the engine's threads in this process.
pub(crate) fn engine_threads() -> Vec<String> {
    let names = ["engine-core", "heartbeat", "key-loader", "synth-", "prover-"];
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        let name = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        names.iter().any(|known| name.starts_with(known)).then(|| name.trim().to_owned())
    };
    tasks.filter_map(name).collect()
}
