//! `athanor bench engine`: many concurrent jobs through the engine, from input to verified proof.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use athanor_circom::circuit::{self, Facts, Files, NATIVE, NativeGenerator, Opened};
use athanor_engine::{Circuit, Config, Engine, Input, MemoryJournal, Observer, Submission};
use athanor_groth16::{
    R1cs, development_setup,
    synthetic::{self, Example},
};
use athanor_kernels::{Bn254, Curve, Quotient, Scalars};
use athanor_simulator::Scenario;
use athanor_telemetry::{LaneGroup, Stats, Timeline, Trace, TraceEvent, chrome, svg};
use serde_json::json;

use super::{cpu_name, cpu_time};
use crate::{
    args::{BenchEngine, Mix},
    demo,
    failure::{Failure, Kind},
    keys, local,
    output::{self, Progress, answer, peak_memory},
    setup,
};

/// Binary logarithm of the size of the large circuit's domain.
const LARGE: u32 = 16;

/// Maximum number of rows of the waterfall chart.
const ROWS: usize = 200;

/// A circuit to measure.
struct Bench {
    name: &'static str,
    circuit: Arc<dyn Circuit>,
    facts: Arc<Facts>,
}

/// Runs the jobs and prints the measurements.
pub(crate) fn run(args: &BenchEngine) -> Result<(), Failure> {
    let progress = Progress::new(args.common.json);
    let threads = local::threads(args.common.threads);
    progress.say("making circuits and keys (cached after the first time)");
    let pool = args.common.pool()?;
    let circuits = pool.install(|| circuits(args.mix))?;
    drop(pool);
    let recorder = Recorder::default();
    let mut config =
        Config { observer: Some(recorder.observer()), ..Config::with_threads(threads) };
    config.heartbeat = Duration::from_millis(50);
    config.memory = args.room.map(|works| budget(&circuits, works));
    let engine = Engine::start(config, Arc::new(MemoryJournal))?;
    for bench in &circuits {
        engine.load(bench.name, bench.circuit.clone())?;
        // Warm-up: reads the key and makes one proof that is not counted.
        engine.submit(Submission::new(bench.name, request(u64::MAX)))?.wait()?;
    }
    let costs = calibrate(&engine, &circuits)?;
    let predicted = predict(&circuits, &costs, args.jobs, threads, engine.standing().as_ref())?;
    progress.say(&format!("{} jobs on {threads} threads", args.jobs));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    recorder.begin();
    let (began, cpu) = (Instant::now(), cpu_time());
    let mut handles = Vec::new();
    for number in 0..args.jobs {
        let bench = &circuits[number as usize % circuits.len()];
        handles.push(engine.submit(Submission::new(bench.name, request(u64::from(number))))?);
    }
    let mut verified = 0u32;
    for handle in handles {
        handle.wait()?;
        verified += 1;
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64());
    let standing = engine.standing();
    let standing = standing.ok_or_else(|| Failure::new(Kind::Internal, "the engine has ended"))?;
    let (stats, timeline) = recorder.end();
    let whole = stats.whole();
    let busy = |group| whole.busy(group).unwrap_or(0.0);
    let synth = busy(LaneGroup::Cpu);
    let prover = whole.device_busy().unwrap_or(0.0);
    let percentile = |q| stats.all_job_times().quantile(q).unwrap_or(0) as f64 * 1e-9;
    if let Some(path) = &args.svg {
        let options = svg::Options {
            title: format!("{} jobs, {} threads", args.jobs, threads),
            subtitle: format!(
                "{:.2} proofs a second; device busy {:.0} %",
                f64::from(verified) / seconds,
                100.0 * prover
            ),
            budget: Some(standing.budget),
        };
        let mut files = output::Files::default();
        files.add(path, svg::render(&timeline, &standing.labels, &options).as_bytes())?;
        files.commit()?;
    }
    if let Some(path) = &args.chrome_trace {
        let mut files = output::Files::default();
        files.add(path, chrome::render(&timeline, &standing.labels).as_bytes())?;
        files.commit()?;
    }
    let rate = f64::from(verified) / seconds;
    if args.common.json {
        let made: Vec<_> = circuits
            .iter()
            .map(|bench| {
                let key = bench.facts.key.get();
                json!({ "name": bench.name, "constraints": key.map(|key| key.constraints) })
            })
            .collect();
        let answered = json!({
            "command": "bench engine",
            "cpu": cpu_name(),
            "threads": threads,
            "load": load.trim(),
            "circuits": made,
            "jobs": args.jobs,
            "verified": verified,
            "seconds": seconds,
            "cpu_seconds": cpu,
            "proofs_per_second": rate,
            "predicted_proofs_per_second": predicted,
            "latency_seconds": {
                "p50": percentile(0.5), "p90": percentile(0.9),
                "p99": percentile(0.99), "max": percentile(1.0),
            },
            "lane_busy": { "synth": synth, "prover": prover },
            "peak_bytes": standing.peak_resident,
            "ledger_peak_bytes": stats.peak_bytes(),
            "budget_bytes": standing.budget,
            "peak_memory_bytes": peak_memory(),
            "counters": standing.counters,
        });
        answer(&answered.to_string());
        return Ok(());
    }
    answer(&format!("{}; {threads} threads; load {}", cpu_name(), load.trim()));
    answer(&format!("{verified} proofs in {seconds:.2} s: {rate:.2} a second, {cpu:.2} s of CPU"));
    if let Some(predicted) = predicted {
        answer(&format!("the simulator predicted {predicted:.2} a second"));
    }
    answer(&format!(
        "latency p50 {:.2} s, p90 {:.2} s, p99 {:.2} s",
        percentile(0.5),
        percentile(0.9),
        percentile(0.99)
    ));
    answer(&format!("busy: synth {:.0} %, prover {:.0} %", 100.0 * synth, 100.0 * prover));
    let mib = |bytes: u64| bytes >> 20;
    answer(&format!(
        "memory: {} MiB held at most, {} MiB by the ledger, of {} MiB",
        mib(standing.peak_resident),
        mib(stats.peak_bytes()),
        mib(standing.budget)
    ));
    Ok(())
}

/// Seconds per stage of each circuit while several jobs share the machine.
type Costs = Vec<Vec<(String, f64)>>;

/// Number of jobs of each circuit for the measurement of costs.
const CALIBRATION: u64 = 4;

/// Measures the stages under load, as the scheduler does.
fn calibrate(engine: &Engine, circuits: &[Bench]) -> Result<Costs, Failure> {
    let mut handles = Vec::new();
    for number in 0..CALIBRATION {
        for (at, bench) in circuits.iter().enumerate() {
            let input = request(u64::MAX - 1 - number);
            handles.push((at, engine.submit(Submission::new(bench.name, input))?));
        }
    }
    let mut costs: Costs = vec![Vec::new(); circuits.len()];
    for (at, handle) in handles {
        for (name, time) in &handle.wait()?.marks {
            let seconds = time.as_secs_f64() / CALIBRATION as f64;
            match costs[at].iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += seconds,
                None => costs[at].push((name.clone(), seconds)),
            }
        }
    }
    Ok(costs)
}

/// The simulator's prediction for the same jobs, lanes and budget.
fn predict(
    circuits: &[Bench],
    costs: &Costs,
    jobs: u32,
    threads: u32,
    standing: Option<&athanor_engine::Standing>,
) -> Result<Option<f64>, Failure> {
    let Some(standing) = standing else { return Ok(None) };
    let mut text = format!(
        "title = \"bench engine\"\n[machine]\nthreads = {threads}\nmemory = {}\n\
         [[cpu]]\nlanes = {}\nthreads = 1\n\
         [[device]]\nclass = \"cpu\"\ncount = 1\nmemory = 1\n",
        standing.budget,
        (threads / 2).max(1),
    );
    for (bench, costs) in circuits.iter().zip(costs) {
        let key: u64 = bench.circuit.keys().iter().map(|key| key.host).sum();
        let name = bench.name;
        let own = (jobs as usize / circuits.len()).max(1);
        text += &format!("[[key]]\nname = \"{name}\"\nmemory = {key}\nstay = true\n");
        text += &format!("[[circuit]]\nname = \"{name}\"\n");
        let seconds =
            |stage: &str| costs.iter().find(|(name, _)| name == stage).map_or(0.0, |(_, s)| *s);
        let shape = &bench.circuit.shapes()[0];
        for step in &shape.steps {
            let lane = match step.lane {
                athanor_engine::WorkerNeed::Cpu { .. } => "threads = 1".to_owned(),
                athanor_engine::WorkerNeed::Device { .. } => {
                    format!("device = \"cpu\"\nkey = \"{name}\"")
                }
            };
            text += &format!(
                "[[circuit.stage]]\nname = \"{0}\"\n{lane}\nseconds = {1:.6}\npeak = {2}\n\
                 keeps = {3}\n",
                step.stage,
                seconds(&step.stage).max(1e-6),
                step.claim.peak.host,
                step.claim.keeps.host
            );
        }
        text += &format!(
            "[[circuit.stage]]\nname = \"check\"\nthreads = 1\nseconds = {:.6}\npeak = {}\n",
            seconds("check").max(1e-6),
            shape.check_peak.host
        );
        text += &format!("[[jobs]]\ncircuit = \"{name}\"\ncount = {own}\n");
    }
    let failed = |error: &dyn std::fmt::Display| Failure::new(Kind::Internal, error);
    let scenario = Scenario::with_settings::<&str>(&text, &[]).map_err(|error| failed(&error))?;
    let report = athanor_simulator::simulate(&scenario).map_err(|error| failed(&error))?;
    Ok(Some(report.jobs.complete as f64 / report.simulated_seconds))
}

/// The budget: keys of all circuits, `works` times the largest working memory, and the process's memory.
fn budget(circuits: &[Bench], works: u32) -> u64 {
    let keys: u64 =
        circuits.iter().flat_map(|bench| bench.circuit.keys()).map(|key| key.host).sum();
    let shapes = circuits.iter().flat_map(|bench| bench.circuit.shapes());
    let peak = |shape: athanor_engine::Shape| {
        let steps = shape.steps.iter().map(|step| step.claim.peak.host);
        steps.chain([shape.check_peak.host]).max().unwrap_or(0)
    };
    let largest = shapes.map(peak).max().unwrap_or(0);
    athanor_engine::memory::resident().unwrap_or(0) + keys + u64::from(works) * largest
}

fn circuits(mix: Mix) -> Result<Vec<Bench>, Failure> {
    let mut all = Vec::new();
    if mix != Mix::Large {
        let r1cs = athanor_circom::demo::constraints();
        let members = Arc::new(demo::Members(athanor_circom::demo::constraints()));
        all.push(bench("merkle-20", &r1cs, members)?);
    }
    if mix != Mix::Small {
        let constraints = (1 << LARGE) - 2;
        let Example { r1cs, .. } = synthetic::bits::<Bn254>(constraints, 1);
        all.push(bench("bits-2^16", &r1cs, Arc::new(Bits { constraints }))?);
    }
    Ok(all)
}

/// A circuit with a development key, which is written to the cache as a `.zkey` the first time.
fn bench(
    name: &'static str,
    r1cs: &R1cs<<Bn254 as Curve>::Fr>,
    native: Arc<dyn NativeGenerator>,
) -> Result<Bench, Failure> {
    let zkey: PathBuf = keys::cache_directory("bench")?.join(format!("{name}.zkey"));
    let open = || {
        let files = Files { zkey: zkey.clone(), native: Some(native.clone()), ..Files::default() };
        circuit::open(files, None, local::settings()?).map_err(Failure::from)
    };
    let fits = |opened: &Opened| opened.facts.header.wires as usize == r1cs.wires;
    let Opened { circuit, facts } = match open() {
        Ok(opened) if fits(&opened) => opened,
        _ => {
            let key = development_setup::<Bn254>(r1cs, Quotient::OddCoset)?;
            let mut files = output::Files::default();
            setup::write_key(&mut files, &key, &zkey)?;
            files.commit()?;
            open()?
        }
    };
    Ok(Bench { name, circuit, facts })
}

/// Computes witnesses of the synthetic circuit: the input is the seed.
struct Bits {
    constraints: usize,
}

impl NativeGenerator for Bits {
    fn witness(&self, input: &[u8]) -> Result<Scalars, String> {
        let seed = input.try_into().map_err(|_| "a seed has eight bytes")?;
        let seed = u64::from_le_bytes(seed) % (1 << 20);
        Ok(synthetic::bits::<Bn254>(self.constraints, seed).witness)
    }
}

fn request(number: u64) -> Input {
    Input::new(NATIVE, number.to_le_bytes().to_vec())
}

/// The trace of the counted part, drawn from its beginning.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Recording>>);

#[derive(Default)]
struct Recording {
    lanes: Vec<Trace>,
    on: bool,
    began: Option<athanor_telemetry::Time>,
    kept: Option<(Stats, Timeline)>,
}

impl Recorder {
    fn observer(&self) -> Observer {
        let own = self.clone();
        Box::new(move |trace| own.with(|recording| recording.see(trace)))
    }

    fn begin(&self) {
        self.with(|recording| recording.on = true);
    }

    fn end(&self) -> (Stats, Timeline) {
        let kept = self.with(|recording| recording.kept.take());
        kept.unwrap_or_else(|| (Stats::new(), Timeline::new(ROWS)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Recording) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Recording {
    fn see(&mut self, trace: &Trace) {
        if !self.on {
            if let TraceEvent::WorkerJoined { .. } = trace.event {
                self.lanes.push(trace.clone());
            }
            return;
        }
        let began = *self.began.get_or_insert(trace.at);
        let (stats, timeline) = self.kept.get_or_insert_with(|| {
            let (mut stats, mut timeline) = (Stats::new(), Timeline::new(ROWS));
            for lane in &self.lanes {
                // Lanes that joined before count from the beginning.
                let lane = Trace { at: athanor_telemetry::Time(0), event: lane.event.clone() };
                stats.push(&lane);
                timeline.push(&lane);
            }
            (stats, timeline)
        });
        let at = athanor_telemetry::Time(trace.at.0.saturating_sub(began.0));
        let shifted = Trace { at, event: trace.event.clone() };
        stats.push(&shifted);
        timeline.push(&shifted);
    }
}
