//! Benchmarks of Athanor. Comparisons with other libraries are in the `peers` crate, which runs the
//! same circuits.

pub mod alone;
pub mod args;
pub mod circuits;
pub mod engine;
pub mod fastpath;
pub mod groth16;
pub mod kernels;
pub mod service;
pub mod verify;

use std::time::Duration;

/// CPU time that this process has used so far, on all threads.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The median; for an even number of values, the lower of the two in the middle.
pub fn median(mut values: Vec<Duration>) -> Duration {
    values.sort();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// The processor's name, if the system reports it.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("unknown", |(_, name)| name).to_owned()
}
