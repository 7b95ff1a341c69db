//! A modelled proof system with configurable times, memory and faults, for tests of the engine and of the
//! crates above it. It proves nothing, and no command offers it.
//!
//! The input is a [`Script`] in JSON that lists faults. The result of a partition is the input's digest
//! and the partition's index, so that a check can recognize a wrong result.

use crate::backend::{
    About, Backend, Call, Circuit, Done, Isolation, KeyShape, OpenError, Payload, Plan,
    PlannedPartition, Shape, Step, TaskError,
};
use crate::config::CPU;
use crate::input::{Input, InputError};
use crate::lane::Lane;
use crate::manifest::Manifest;
use crate::stop::Stop;
use athanor_scheduler::{Claim, Failure, JobId, Memory, WorkerNeed};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A circuit with two steps: `witness` on a CPU worker, `prove` on a device.
pub struct Modelled {
    /// Number of partitions of a job. If it is above one, the job has one more partition, `assemble`, which
    /// depends on all others.
    pub partitions: u32,
    /// Duration of each step and of the check.
    pub step_time: Duration,
    /// Peak memory of each step in bytes, allocated and written. Half of it stays between the steps.
    pub step_bytes: u64,
    /// Size of the key in bytes. Zero for a circuit without a key.
    pub key_bytes: u64,
    /// Time limit of each step.
    pub limit: Option<Duration>,
    /// The circuit's directory, if its steps run in a child process.
    pub isolated: Option<PathBuf>,
    /// Number of steps after which the child is replaced. Zero disables the limit.
    pub recycle_after: u32,
    /// Number of later key reads that fail.
    pub key_faults: AtomicU32,
    /// Whether the self-test of a worker fails.
    pub self_test_fails: AtomicBool,
    /// Number of started steps, including checks.
    pub begun: AtomicU64,
    /// Number of started `prove` steps.
    pub proofs: AtomicU64,
    /// Number of runs with a scripted fault so far, by job, partition and step.
    pub suffered: Mutex<HashMap<(JobId, u32, usize), u32>>,
}

/// The faults of a job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Script {
    /// A number that makes inputs differ.
    #[serde(default)]
    pub salt: u64,
    /// The faults. For each run, the first entry that matches its step and partition applies.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// The partition. `None` means every partition.
    #[serde(default)]
    pub partition: Option<u32>,
    /// The step. The check has the index after the last step.
    pub step: usize,
    /// Number of runs of the step that fail, for each partition.
    pub times: u32,
    /// The kind of fault.
    pub act: Act,
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// The step panics.
    Panic,
    /// The process aborts.
    Abort,
    /// The step waits until its stop flag is set.
    Wait,
    /// The step sleeps for the given number of milliseconds and ignores its stop flag in that time.
    Hang(u64),
    /// The step fails with a device error.
    Device,
    /// The step fails because memory cannot be allocated.
    Refused,
    /// The step's output is wrong.
    Wrong,
    /// The step fails permanently.
    Permanent,
}

impl Script {
    /// An input without faults. Inputs with different salts differ.
    pub fn good(salt: u64) -> Input {
        Script { salt, faults: Vec::new() }.input()
    }

    /// An input with one fault in every partition.
    pub fn fault(step: usize, times: u32, act: Act) -> Input {
        Script { salt: 0, faults: vec![Fault { partition: None, step, times, act }] }.input()
    }

    /// Serializes the script as an input.
    pub fn input(&self) -> Input {
        Input::new("json", serde_json::to_vec(self).unwrap_or_default())
    }

    /// The result of a job with the given input and [`Modelled::partitions`].
    pub fn expected(input: &Input, partitions: u32) -> Vec<u8> {
        result(&input.digest(), if partitions == 1 { 0 } else { partitions })
    }
}

fn result(digest: &[u8; 32], partition: u32) -> Vec<u8> {
    [&digest[..], &partition.to_le_bytes()].concat()
}

impl Default for Modelled {
    fn default() -> Modelled {
        Modelled {
            partitions: 1,
            step_time: Duration::ZERO,
            step_bytes: 0,
            key_bytes: 0,
            limit: None,
            isolated: None,
            recycle_after: 0,
            key_faults: AtomicU32::new(0),
            self_test_fails: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            proofs: AtomicU64::new(0),
            suffered: Mutex::default(),
        }
    }
}

/// The output of a step.
struct Left {
    bytes: Vec<u8>,
    _held: Vec<u8>,
}

impl Modelled {
    /// The fault of this run, if any. Counts the run.
    fn fault(&self, call: &Call, script: &Script) -> Option<Act> {
        let fault = script.faults.iter().find(|fault| {
            fault.step == call.step && fault.partition.is_none_or(|p| p == call.partition)
        })?;
        let so_far = match &self.isolated {
            // A file keeps the count, because a child loses its memory when it dies.
            Some(directory) => {
                let name = format!("fault-{}-{}-{}", call.job, call.partition, call.step);
                let path = directory.join(name);
                let so_far = std::fs::read(&path).map_or(0, |bytes| bytes.len() as u32);
                let _ = std::fs::write(&path, vec![b'x'; so_far as usize + 1]);
                so_far
            }
            None => {
                let mut all = self.suffered.lock().unwrap_or_else(PoisonError::into_inner);
                let count = all.entry((call.job, call.partition, call.step)).or_default();
                *count += 1;
                *count - 1
            }
        };
        (so_far < fault.times).then_some(fault.act)
    }

    /// Carries out the fault of this run. Returns whether the output must be wrong.
    fn suffer(&self, call: &Call) -> Result<bool, TaskError> {
        let script: &Script = call.input()?;
        let fail = |failure, code| Err(TaskError::new(failure, code, "as modelled"));
        match self.fault(call, script) {
            None => Ok(false),
            Some(Act::Panic) => panic!("as modelled"),
            Some(Act::Abort) => std::process::abort(),
            Some(Act::Wrong) => Ok(true),
            Some(Act::Device) => fail(Failure::Device, "device"),
            Some(Act::Refused) => fail(Failure::Transient, "out-of-memory"),
            Some(Act::Permanent) => fail(Failure::Permanent, "unsatisfied"),
            Some(Act::Hang(millis)) => {
                std::thread::sleep(Duration::from_millis(millis));
                Ok(false)
            }
            Some(Act::Wait) => {
                while !call.stop.is_set() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TaskError::stopped())
            }
        }
    }

    /// Sleeps for the step's duration. Fails early if the stop flag is set.
    fn work(&self, stop: &Stop) -> Result<(), TaskError> {
        let until = Instant::now() + self.step_time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if stop.is_set() {
                return Err(TaskError::stopped());
            }
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
        Ok(())
    }
}

impl Circuit for Modelled {
    fn about(&self) -> About {
        About { proof_system: "modelled".into(), curve: "none".into(), verifying_key: [0; 32] }
    }

    fn keys(&self) -> Vec<KeyShape> {
        match self.key_bytes {
            0 => Vec::new(),
            host => vec![KeyShape { name: "key".into(), host, device: 0 }],
        }
    }

    fn shapes(&self) -> Vec<Shape> {
        let (peak, keeps) = (Memory::host(self.step_bytes), Memory::host(self.step_bytes / 2));
        let step = |stage: &str, lane| Step {
            stage: stage.into(),
            lane,
            claim: Claim { peak, keeps, device: 0 },
            key: (stage == "prove" && self.key_bytes > 0).then_some(0),
            estimate: self.step_time,
            limit: self.limit,
        };
        let prove = Shape {
            steps: vec![
                step("witness", WorkerNeed::Cpu { least: 1, most: 1 }),
                step("prove", WorkerNeed::Device { class: CPU }),
            ],
            check_peak: keeps,
            check_estimate: self.step_time,
        };
        let assemble = Shape {
            steps: vec![step("assemble", WorkerNeed::Cpu { least: 1, most: 1 })],
            ..prove.clone()
        };
        vec![prove, assemble]
    }

    fn plan(&self, input: &Input) -> Result<Plan, InputError> {
        let script: Script = serde_json::from_slice(input.bytes())
            .map_err(|error| InputError::new("bad-input", error))?;
        let part = |_| PlannedPartition { shape: 0, after: Vec::new() };
        let mut partitions: Vec<_> = (0..self.partitions).map(part).collect();
        if self.partitions > 1 {
            let after = (0..self.partitions).collect();
            partitions.push(PlannedPartition { shape: 1, after });
        }
        let holds = Memory::host(input.bytes().len() as u64);
        Ok(Plan { input: Arc::new(script), holds, partitions })
    }

    fn load_key(&self, _: usize, _: &Lane, _: &Stop) -> Result<Payload, TaskError> {
        let left = self.key_faults.load(Ordering::Relaxed);
        if left > 0 {
            self.key_faults.store(left - 1, Ordering::Relaxed);
            return Err(TaskError::new(Failure::Transient, "key-unreadable", "as modelled"));
        }
        Ok(Arc::new(vec![1u8; self.key_bytes as usize]))
    }

    fn run(&self, call: &Call) -> Result<Done, TaskError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        if call.step == 1 {
            self.proofs.fetch_add(1, Ordering::Relaxed);
            if self.key_bytes > 0 && self.isolated.is_none() {
                call.key::<Vec<u8>>()?;
            }
        }
        if call.step > 0 {
            call.from::<Left>()?;
        }
        let peak = vec![1u8; self.step_bytes as usize];
        let wrong = self.suffer(call)?;
        self.work(&call.stop)?;
        drop(peak);
        let mut bytes = result(&call.raw.digest(), call.partition);
        bytes[0] ^= u8::from(wrong);
        Ok(Done::new(Left { bytes, _held: vec![1u8; self.step_bytes as usize / 2] }))
    }

    fn check(&self, call: &Call) -> Result<Vec<u8>, TaskError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.suffer(call)?;
        self.work(&call.stop)?;
        let right = result(&call.raw.digest(), call.partition);
        let parts = (0..).zip(&call.left);
        let mut others = parts.map(|(index, left)| **left == *result(&call.raw.digest(), index));
        match call.from::<Left>()?.bytes == right && others.all(|right| right) {
            true => Ok(right),
            false => Err(TaskError::new(Failure::BadResult, "bad-proof", "it does not verify")),
        }
    }

    fn verify(&self, result: &[u8]) -> Result<(), TaskError> {
        match result.len() == 36 {
            true => Ok(()),
            false => Err(TaskError::new(Failure::Permanent, "invalid-proof", "not a result")),
        }
    }

    fn self_test(&self, _: &Lane) -> Result<(), TaskError> {
        match self.self_test_fails.load(Ordering::Relaxed) {
            true => Err(TaskError::new(Failure::Device, "device", "still wrong")),
            false => Ok(()),
        }
    }

    fn isolation(&self) -> Option<Isolation> {
        Some(Isolation {
            backend: "modelled".into(),
            directory: self.isolated.clone()?,
            recycle_after: self.recycle_after,
            recycle_above: 0,
        })
    }

    fn pack(&self, _: usize, left: &Payload) -> Result<Vec<u8>, TaskError> {
        let left = left.downcast_ref::<Left>().map(|left| left.bytes.clone());
        left.ok_or_else(|| TaskError::internal("not a modelled step's"))
    }

    fn unpack(&self, _: usize, bytes: &[u8]) -> Result<Payload, TaskError> {
        Ok(Arc::new(Left { bytes: Zeroizing::new(bytes.to_vec()).to_vec(), _held: Vec::new() }))
    }
}

/// Opens isolated modelled circuits in the child process of a test.
pub struct ModelledBackend;

impl Backend for ModelledBackend {
    fn name(&self) -> &'static str {
        "modelled"
    }

    fn open(&self, directory: &Path, _: &Manifest) -> Result<Arc<dyn Circuit>, OpenError> {
        Ok(Arc::new(Modelled { isolated: Some(directory.to_owned()), ..Modelled::default() }))
    }
}
