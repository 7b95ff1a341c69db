//! The state of the machine during a measurement.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Round trips per batch in the measurement of the latency between cores.
const ROUND_TRIPS: u32 = 100;
/// Maximum number of batches, and the time limit for all of them.
const BATCHES: usize = 200;
const MEASURING: Duration = Duration::from_millis(50);

/// The state of the machine at a measurement.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Machine {
    /// Name of the processor.
    pub cpu: String,
    /// Number of cores.
    pub cores: usize,
    /// Load average of the last minute.
    pub load: f64,
    /// Nanoseconds of a round trip of a cache line between two cores.
    pub round_trip_ns: f64,
}

impl Machine {
    /// Reads the present state of the machine.
    #[must_use]
    pub fn now() -> Self {
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
            .unwrap_or_default();
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load: load(),
            round_trip_ns: round_trip_ns(),
        }
    }

    /// Whether the two cores are close: the round trip takes less than 250 ns.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.round_trip_ns < 250.0
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Load average of the last minute; zero if the system does not report it.
#[must_use]
pub(super) fn load() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

/// The round trip of a cache line between two cores in nanoseconds: the lower quartile of many
/// short batches, which excludes interruptions, within a bounded time.
#[must_use]
pub fn round_trip_ns() -> f64 {
    #[repr(align(128))]
    struct Line(AtomicU32);
    const OVER: u32 = u32::MAX;
    let ball = Line(AtomicU32::new(0));
    let wait = |turn: u32| {
        let mut turns = 0_u32;
        loop {
            let now = ball.0.load(Ordering::Acquire);
            if now == turn || now == OVER {
                return now;
            }
            turns += 1;
            if turns.is_multiple_of(2048) {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    };
    let mut batches = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 1;
            while wait(turn) != OVER {
                // The exchange fails if the other thread has ended the measurement.
                let _ =
                    ball.0.compare_exchange(turn, turn + 1, Ordering::AcqRel, Ordering::Relaxed);
                turn += 2;
            }
        });
        let started = Instant::now();
        let mut turn = 1;
        while batches.len() < BATCHES && started.elapsed() < MEASURING {
            let start = Instant::now();
            for _ in 0..ROUND_TRIPS {
                ball.0.store(turn, Ordering::Release);
                wait(turn + 1);
                turn += 2;
            }
            batches.push(start.elapsed().as_nanos() as f64 / f64::from(ROUND_TRIPS));
        }
        ball.0.store(OVER, Ordering::Release);
    });
    batches.sort_unstable_by(f64::total_cmp);
    batches[batches.len() / 4]
}

/// Nanoseconds of processor time of all threads of this process.
#[must_use]
pub(super) fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Bytes of resident memory: present and maximum.
#[must_use]
pub(super) fn memory_bytes() -> (u64, u64) {
    let status = read("/proc/self/status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The median of `values`; zero if there are none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}
