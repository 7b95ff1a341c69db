//! What can be chosen, each with a default that suits the machine.

use athanor_scheduler::{Config as Policy, DeviceClass, Trace};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The device class of the CPU as a device.
pub const CPU: DeviceClass = DeviceClass(0);

/// Gets every record of the scheduler's trace, in order, on the engine's own thread: it must be
/// quick.
pub type Observer = Box<dyn FnMut(&Trace) + Send>;

/// How an engine runs.
pub struct Config {
    /// The most memory to hold, in bytes; none to take what the system grants (see
    /// [`memory::budget`]).
    ///
    /// [`memory::budget`]: crate::memory::budget
    pub memory: Option<u64>,
    /// Bytes of it that the program around the engine holds, beyond what it held at the start: no
    /// job gets them.
    pub set_aside: u64,
    /// Bytes of address space that the program reserves and does not fill, beyond what it has at the start. They
    /// count where the address space is limited (`RLIMIT_AS`), and nowhere else.
    pub address_space: u64,
    /// Part of the memory kept for critical jobs, in bytes.
    pub reserve: u64,
    /// Threads of each CPU lane.
    pub lanes: Vec<u32>,
    /// The devices.
    pub devices: Vec<DeviceConfig>,
    /// Queues, retries, shares: the scheduler's own settings. Its memory fields are set by the
    /// engine.
    pub policy: Policy,
    /// The most bytes of results kept for identical requests to come; zero, the default, keeps none.
    /// A proof that is given out twice tells whoever sees both that the requests were the same.
    pub proof_cache: u64,
    /// How often memory is measured and lanes are looked at.
    pub heartbeat: Duration,
    /// How long a run may go on after it was told to stop, before its lane counts as lost.
    pub grace: Duration,
    /// The program and the arguments that make it serve as a child process
    /// ([`worker::serve`]); none to run isolated circuits nowhere.
    ///
    /// [`worker::serve`]: crate::worker::serve
    pub worker: Option<(PathBuf, Vec<OsString>)>,
    /// Sees every decision.
    pub observer: Option<Observer>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Its name in tables, and for circuits.
    pub name: String,
    /// What it can stand in for.
    pub class: DeviceClass,
    /// Threads of the host that work for it.
    pub threads: u32,
    /// Bytes of its own memory; zero if it works on the host's.
    pub memory: u64,
}

impl Config {
    /// For this machine: as many cores as the process may use, which is what its affinity and the CPU quota of its
    /// control group (`cpu.max`, or `cpu.cfs_quota_us` of version 1) leave. One CPU lane
    /// of one thread for every two cores, and one CPU device over all cores. They share the cores; the sum of the work is the bound either way, and synthesis
    /// in the shadow of a proof keeps the device from waiting.
    pub fn for_machine() -> Config {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        Config::with_threads(cores)
    }

    /// The same with another number of cores.
    pub fn with_threads(cores: u32) -> Config {
        Config {
            memory: None,
            set_aside: 0,
            address_space: 0,
            reserve: 0,
            lanes: vec![1; (cores / 2).max(1) as usize],
            devices: vec![DeviceConfig::cpu(cores.max(1))],
            policy: Policy::default(),
            proof_cache: 0,
            heartbeat: Duration::from_millis(500),
            grace: Duration::from_secs(5),
            worker: None,
            observer: None,
        }
    }
}

impl DeviceConfig {
    /// The CPU with so many threads.
    pub fn cpu(threads: u32) -> DeviceConfig {
        DeviceConfig { name: "cpu".into(), class: CPU, threads, memory: 0 }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("memory", &self.memory)
            .field("lanes", &self.lanes)
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}
