//! A modelled proof system: given times, bytes and faults, for tests of the engine and of what is
//! built on it. It proves nothing, and no command offers it.
//!
//! The input says what goes wrong: a [`Script`] in JSON. The result is the input's own digest for
//! each partition, so that a wrong one is known from a right one.

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

/// A proof system of two steps: `witness` on a CPU lane, `prove` on a device.
pub struct Modelled {
    /// Partitions of a job; with more than one, a last one comes after all of them.
    pub partitions: u32,
    /// What each step takes, and the check.
    pub step_time: Duration,
    /// The peak of each step, allocated and written; half of it is kept between the steps.
    pub step_bytes: u64,
    /// The key's size; zero for a circuit without a key.
    pub key_bytes: u64,
    /// After so long a step counts as hung.
    pub limit: Option<Duration>,
    /// Where the circuit lies, if its steps run in a child process.
    pub isolated: Option<PathBuf>,
    /// Steps after which the child is replaced.
    pub recycle_after: u32,
    /// Reading the key fails so often from now on.
    pub key_faults: AtomicU32,
    /// The self-test of a lane fails as long as this is set.
    pub self_test_fails: AtomicBool,
    /// Steps begun, checks included.
    pub begun: AtomicU64,
    /// Proofs begun.
    pub proofs: AtomicU64,
    /// How often each step of each partition suffered so far.
    pub suffered: Mutex<HashMap<(JobId, u32, usize), u32>>,
}

/// What goes wrong in a job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Script {
    /// Makes two inputs differ.
    #[serde(default)]
    pub salt: u64,
    /// Faults by step; the check comes after the last one.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// In which partition; none for every one.
    #[serde(default)]
    pub partition: Option<u32>,
    /// In which step.
    pub step: usize,
    /// How often, for each partition.
    pub times: u32,
    /// What happens.
    pub act: Act,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// The step panics.
    Panic,
    /// The process aborts.
    Abort,
    /// The step waits until it is told to stop.
    Wait,
    /// The step goes on for so many milliseconds, whatever it is told.
    Hang(u64),
    /// The device errs.
    Device,
    /// Memory is refused.
    Refused,
    /// What the step makes is wrong.
    Wrong,
    /// It can never succeed.
    Permanent,
}

impl Script {
    /// Nothing goes wrong; inputs of different salts differ.
    pub fn good(salt: u64) -> Input {
        Script { salt, faults: Vec::new() }.input()
    }

    /// One fault.
    pub fn fault(step: usize, times: u32, act: Act) -> Input {
        Script { salt: 0, faults: vec![Fault { partition: None, step, times, act }] }.input()
    }

    /// As an input.
    pub fn input(&self) -> Input {
        Input::new("json", serde_json::to_vec(self).unwrap_or_default())
    }

    /// What a job with that input must give.
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

/// What a step leaves.
struct Left {
    bytes: Vec<u8>,
    _held: Vec<u8>,
}

impl Modelled {
    /// The next fault of this step, if any is left.
    fn fault(&self, call: &Call, script: &Script) -> Option<Act> {
        let fault = script.faults.iter().find(|fault| {
            fault.step == call.step && fault.partition.is_none_or(|p| p == call.partition)
        })?;
        let so_far = match &self.isolated {
            // A child forgets what it did when it dies.
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

    /// Does what goes wrong; whether what is made is wrong.
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

    /// Takes the step's time, or less if it is told to stop.
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

/// Opens isolated modelled circuits; what runs in a test's child process.
pub struct ModelledBackend;

impl Backend for ModelledBackend {
    fn name(&self) -> &'static str {
        "modelled"
    }

    fn open(&self, directory: &Path, _: &Manifest) -> Result<Arc<dyn Circuit>, OpenError> {
        Ok(Arc::new(Modelled { isolated: Some(directory.to_owned()), ..Modelled::default() }))
    }
}
