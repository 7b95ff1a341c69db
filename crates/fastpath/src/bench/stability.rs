//! A stability run, which shows whether memory or the 99th percentile grow over time. The plain
//! loop executes the same blocks, which separates the influence of the machine from that of the
//! executor.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::machine::memory_bytes;
use super::workload::{Generator, Pattern, Workload};
use super::{Args, BenchError};
use crate::{Config, FastPathExecutor};

/// Number of points of the plot.
const POINTS: u32 = 120;

/// A point in time of a stability run.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Point {
    /// Seconds since the start.
    pub seconds: f64,
    /// Resident memory in bytes.
    pub memory: u64,
    /// 99th percentile over the blocks since the previous point of the nanoseconds per transaction.
    pub p99_block_ns: f64,
    /// The same, for the plain loop on the same blocks.
    pub plain_p99_block_ns: f64,
    /// Transactions per second since the previous point.
    pub tx_per_second: f64,
}

/// Runs a mixed workload for `length` and records memory and times. In one block of 64 the state
/// root is compared with that of the plain loop.
///
/// # Errors
/// See [`BenchError`]; [`BenchError::Void`] if the roots differ.
pub(super) fn run(args: &Args, length: Duration) -> Result<Vec<Point>, BenchError> {
    let workload = Workload {
        accounts: args.accounts.unwrap_or(100_000),
        txs: args.txs.unwrap_or(10_000),
        work_ns: args.work_ns.unwrap_or(1000.0),
        owned_ratio: 0.5,
        ..Workload::new("stability", Pattern::Mixed)
    };
    let threads = args.threads.first().copied().unwrap_or(2);
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(threads))?;
    let mut reference = FastPathExecutor::in_memory(Config::with_threads(1))?;
    workload.set_up(&mut executor)?;
    workload.set_up(&mut reference)?;
    let mut generator = Generator::new(&workload, args.seed, &[]);
    let start = Instant::now();
    let mut points = Vec::new();
    let (mut times, mut plain, mut since) = (Vec::new(), Vec::new(), Instant::now());
    let per_transaction = |begun: Instant| begun.elapsed().as_nanos() as f64 / workload.txs as f64;
    let mut blocks = 0_usize;
    while start.elapsed() < length {
        let block = generator.block();
        let begun = Instant::now();
        let outcome = executor.execute_block(&block)?;
        times.push(per_transaction(begun));
        // The reference must execute every block, to have the same state.
        let begun = Instant::now();
        let expected = reference.execute_sequential(&block)?;
        plain.push(per_transaction(begun));
        if blocks.is_multiple_of(64) && outcome.root != expected.root {
            return Err(BenchError::Void { workload: workload.name.clone(), round: blocks });
        }
        blocks += 1;
        if since.elapsed() * POINTS >= length && !times.is_empty() {
            let busy: f64 = times.iter().sum::<f64>() * workload.txs as f64;
            let transactions = (times.len() * workload.txs) as f64;
            points.push(Point {
                seconds: start.elapsed().as_secs_f64(),
                memory: memory_bytes().0,
                p99_block_ns: p99(&mut times),
                plain_p99_block_ns: p99(&mut plain),
                tx_per_second: transactions * 1e9 / busy,
            });
            times.clear();
            plain.clear();
            since = Instant::now();
        }
    }
    Ok(points)
}

/// 99th percentile of at least one number.
fn p99(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[(times.len() * 99).div_ceil(100) - 1]
}

/// Memory and 99th percentile over time, as an SVG document.
#[must_use]
pub fn plot(points: &[Point]) -> String {
    let (width, height) = (800.0, 180.0);
    let end = points.last().map_or(1.0, |point| point.seconds);
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"880\" height=\"700\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n",
    );
    type Series = (&'static str, fn(&Point) -> f64, f64);
    let series: [Series; 3] = [
        ("resident memory, MiB", |point| point.memory as f64 / f64::from(1 << 20), 30.0),
        ("p99 of the blocks, ns per transaction", |point| point.p99_block_ns, 260.0),
        ("the same in the plain loop", |point| point.plain_p99_block_ns, 490.0),
    ];
    for (title, value, top) in series {
        let most = points.iter().map(value).fold(1.0, f64::max) * 1.1;
        let mut line = String::new();
        for point in points {
            let x = 60.0 + point.seconds / end * width;
            let y = top + height - value(point) / most * height;
            let _ = write!(line, "{x:.1},{y:.1} ");
        }
        let _ = writeln!(
            svg,
            "<text x=\"60\" y=\"{}\">{title} (top of the frame: {most:.0}; {end:.0} s)</text>\
             <rect x=\"60\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"none\" \
             stroke=\"#ccc\"/><polyline points=\"{line}\" fill=\"none\" stroke=\"#3a6ea5\"/>",
            top - 8.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}
