//! The whole table: every workload with its default parameters.

use std::time::Duration;

use super::Args;
use super::cell::Setting;
use super::workload::{Pattern, Workload};
use crate::transaction::Declaration;

/// Maximum nanoseconds of arithmetic per block. Blocks of longer transactions are shorter.
const MOST_WORK: f64 = 2e8;

/// All cells of the table, on `threads` threads.
#[must_use]
pub fn settings(args: &Args, threads: usize) -> Vec<Setting> {
    let mut cells = Vec::new();
    let mut add = |mut workload: Workload, device| {
        let most = (MOST_WORK / workload.work_ns.max(1.0)) as usize;
        workload.txs = args.txs.unwrap_or(workload.txs).min(most.max(1000));
        cells.push(Setting { workload, threads, mode: args.mode, device });
    };
    let declared = |workload: Workload| Workload {
        name: format!("{} declared", workload.name),
        declare: Some(Declaration::Superset),
        ..workload
    };
    for work_ns in [0.0, 100.0, 1000.0, 10_000.0, 100_000.0] {
        for accounts in [2, 10, 100, 1000, 10_000] {
            let name = format!("W1 {} {accounts}", micros(work_ns));
            let base = Workload::new(name, Pattern::Transfers);
            let workload = Workload { accounts, work_ns, ..base };
            add(workload.clone(), None);
            if work_ns >= 1000.0 && (10..1000).contains(&accounts) {
                add(declared(workload), None);
            }
        }
    }
    for zipf_alpha in [0.0, 0.5, 0.8, 0.99, 1.2, 1.5, 2.0] {
        let base = Workload::new(format!("W2 zipf {zipf_alpha}"), Pattern::Zipf);
        let workload = Workload { accounts: 1_000_000, zipf_alpha, ..base };
        add(workload.clone(), None);
        if zipf_alpha == 0.99 {
            for read_ratio in [0.5, 0.9, 1.0] {
                let name = format!("W2 zipf 0.99 reads {read_ratio}");
                add(Workload { name, read_ratio, ..workload.clone() }, None);
            }
        }
        if zipf_alpha == 1.5 {
            add(declared(workload), None);
        }
    }
    for hot_ratio in [0.0, 0.3, 0.5] {
        let base = Workload::new(format!("W3 hot {hot_ratio}"), Pattern::Hybrid);
        add(Workload { accounts: 100_000, hot_ratio, work_ns: 3000.0, ..base }, None);
    }
    for work_ns in [1000.0, 10_000.0] {
        let named = |name: &str| format!("{name} {}", micros(work_ns));
        let at = |workload: Workload| Workload { work_ns, ..workload };
        add(at(Workload::new(named("W4 chain"), Pattern::Chain)), None);
        add(at(Workload::new(named("W5 hot key"), Pattern::HotKey)), None);
        add(at(Workload::new(named("W5 hot credit"), Pattern::HotCredit)), None);
        let hot = Workload { accounts: 100_000, ..at(Workload::new("W7", Pattern::SmallBank)) };
        add(Workload { name: named("W7"), ..hot.clone() }, None);
        add(Workload { name: named("W7 hot 0.9"), hot_ratio: 0.9, ..hot }, None);
    }
    let most =
        Workload { accounts: 100_000, hot_ratio: 0.99, ..Workload::new("", Pattern::HotKey) };
    add(Workload { name: "99 % on one key".into(), ..most }, None);
    for latency in [20, 100] {
        let device = Some((Duration::from_micros(latency), 16, 1));
        let base = Workload::new(format!("W6 {latency}us"), Pattern::Transfers);
        let workload = Workload { accounts: 100_000, txs: 2000, ..base };
        add(workload.clone(), device);
        let name = format!("{} hints", workload.name);
        add(Workload { name, declare: Some(Declaration::Guess), ..workload }, device);
    }
    for work_ns in [0.0, 100.0, 300.0, 1000.0, 10_000.0] {
        let base = Workload::new(format!("W8 owned {}", micros(work_ns)), Pattern::Mixed);
        let owned = Workload { accounts: 100_000, owned_ratio: 1.0, work_ns, ..base };
        add(owned.clone(), None);
        if work_ns >= 1000.0 {
            let name = format!("W8 80/20/0 {}", micros(work_ns));
            add(Workload { name, owned_ratio: 0.8, ..owned }, None);
        }
    }
    if args.private.is_some() {
        let base = Workload::new("W8 60/30/10 1us", Pattern::Mixed);
        let workload =
            Workload { accounts: 100_000, txs: 1000, owned_ratio: 0.6, privacy_ratio: 0.1, ..base };
        add(workload, None);
    }
    cells
}

pub(crate) fn micros(nanos: f64) -> String {
    format!("{}us", nanos / 1000.0)
}
