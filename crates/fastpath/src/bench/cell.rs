//! A cell of the table: the measurement of a workload on a number of threads, next to the plain
//! loop of the same run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hand_loop::HandLoop;
use super::machine::{Machine, cpu_ns, median, memory_bytes};
use super::transaction::Claim;
use super::workload::{Generator, Pattern, Workload};
use super::{Args, BenchError};
use crate::{
    Config, Cost, FastPathExecutor, LatencyState, MapState, MemoryState, Mode, State, Verifier,
};

/// Rounds that are not counted: caches are filled and the executor learns its costs.
const WARM_UP: usize = 2;

/// The measurement of one workload on a number of threads. A ratio is the median over the rounds of
/// the ratio within a round.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Cell {
    /// Name of the workload.
    pub workload: String,
    /// Threads of the parallel run.
    pub threads: usize,
    /// Number of accounts.
    pub accounts: u64,
    /// Transactions per block.
    pub txs: usize,
    /// Nanoseconds of arithmetic per transaction.
    pub work_ns: f64,
    /// Transactions per second of wall clock, including proofs and root.
    pub tx_per_second: f64,
    /// The same, for the plain loop.
    pub sequential_tx_per_second: f64,
    /// Time of the plain loop divided by the parallel time, including proofs and root.
    pub speedup: f64,
    /// Minimum and maximum of `speedup` over the rounds.
    pub speedup_range: [f64; 2],
    /// As `speedup`, without proofs and root.
    pub execution_speedup: f64,
    /// Nanoseconds per transaction in the plain loop: the execution; the delta and the root.
    pub sequential_ns: [f64; 2],
    /// Processor time of the hand-written loop divided by that of the plain loop, if the loop
    /// exists for the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hand_loop_ratio: Option<f64>,
    /// Whether all roots and receipts were equal in every round. Always `true`: a difference ends
    /// the measurement with [`BenchError::Void`].
    pub root_equal: bool,
    /// Executions per transaction.
    pub executions: f64,
    /// Validations per transaction.
    pub validations: f64,
    /// Repeated executions per transaction.
    pub conflicts: f64,
    /// Processor time divided by that of the plain loop.
    pub cpu_ratio: f64,
    /// Nanoseconds of processor time per transaction.
    pub cpu_ns: f64,
    /// Latencies of a transaction on its worker, warm-up included, in nanoseconds: p50, p90, p95,
    /// p99, p99.9.
    pub latency_ns: [u64; 5],
    /// Maximum resident memory of the process in bytes.
    pub peak_memory: u64,
    /// The executor's choices in the last round, with reasons.
    pub chosen: String,
    /// The machine before the measurement.
    pub machine: Machine,
}

/// The parameters of a cell.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The workload.
    pub workload: Workload,
    /// Threads of the parallel run.
    pub threads: usize,
    /// The mode; `None` if the executor chooses.
    pub mode: Option<Mode>,
    /// Delay of the state's reads: latency, reads in flight, and `n` if one name in `n` is slow.
    pub device: Option<(Duration, usize, u64)>,
}

/// Measures one cell.
///
/// # Errors
/// See [`BenchError`]; [`BenchError::Void`] if the results differ.
pub fn measure(
    setting: &Setting,
    args: &Args,
    publish: &dyn Fn(String),
) -> Result<Cell, BenchError> {
    match setting.device {
        None => measure_on(setting, args, MemoryState::default, publish),
        Some((latency, depth, one_in)) => {
            let make = || LatencyState::new(MapState::default(), latency, depth).one_in(one_in);
            measure_on(setting, args, make, publish)
        }
    }
}

fn measure_on<S: State>(
    setting: &Setting,
    args: &Args,
    make: impl Fn() -> S,
    publish: &dyn Fn(String),
) -> Result<Cell, BenchError> {
    let Setting { workload, threads, .. } = setting;
    let claims: &[Arc<Claim>] = args.private.as_ref().map_or(&[], |private| &private.claims);
    if workload.privacy_ratio > 0.0 && claims.is_empty() {
        return Err(BenchError::NoProofs);
    }
    let machine = Machine::now();
    let mut parallel = executor(setting, args, *threads, make())?;
    let mut sequential = executor(setting, args, 1, make())?;
    let by_hand = setting.device.is_none()
        && workload.pattern == Pattern::Transfers
        && workload.read_ratio == 0.0;
    let mut by_hand = if by_hand { Some(HandLoop::new(workload)?) } else { None };
    let mut generator = Generator::new(workload, args.seed, claims);
    let mut cell = Cell {
        workload: workload.name.clone(),
        threads: *threads,
        accounts: workload.accounts,
        txs: workload.txs,
        work_ns: workload.work_ns,
        root_equal: true,
        machine,
        ..Cell::default()
    };
    let mut ratios = Ratios::default();
    let mut cost = Cost::default();
    for round in 0..WARM_UP + args.rounds.max(1) {
        let block = generator.block();
        let run_parallel =
            |executor: &mut FastPathExecutor<S>| timed(|| executor.execute_block(&block));
        // The two alternate in running first.
        let (par, seq);
        if round % 2 == 0 {
            seq = timed(|| sequential.execute_sequential(&block))?;
            par = run_parallel(&mut parallel)?;
        } else {
            par = run_parallel(&mut parallel)?;
            seq = timed(|| sequential.execute_sequential(&block))?;
        }
        let same = par.value.root == seq.value.root
            && par.value.receipts.len() == seq.value.receipts.len()
            && par.value.receipts.iter().zip(&seq.value.receipts).all(|(a, b)| a.same_result(b));
        if !same {
            return Err(BenchError::Void { workload: workload.name.clone(), round });
        }
        let mut hand = None;
        if let Some(by_hand) = &mut by_hand {
            let run = timed(|| Ok(by_hand.execute(&block)))?;
            if run.value.1 != seq.value.root {
                return Err(BenchError::Void { workload: workload.name.clone(), round });
            }
            hand = Some(run.cpu);
        }
        publish(parallel.export_prometheus());
        if round < WARM_UP {
            continue;
        }
        ratios.total.push(seq.nanos / par.nanos);
        let execute = |cost: &Cost| cost.execute_ns.max(1) as f64;
        ratios.execution.push(execute(&seq.value.cost) / execute(&par.value.cost));
        ratios.cpu.push(par.cpu / seq.cpu.max(1.0));
        ratios.parallel_nanos.push(par.nanos);
        ratios.sequential_nanos.push(seq.nanos);
        ratios.cpu_nanos.push(par.cpu);
        ratios.hand.extend(hand.map(|hand| hand / seq.cpu.max(1.0)));
        ratios.plain_execute.push(execute(&seq.value.cost));
        ratios.plain_root.push(seq.value.cost.root_ns as f64);
        cost.add(&par.value.cost);
        cell.chosen = par
            .value
            .decisions
            .iter()
            .max_by_key(|decision| (decision.mode != Mode::Serial, decision.count))
            .map(|decision| format!("{}: {}", decision.mode, decision.reason))
            .unwrap_or_default();
    }
    let all = (args.rounds.max(1) * workload.txs) as f64;
    let txs = workload.txs as f64;
    cell.tx_per_second = txs * 1e9 / median(&mut ratios.parallel_nanos);
    cell.sequential_tx_per_second = txs * 1e9 / median(&mut ratios.sequential_nanos);
    cell.speedup = median(&mut ratios.total);
    cell.speedup_range = [ratios.total[0], ratios.total[ratios.total.len() - 1]];
    cell.execution_speedup = median(&mut ratios.execution);
    cell.hand_loop_ratio = (!ratios.hand.is_empty()).then(|| median(&mut ratios.hand));
    cell.sequential_ns =
        [median(&mut ratios.plain_execute) / txs, median(&mut ratios.plain_root) / txs];
    cell.cpu_ratio = median(&mut ratios.cpu);
    cell.cpu_ns = median(&mut ratios.cpu_nanos) / txs;
    cell.executions = cost.executions as f64 / all;
    cell.validations = cost.validations as f64 / all;
    cell.conflicts = cost.conflicts as f64 / all;
    let stats = parallel.stats();
    cell.latency_ns = [
        stats.p50_latency_ns,
        stats.p90_latency_ns,
        stats.p95_latency_ns,
        stats.p99_latency_ns,
        stats.p999_latency_ns,
    ];
    cell.peak_memory = memory_bytes().1;
    Ok(cell)
}

#[derive(Default)]
struct Ratios {
    total: Vec<f64>,
    execution: Vec<f64>,
    cpu: Vec<f64>,
    hand: Vec<f64>,
    plain_execute: Vec<f64>,
    plain_root: Vec<f64>,
    parallel_nanos: Vec<f64>,
    sequential_nanos: Vec<f64>,
    cpu_nanos: Vec<f64>,
}

struct Timed<T> {
    value: T,
    nanos: f64,
    cpu: f64,
}

fn timed<T>(f: impl FnOnce() -> Result<T, crate::ExecutorError>) -> Result<Timed<T>, BenchError> {
    let cpu = cpu_ns();
    let start = Instant::now();
    let value = f()?;
    let nanos = start.elapsed().as_nanos() as f64;
    Ok(Timed { value, nanos, cpu: cpu_ns().saturating_sub(cpu) as f64 })
}

fn executor<S: State>(
    setting: &Setting,
    args: &Args,
    threads: usize,
    state: S,
) -> Result<FastPathExecutor<S>, BenchError> {
    let mut config = Config::with_threads(threads);
    if let Some(partitions) = args.partitions {
        config.partitions = partitions;
    }
    if let Some(mode) = setting.mode {
        config = config.fixed(mode);
    }
    if let Some(chunk) = args.chunk {
        config.chunk = chunk;
    }
    config.pin = args.pin;
    // With a delay, every block reads all entries again.
    if setting.device.is_some() {
        config.resident = 0;
    }
    let mut executor = FastPathExecutor::new(state, config)?;
    if let Some(private) = &args.private {
        executor = executor.with_verifier(Arc::clone(&private.verifier) as Arc<dyn Verifier>);
    }
    setting.workload.set_up(&mut executor)?;
    Ok(executor)
}
