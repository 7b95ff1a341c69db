//! The workloads W1 to W8, measured next to the plain loop of the same run.
//!
//! [`run`] is the entry point: it takes [`Args`] and returns a [`Report`]. In every round, the
//! plain loop and the parallel executor execute the same block one after the other. If their
//! receipts or roots differ, there is no result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod cell;
mod hand_loop;
mod machine;
mod matrix;
mod report;
mod serve;
mod stability;
mod transaction;
mod workload;
mod zipf;

pub use cell::{Cell, Setting, measure};
pub use machine::{Machine, round_trip_ns};
pub use matrix::settings;
pub use report::{chart, table};
pub use serve::MetricsServer;
pub use stability::{Point, plot};
pub use transaction::{Claim, burn, turns_for};
pub use workload::{Generator, Pattern, Workload};

use crate::transaction::Declaration;
use crate::{ExecutorError, Mode, Verifier};

/// Proofs for private transactions, with their verifier.
#[derive(Clone)]
pub struct PrivateShare {
    /// Claims with valid proofs.
    pub claims: Vec<Arc<Claim>>,
    /// Verifier of the proofs.
    pub verifier: Arc<dyn Verifier>,
}

/// Parameters of a measurement. An option that is `None` has the default of the workload.
#[derive(Clone, Default)]
pub struct Args {
    /// `defi`, `game`, `nft`, `transfer`, or `w1` to `w8`. Default: `transfer`.
    pub workload_type: Option<String>,
    /// Exponent of the Zipf distribution of accounts.
    pub zipf_alpha: Option<f64>,
    /// Share of transactions that only read, 0 to 1.
    pub read_ratio: Option<f64>,
    /// Share of accesses to the hot accounts, 0 to 1.
    pub hot_ratio: Option<f64>,
    /// Share of private transactions, 0 to 1.
    pub privacy_ratio: Option<f64>,
    /// Share of transactions over owned objects, 0 to 1.
    pub owned_ratio: Option<f64>,
    /// Nanoseconds of arithmetic per transaction.
    pub work_ns: Option<f64>,
    /// Transactions per block.
    pub txs: Option<usize>,
    /// Number of accounts and of objects.
    pub accounts: Option<u64>,
    /// One transaction in `heavy_every` has a hundred times the arithmetic.
    pub heavy_every: Option<usize>,
    /// Initial number of shards of the fast path.
    pub partitions: Option<usize>,
    /// Numbers of threads; two threads if empty.
    pub threads: Vec<usize>,
    /// Kind of the declared access sets.
    pub declare: Option<Declaration>,
    /// A fixed mode.
    pub mode: Option<Mode>,
    /// Transactions per claim, with a fixed mode.
    pub chunk: Option<u32>,
    /// Whether threads are pinned to cores.
    pub pin: bool,
    /// Latency of a read of the state in microseconds.
    pub latency_us: Option<u64>,
    /// Reads of the state in flight.
    pub depth: Option<usize>,
    /// `n`, if one name in `n` is slow to read.
    pub slow_one_in: Option<u64>,
    /// Counted rounds; ten if zero.
    pub rounds: usize,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Whether the whole table is measured.
    pub matrix: bool,
    /// Restricts the table to cells whose name contains this.
    pub only: Option<String>,
    /// File for the chart.
    pub svg: Option<PathBuf>,
    /// TCP port on which the metrics are served during the measurement.
    pub serve_metrics: Option<u16>,
    /// Duration in seconds of a stability run, which records memory and times instead of cells.
    pub stability_seconds: Option<u64>,
    /// Proofs for private transactions.
    pub private: Option<PrivateShare>,
}

/// The result of a measurement.
#[derive(Debug)]
pub enum Report {
    /// Cells of the table.
    Cells(Vec<Cell>),
    /// Points of a stability run.
    Stability(Vec<Point>),
}

impl Report {
    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        match self {
            Self::Cells(cells) => report::table(cells),
            Self::Stability(points) => points
                .iter()
                .map(|point| {
                    format!(
                        "{:>8.1} s {:>8.1} MiB p99 {:>9.0} ns/tx, plain {:>9.0} {:>10.0} tx/s\n",
                        point.seconds,
                        point.memory as f64 / f64::from(1 << 20),
                        point.p99_block_ns,
                        point.plain_p99_block_ns,
                        point.tx_per_second
                    )
                })
                .collect(),
        }
    }

    /// One JSON object per line.
    ///
    /// # Errors
    /// [`BenchError::Json`] if a value has no JSON form.
    pub fn json(&self) -> Result<String, BenchError> {
        fn lines<T: serde::Serialize>(items: &[T]) -> Result<String, serde_json::Error> {
            items.iter().map(|item| Ok(serde_json::to_string(item)? + "\n")).collect()
        }
        Ok(match self {
            Self::Cells(cells) => lines(cells)?,
            Self::Stability(points) => lines(points)?,
        })
    }

    /// A chart as an SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        match self {
            Self::Cells(cells) => report::chart(cells),
            Self::Stability(points) => stability::plot(points),
        }
    }
}

/// Why a measurement has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The results of the parallel run and the plain loop differ.
    #[error("{workload}, round {round}: the result differs from the plain loop's; the run is void")]
    Void {
        /// Name of the workload.
        workload: String,
        /// Number of the round.
        round: usize,
    },
    /// No workload has this name.
    #[error("unknown workload {0:?}: use defi, game, nft, transfer, or w1 to w8")]
    UnknownWorkload(String),
    /// No cell of the table has this in its name.
    #[error("no cell's name contains {0:?}: leave --only out to see them all")]
    NoSuchCell(String),
    /// An option is out of its range.
    #[error("{name} must be {expected}")]
    Argument {
        /// Name of the option.
        name: &'static str,
        /// The valid values.
        expected: &'static str,
    },
    /// The workload has private transactions, but there are no proofs.
    #[error("a private share needs proofs and a verifier: run it from a program that brings them")]
    NoProofs,
    /// The executor failed.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The chart cannot be written.
    #[error("the chart cannot be written to {}: {source}", path.display())]
    Chart {
        /// Path of the chart.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The port of the metrics cannot be opened.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The result has no JSON form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Executes the measurement that `args` describe. Calls `progress` with each finished cell.
///
/// # Errors
/// See [`BenchError`]; [`BenchError::Void`] if a result differs from that of the plain loop.
pub fn run(args: &Args, progress: &mut dyn FnMut(&Cell)) -> Result<Report, BenchError> {
    let mut args = args.clone();
    if args.rounds == 0 {
        args.rounds = 10;
    }
    if args.threads.is_empty() {
        args.threads = vec![2];
    }
    args.check()?;
    let chart = args.svg.as_deref().map(Chart::to).transpose()?;
    let server = MetricsServer::start(args.serve_metrics)?;
    let report = if let Some(seconds) = args.stability_seconds {
        Report::Stability(stability::run(&args, Duration::from_secs(seconds))?)
    } else {
        let mut cells = Vec::new();
        for &threads in &args.threads {
            let settings = if args.matrix {
                let wanted = |setting: &Setting| {
                    args.only.as_ref().is_none_or(|only| setting.workload.name.contains(only))
                };
                settings(&args, threads).into_iter().filter(wanted).collect()
            } else {
                vec![args.setting(threads)?]
            };
            for setting in settings {
                let cell = measure(&setting, &args, &|text| server.publish(text))?;
                progress(&cell);
                cells.push(cell);
            }
        }
        if let (true, Some(only)) = (cells.is_empty(), args.only) {
            return Err(BenchError::NoSuchCell(only));
        }
        Report::Cells(cells)
    };
    if let Some(chart) = chart {
        chart.write(&report.svg())?;
    }
    Ok(report)
}

/// The file for a chart.
struct Chart<'a>(&'a Path);

impl<'a> Chart<'a> {
    /// Fails before the measurement if the directory does not exist.
    fn to(path: &'a Path) -> Result<Self, BenchError> {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let chart = Self(path);
        folder.map_or(Ok(()), |folder| folder.read_dir().map(drop)).map_err(|e| chart.failed(e))?;
        Ok(chart)
    }

    fn write(&self, svg: &str) -> Result<(), BenchError> {
        std::fs::write(self.0, svg).map_err(|error| self.failed(error))
    }

    fn failed(&self, source: std::io::Error) -> BenchError {
        BenchError::Chart { path: self.0.to_owned(), source }
    }
}

impl Args {
    fn check(&self) -> Result<(), BenchError> {
        let shares = [
            ("read-ratio", self.read_ratio),
            ("hot-ratio", self.hot_ratio),
            ("privacy-ratio", self.privacy_ratio),
            ("owned-ratio", self.owned_ratio),
        ];
        for (name, share) in shares {
            if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
                return Err(BenchError::Argument { name, expected: "between 0 and 1" });
            }
        }
        if self.accounts.is_some_and(|accounts| accounts < 2) {
            return Err(BenchError::Argument { name: "accounts", expected: "at least 2" });
        }
        if self.zipf_alpha.is_some_and(|alpha| !(0.0..=10.0).contains(&alpha)) {
            return Err(BenchError::Argument { name: "zipf-alpha", expected: "between 0 and 10" });
        }
        if self.threads.iter().any(|&threads| threads == 0 || threads > 1024) {
            return Err(BenchError::Argument { name: "threads", expected: "1 to 1024" });
        }
        if self.work_ns.is_some_and(|nanos| !(0.0..=1e9).contains(&nanos)) {
            return Err(BenchError::Argument { name: "work-ns", expected: "0 to 1e9" });
        }
        Ok(())
    }

    /// The cell that the options describe.
    fn setting(&self, threads: usize) -> Result<Setting, BenchError> {
        let kind = self.workload_type.as_deref().unwrap_or("transfer");
        let pattern = match kind {
            "transfer" if self.owned_ratio.is_some() || self.privacy_ratio.is_some() => {
                Pattern::Mixed
            }
            "transfer" if self.zipf_alpha.is_some() => Pattern::Zipf,
            "w1" | "w6" | "transfer" => Pattern::Transfers,
            "w2" => Pattern::Zipf,
            "w3" | "defi" => Pattern::Hybrid,
            "w4" => Pattern::Chain,
            "w5" => Pattern::HotKey,
            "w5-credit" => Pattern::HotCredit,
            "w7" => Pattern::SmallBank,
            "w8" => Pattern::Mixed,
            "game" => Pattern::Game,
            "nft" => Pattern::Nft,
            other => return Err(BenchError::UnknownWorkload(other.to_owned())),
        };
        let usual = Workload::new(kind, pattern);
        let owned = match usual.pattern {
            Pattern::Mixed if self.privacy_ratio.is_none() => 1.0,
            _ => 0.0,
        };
        let workload = Workload {
            accounts: self.accounts.unwrap_or(usual.accounts),
            txs: self.txs.unwrap_or(usual.txs),
            work_ns: self.work_ns.unwrap_or(usual.work_ns),
            zipf_alpha: self.zipf_alpha.unwrap_or(usual.zipf_alpha),
            read_ratio: self.read_ratio.unwrap_or(usual.read_ratio),
            hot_ratio: self.hot_ratio.unwrap_or(usual.hot_ratio),
            owned_ratio: self.owned_ratio.unwrap_or(owned),
            privacy_ratio: self.privacy_ratio.unwrap_or(usual.privacy_ratio),
            heavy_every: self.heavy_every.unwrap_or(usual.heavy_every),
            declare: self.declare,
            ..usual
        };
        let device = self.latency_us.or((kind == "w6").then_some(20)).map(|micros| {
            (Duration::from_micros(micros), self.depth.unwrap_or(16), self.slow_one_in.unwrap_or(1))
        });
        Ok(Setting { workload, threads, mode: self.mode, device })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_said_before_anything_is_measured() {
        let refused = |args: &Args| run(args, &mut |_| panic!("measured")).err().unwrap();
        let nowhere = Path::new("no such folder").join("chart.svg");
        let error = refused(&Args { svg: Some(nowhere), ..Args::default() });
        assert!(matches!(error, BenchError::Chart { .. }), "{error}");
        let only = Some("no such cell".to_owned());
        let error = refused(&Args { matrix: true, only, ..Args::default() });
        assert!(matches!(error, BenchError::NoSuchCell(_)), "{error}");
    }
}
