//! CPU time of the engine for each task. The benchmark submits 10,000 trivial jobs per second, three
//! tasks each, and then the same number at once. It subtracts the CPU time of the circuit itself.
//!
//! ```sh
//! cargo bench -p athanor-engine
//! ```

#![allow(clippy::print_stdout)]

use athanor_engine::modelled::{Modelled, Script};
use athanor_engine::{Config, Engine, MemoryJournal, Submission};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Submitted jobs per second.
const RATE: u64 = 10_000;
const SECONDS: u64 = 5;

fn main() {
    let mut config = Config::with_threads(2);
    config.memory = Some(4 << 30);
    config.policy.max_jobs = 100_000;
    let engine = Engine::start(config, Arc::new(MemoryJournal)).expect("it starts");
    engine.load("model", Arc::new(Modelled::default())).expect("it is loaded");
    let offer = |jobs: u64, paced: bool| {
        let began = Instant::now();
        let cpu = cpu_time();
        let mut handles = Vec::with_capacity(jobs as usize);
        for job in 0..jobs {
            if paced && job % 100 == 0 {
                let due = Duration::from_nanos(job * 1_000_000_000 / RATE);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
            let submission = Submission::new("model", Script::good(job));
            handles.push(engine.begin(submission).expect("it is planned"));
        }
        for handle in handles {
            handle.wait().expect("it is proven");
        }
        (began.elapsed(), cpu_time() - cpu)
    };
    offer(1_000, false);
    // CPU time of the benchmark and the circuit: they create, parse and digest the same inputs.
    let own = own_cost(RATE * SECONDS);
    for paced in [true, false] {
        let jobs = RATE * SECONDS;
        let (took, cpu) = offer(jobs, paced);
        let engine_cpu = cpu.saturating_sub(own);
        println!(
            "{jobs} jobs of 3 tasks, {}: {:.2} s, {:.0} jobs a second, {:.2} us of CPU a task \
             ({:.2} with the circuit's own part)",
            if paced { "10,000 offered a second" } else { "all at once" },
            took.as_secs_f64(),
            jobs as f64 / took.as_secs_f64(),
            engine_cpu.as_secs_f64() * 1e6 / (3 * jobs) as f64,
            cpu.as_secs_f64() * 1e6 / (3 * jobs) as f64,
        );
    }
}

/// CPU time of the modelled circuit's own work: it parses each input once and digests it three times.
fn own_cost(jobs: u64) -> Duration {
    use athanor_engine::Circuit;
    let circuit = Modelled::default();
    let cpu = cpu_time();
    for job in 0..jobs {
        let input = Script::good(job);
        std::hint::black_box(circuit.plan(&input).map(|plan| plan.partitions.len()).ok());
        (0..3).for_each(|_| _ = std::hint::black_box(input.digest()));
    }
    cpu_time() - cpu
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
