//! The engine's settings and their defaults.

use athanor_scheduler::{Config as Policy, DeviceClass, Trace};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The device class of the CPU as a device.
pub const CPU: DeviceClass = DeviceClass(0);

/// A callback that receives every record of the scheduler's trace in order. It runs on the engine's
/// thread and must return quickly.
pub type Observer = Box<dyn FnMut(&Trace) + Send>;

/// The settings of an engine.
pub struct Config {
    /// The memory budget in bytes. `None` derives it from the limits of the system (see
    /// [`memory::budget`]).
    ///
    /// [`memory::budget`]: crate::memory::budget
    pub memory: Option<u64>,
    /// Bytes of the budget that the program outside the engine needs beyond its resident memory at the
    /// engine's start. Jobs cannot use them.
    pub set_aside: u64,
    /// Bytes of address space that the program will map and not fill, beyond its mappings at the engine's
    /// start. They count only if the address space is limited (`RLIMIT_AS`).
    pub address_space: u64,
    /// Part of the budget that only critical jobs can use, in bytes.
    pub reserve: u64,
    /// Number of threads of each CPU worker.
    pub lanes: Vec<u32>,
    /// The devices, one worker each.
    pub devices: Vec<DeviceConfig>,
    /// The scheduler's settings: queues, retries, shares. The engine sets the budget of host memory and
    /// the reserve.
    pub policy: Policy,
    /// Maximum size of the proof cache in bytes. Zero, the default, disables the cache. A proof that is
    /// returned twice reveals to an observer of both answers that the requests were equal.
    pub proof_cache: u64,
    /// Interval at which the heartbeat measures memory and asks the engine's thread for an answer.
    pub heartbeat: Duration,
    /// Time between a run's stop request and the replacement of its worker, if the run has not ended.
    pub grace: Duration,
    /// The program, and the arguments with which it serves as a child process ([`worker::serve`]). `None`
    /// disables isolated circuits.
    ///
    /// [`worker::serve`]: crate::worker::serve
    pub worker: Option<(PathBuf, Vec<OsString>)>,
    /// Receives every record of the scheduler's trace.
    pub observer: Option<Observer>,
}

/// The settings of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// The device's name, shown in tables and passed to circuits.
    pub name: String,
    /// The device's class. Devices of one class can replace each other.
    pub class: DeviceClass,
    /// Number of host threads that work for the device.
    pub threads: u32,
    /// Bytes of the device's own memory. Zero if it uses host memory.
    pub memory: u64,
}

impl Config {
    /// Settings for this machine. The number of cores is what the affinity of the process and the CPU
    /// quota of its control group (`cpu.max`, or `cpu.cfs_quota_us` of version 1) allow.
    ///
    /// There is one CPU worker of one thread for every two cores, at least one, and one CPU device with a
    /// thread for each core. They share the cores. The sum of the work limits the throughput in any
    /// division, and witness generation during a proof keeps the device from idling.
    pub fn for_machine() -> Config {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        Config::with_threads(cores)
    }

    /// The settings of [`Config::for_machine`] for a given number of cores.
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
    /// The CPU as a device with `threads` threads.
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
