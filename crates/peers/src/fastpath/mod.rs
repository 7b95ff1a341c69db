//! `peers fastpath`: transfers through our executor, our sequential loop and a Block-STM, alternately.
//!
//! No published crate is comparable: parallel executors there are bound to the EVM. The peer is
//! neo1202/parallel-block-stm, whose transactions are generic like ours. Its driver is built manually
//! (see `drivers/`) and its path is an option. Neither side computes a state root; ours also makes
//! receipts and the list of changes.

mod peer;

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::ensure;
use athanor_fastpath::{
    Abort, Block, Config, Context, FastPathExecutor, Key, Outcome, Output, Transaction, Value,
    bench::{Machine, burn, turns_for},
};
use cpu_time::ProcessTime;
use serde_json::json;

use self::peer::Peer;

/// Initial balance, large enough for every block.
const RICH: u64 = 1 << 40;
/// Number of warm-up rounds, in which caches fill and the executor adapts.
const WARM_UP: usize = 2;
/// Maximum arithmetic per block in nanoseconds; blocks of expensive transactions are shorter.
const MOST_WORK: f64 = 2e8;

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The peer's driver, built as described in crates/peers/drivers/parallel_block_stm.cpp.
    #[arg(long, value_name = "PROGRAM")]
    peer: PathBuf,
    /// Numbers of accounts.
    #[arg(long, value_delimiter = ',', default_values_t = [2, 10, 100, 1000, 10_000])]
    accounts: Vec<u64>,
    /// Nanoseconds of arithmetic per transaction.
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 100.0, 1000.0, 10_000.0, 100_000.0])]
    work_ns: Vec<f64>,
    /// Transactions of a block.
    #[arg(long, default_value_t = 10_000)]
    txs: usize,
    /// Threads of each side.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Number of rounds; each figure is their median.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Print one JSON object per row.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    ensure!(args.accounts.iter().all(|&n| n >= 2), "a transfer needs two accounts");
    let mut out = std::io::stdout().lock();
    let mut peer = Peer::start(&args.peer)?;
    if !args.json {
        writeln!(
            out,
            "{:>9} {:>8} {:>8} {:>8} {:>10} {:>9} {:>9} {:>9} {:>6} {:>6} {:>5}  chosen",
            "work ns",
            "accounts",
            "ours",
            "peer",
            "peer/ours",
            "cpu ours",
            "cpu peer",
            "ex/tx",
            "plain",
            "line",
            "load"
        )?;
    }
    for &work_ns in &args.work_ns {
        for &accounts in &args.accounts {
            let cell = Cell::measure(&args, &mut peer, accounts, work_ns)?;
            cell.print(&mut out, args.json)?;
        }
    }
    if !args.json {
        writeln!(
            out,
            "ours, peer: speed-up over our plain loop; peer/ours: the peer's time over ours; cpu: processor \
             time over our plain loop's;\nex/tx: the peer's executions per transaction; plain: a plain \
             loop over the peer's map over ours; line: ns for a\ncache line to another core and back. \
             Medians of {} interleaved rounds; every balance was equal in every round.",
            args.rounds
        )?;
    }
    Ok(())
}

/// Transfers one unit from one account to another.
struct Transfer {
    from: Key,
    to: Key,
    turns: u32,
}

impl Transaction for Transfer {
    #[inline]
    fn execute(&self, ctx: &mut Context<'_>) -> Result<Output, Abort> {
        let (from, to) = (ctx.read_u64(&self.from)?, ctx.read_u64(&self.to)?);
        let word = burn(self.turns, from ^ to);
        ctx.write(&self.from, from.checked_sub(1).ok_or(Abort::user(1))?)?;
        ctx.write(&self.to, to + 1)?;
        Ok(Output::Word(word))
    }
}

fn account(n: u64) -> Key {
    Key::named(&n.to_le_bytes())
}

/// Digest of all balances, in the order of the accounts.
fn digest(executor: &FastPathExecutor, accounts: u64) -> anyhow::Result<u64> {
    (0..accounts).try_fold(0_u64, |sum, n| {
        let balance = executor.get(&account(n))?.map_or(0, |value| value.as_u64());
        Ok(sum.wrapping_mul(31).wrapping_add(balance))
    })
}

/// A deterministic generator: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % n
    }
}

/// One row; ratios are medians over the rounds of ratios within a round.
struct Cell {
    work_ns: f64,
    accounts: u64,
    machine: Machine,
    ours: f64,
    peer: f64,
    peer_over_ours: f64,
    cpu_ours: f64,
    cpu_peer: f64,
    executions: f64,
    plain: f64,
    chosen: String,
}

impl Cell {
    fn measure(args: &Args, peer: &mut Peer, accounts: u64, work_ns: f64) -> anyhow::Result<Self> {
        let executor = |threads| -> anyhow::Result<FastPathExecutor> {
            let config = Config { root: false, ..Config::with_threads(threads) };
            let mut executor = FastPathExecutor::in_memory(config)?;
            executor.insert_all((0..accounts).map(|n| (account(n), Value::from_u64(RICH))))?;
            Ok(executor)
        };
        let machine = Machine::now();
        let (mut ours, mut plain) = (executor(args.threads)?, executor(1)?);
        peer.reset(accounts, RICH)?;
        let most = (MOST_WORK / work_ns.max(1.0)) as usize;
        let (txs, turns) = (args.txs.min(most.max(1000)), turns_for(work_ns));
        let mut random = Random(accounts);
        let mut ratios: [Vec<f64>; 7] = Default::default();
        let mut chosen = String::new();
        for round in 0..WARM_UP + args.rounds {
            let pairs: Vec<[u64; 2]> = (0..txs)
                .map(|_| {
                    let from = random.below(accounts);
                    [from, (from + 1 + random.below(accounts - 1)) % accounts]
                })
                .collect();
            let transfer = |&[from, to]: &[u64; 2]| {
                let (from, to) = (account(from), account(to));
                Transfer { from, to, turns }
            };
            let block = Block::new(pairs.iter().map(transfer).collect());
            // Each of the three is first in every third round.
            let (mut at_once, mut in_order, mut theirs) = (None, None, None);
            for turn in 0..3 {
                match (round + turn) % 3 {
                    0 => at_once = Some(timed(|| ours.execute_block(&block))?),
                    1 => in_order = Some(timed(|| plain.execute_sequential(&block))?),
                    _ => theirs = Some(peer.execute(&pairs, turns, args.threads)?),
                }
            }
            let (Some(at_once), Some(in_order), Some(theirs)) = (at_once, in_order, theirs) else {
                unreachable!("three turns, three contenders")
            };
            let truth = digest(&plain, accounts)?;
            ensure!(digest(&ours, accounts)? == truth, "our own result differs: the run is void");
            ensure!(theirs.digest == truth, "the peer's result differs: the run is void");
            if round < WARM_UP {
                continue;
            }
            let (wall, cpu) = (in_order.wall.as_secs_f64() * 1e9, in_order.cpu.as_secs_f64() * 1e9);
            let ours_ns = at_once.wall.as_secs_f64() * 1e9;
            let row = [
                wall / ours_ns,
                wall / theirs.wall_ns,
                theirs.wall_ns / ours_ns,
                at_once.cpu.as_secs_f64() * 1e9 / cpu,
                theirs.cpu_ns / cpu,
                theirs.executions as f64 / txs as f64,
                theirs.plain_ns / wall,
            ];
            ratios.iter_mut().zip(row).for_each(|(list, ratio)| list.push(ratio));
            let main = at_once.outcome.decisions.iter().max_by_key(|decision| decision.count);
            chosen =
                main.map_or_else(String::new, |main| format!("{}: {}", main.mode, main.reason));
        }
        let [ours, peer, peer_over_ours, cpu_ours, cpu_peer, executions, plain] =
            ratios.map(|mut list| {
                list.sort_unstable_by(f64::total_cmp);
                list[list.len() / 2]
            });
        Ok(Self {
            work_ns,
            accounts,
            machine,
            ours,
            peer,
            peer_over_ours,
            cpu_ours,
            cpu_peer,
            executions,
            plain,
            chosen,
        })
    }

    fn print(&self, out: &mut impl Write, json: bool) -> anyhow::Result<()> {
        if json {
            let row = json!({
                "workload": "W1",
                "peer": "parallel-block-stm",
                "work_ns": self.work_ns,
                "accounts": self.accounts,
                "speedup": self.ours,
                "peer_speedup": self.peer,
                "peer_over_ours": self.peer_over_ours,
                "cpu_ratio": self.cpu_ours,
                "peer_cpu_ratio": self.cpu_peer,
                "peer_executions": self.executions,
                "peer_plain_ratio": self.plain,
                "chosen": self.chosen,
                "machine": self.machine,
            });
            writeln!(out, "{row}")?;
        } else {
            writeln!(
                out,
                "{:9.0} {:8} {:8.2} {:8.2} {:10.2} {:9.2} {:9.2} {:9.2} {:6.2} {:6.0} {:5.1}  {}",
                self.work_ns,
                self.accounts,
                self.ours,
                self.peer,
                self.peer_over_ours,
                self.cpu_ours,
                self.cpu_peer,
                self.executions,
                self.plain,
                self.machine.round_trip_ns,
                self.machine.load,
                self.chosen,
            )?;
        }
        Ok(out.flush()?)
    }
}

struct Timed {
    outcome: Outcome,
    wall: Duration,
    cpu: Duration,
}

fn timed(
    execute: impl FnOnce() -> Result<Outcome, athanor_fastpath::ExecutorError>,
) -> anyhow::Result<Timed> {
    let (start, cpu) = (Instant::now(), ProcessTime::now());
    let outcome = execute()?;
    Ok(Timed { outcome, wall: start.elapsed(), cpu: cpu.elapsed() })
}
