//! Sectors of ten partitions (2 KiB) through the engine, under a memory budget.
//!
//! `cargo bench -p athanor-filecoin --features stock --bench pipeline -- [--jobs N] [--partitions N]
//! [--mib BUDGET] [--beyond-key-mib M] [--svg OUT]`. Reports memory beside the budget, throughput beside the
//! simulator's prediction, and how long a lane stood idle while a step for it was ready.
#![allow(clippy::print_stdout, reason = "a bench prints")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use athanor_engine::{Circuit, Config, Engine, Input, MemoryJournal, Submission, memory};
use athanor_filecoin::{SealProof, open};
use athanor_simulator::Scenario;
use athanor_telemetry::{Stats, Time, Timeline, Trace, TraceEvent, svg};
use common::cpu_seconds;

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn main() {
    if std::env::args().any(|argument| argument == "verifier_child") {
        return common::be_the_verifier();
    }
    let number = |name| argument(name).and_then(|value| value.parse::<u64>().ok());
    let jobs = number("--jobs").unwrap_or(1);
    let partitions = number("--partitions").unwrap_or(10);
    let porep = common::porep(u8::try_from(partitions).unwrap());
    let input = common::envelope(&common::c1(&porep)).to_string();
    let params = common::parameters(&porep);
    let circuit = open(porep, &params, None, None, common::settings()).unwrap();
    let key: u64 = circuit.keys().iter().map(|key| key.host).sum();
    let beyond =
        number("--beyond-key-mib").map(|mib| key + (mib << 20) + memory::resident().unwrap_or(0));
    let budget = beyond.or(number("--mib").map(|mib| mib << 20));
    let recorded = Arc::new(Mutex::new(Vec::<Trace>::new()));
    let seen = recorded.clone();
    let engine = Engine::start(
        Config {
            memory: budget,
            heartbeat: Duration::from_millis(20),
            observer: Some(Box::new(move |trace| seen.lock().unwrap().push(trace.clone()))),
            ..Config::with_threads(2)
        },
        Arc::new(MemoryJournal),
    )
    .unwrap();
    engine.load("porep", circuit.clone()).unwrap();
    let submit = || {
        let input = Input::new("json", input.clone().into_bytes());
        let submission = Submission { share: false, ..Submission::new("porep", input) };
        engine.submit(submission).unwrap()
    };
    // The first sector loads the key, and its stage times are the costs for the simulator.
    let warm = submit().wait().unwrap();
    let counted = recorded.lock().unwrap().len();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let handles: Vec<_> = (0..jobs).map(|_| submit()).collect();
    for handle in handles {
        let proof = SealProof::from_bytes(&handle.wait().unwrap().bytes).unwrap();
        assert_eq!(proof.proof.len() as u64, 192 * partitions);
    }
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let standing = engine.standing().unwrap();
    println!("load {}", load.trim());
    println!(
        "{jobs} sectors of {partitions}: {wall:.1} s, {cpu:.1} cpu s, {:.1} cpu s a partition",
        cpu / (jobs * partitions) as f64
    );
    let predicted = predict(&*circuit, &warm.marks, (jobs, partitions), standing.budget);
    println!(
        "the simulator predicts {predicted:.1} s ({:+.1} %)",
        100.0 * (wall / predicted - 1.0)
    );
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "memory: {} MiB held at most, {} MiB by the ledger, budget {} MiB ({:+.1} %)",
        mib(standing.peak_resident),
        mib(standing.stats.peak_bytes()),
        mib(standing.budget),
        100.0 * (standing.peak_resident as f64 / standing.budget as f64 - 1.0)
    );
    let all = recorded.lock().unwrap();
    idle(&all, counted, &standing.labels.stages);
    if let Some(path) = argument("--svg") {
        draw(&all, counted, &standing, &path, jobs);
    }
}

/// Time in which the device was idle while a proof was ready to start on it.
fn idle(all: &[Trace], counted: usize, stages: &[String]) {
    let prove = stages.iter().position(|stage| stage == "prove").unwrap_or(0);
    let (mut busy, mut ready, mut since) = (false, 0, None);
    let (mut waited, mut longest) = (0.0, 0.0f64);
    for trace in all.iter().skip(counted) {
        match &trace.event {
            TraceEvent::Ready { stage, .. } if usize::from(stage.0) == prove => ready += 1,
            TraceEvent::Started { stage, .. } if usize::from(stage.0) == prove => {
                ready -= 1;
                busy = true;
            }
            TraceEvent::Finished { stage, .. } if usize::from(stage.0) == prove => busy = false,
            _ => {}
        }
        let at = trace.at.0 as f64 * 1e-6;
        match since {
            None if !busy && ready > 0 => since = Some(at),
            Some(from) if busy || ready == 0 => {
                waited += at - from;
                longest = longest.max(at - from);
                since = None;
            }
            _ => {}
        }
    }
    println!(
        "device idle beside a ready partition: {waited:.2} ms in all, {longest:.2} ms at most"
    );
}

/// The simulator's prediction for the same number of sectors, with the first sector's stage times.
fn predict(
    circuit: &dyn Circuit,
    marks: &[(String, Duration)],
    (jobs, partitions): (u64, u64),
    budget: u64,
) -> f64 {
    let mean = |stage: &str| {
        let times: Vec<f64> = marks
            .iter()
            .filter(|(name, _)| name == stage)
            .map(|(_, time)| time.as_secs_f64())
            .collect();
        (times.iter().sum::<f64>() / times.len().max(1) as f64).max(1e-6)
    };
    let key: u64 = circuit.keys().iter().map(|key| key.host).sum();
    let shape = &circuit.shapes()[0];
    let mut text = format!(
        "title = \"sectors\"\n[machine]\nthreads = 2\nmemory = {budget}\n[[cpu]]\nlanes = 1\n\
         [[device]]\nclass = \"cpu\"\nmemory = 1\n[[key]]\nname = \"key\"\nmemory = {key}\n\
         stay = true\n[[circuit]]\nname = \"porep\"\npartitions = {partitions}\n"
    );
    for step in &shape.steps {
        let on = match step.lane {
            athanor_engine::WorkerNeed::Cpu { .. } => "threads = 1",
            athanor_engine::WorkerNeed::Device { .. } => "device = \"cpu\"\nkey = \"key\"",
        };
        text += &format!(
            "[[circuit.stage]]\nname = \"{}\"\n{on}\nseconds = {:.6}\npeak = {}\nkeeps = {}\n",
            step.stage,
            mean(&step.stage),
            step.claim.peak.host,
            step.claim.keeps.host
        );
    }
    text += &format!(
        "[[circuit.stage]]\nname = \"check\"\nthreads = 1\nseconds = {:.6}\npeak = {}\n\
         [[jobs]]\ncircuit = \"porep\"\ncount = {jobs}\n",
        mean("check"),
        shape.check_peak.host
    );
    let scenario = Scenario::from_toml(&text).unwrap();
    athanor_simulator::simulate(&scenario).unwrap().simulated_seconds
}

fn draw(all: &[Trace], counted: usize, standing: &athanor_engine::Standing, path: &str, jobs: u64) {
    let (mut timeline, mut stats) = (Timeline::new(200), Stats::new());
    let began = all[counted].at.0;
    for (at, trace) in all.iter().enumerate() {
        let joined = matches!(trace.event, TraceEvent::WorkerJoined { .. });
        if at >= counted || joined {
            let at = Time(trace.at.0.saturating_sub(began));
            let shifted = Trace { at, event: trace.event.clone() };
            timeline.push(&shifted);
            stats.push(&shifted);
        }
    }
    let busy = stats.whole().device_busy().unwrap_or(0.0);
    let options = svg::Options {
        title: format!("{jobs} sectors, 2 KiB"),
        subtitle: format!("device busy {:.1} %", 100.0 * busy),
        budget: Some(standing.budget),
    };
    println!("device busy {:.1} %", 100.0 * busy);
    std::fs::write(path, svg::render(&timeline, &standing.labels, &options)).unwrap();
}
