//! The observable data of an executor: hot keys, metrics, shard sizes, traces of slow transactions.

#![cfg(not(loom))]

mod common;

use std::time::Duration;

use athanor_fastpath::{
    Abort, Block, Config, Context, FastPathExecutor, FastPathService, Mode, Output, Ownership,
    Path, QueueConfig, Transaction,
};
use common::{Op, Program, key, object, ops, owner, spend};

#[test]
fn hot_keys_are_found_and_forgotten() {
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(2)).unwrap();
    let hot = |n: u64| ops([Op::Write(if n.is_multiple_of(2) { 5 } else { 100 + n }, 8)]);
    executor.execute_block(&Block::new((0..20_000).map(hot).collect())).unwrap();
    let top = executor.get_hot_keys(1);
    assert_eq!(top[0].0, key(5));
    assert!((5_000..20_000).contains(&top[0].1), "{top:?}");
    executor.reset_hot_keys();
    assert!(executor.get_hot_keys(1).is_empty());
}

#[test]
fn the_metrics_have_their_names() {
    let mut executor = FastPathExecutor::in_memory(Config::with_threads(2)).unwrap();
    executor.execute_block(&Block::new(vec![ops([Op::Write(1, 8)])])).unwrap();
    let service = FastPathService::<Program, _>::start(executor, QueueConfig::default()).unwrap();
    assert!(service.execute_with_retry(ops([Op::Write(2, 8)]), None).unwrap().status.is_success());
    let executor = loop {
        let text = service.export_prometheus();
        if text.contains("fastpath_txns_total 2") {
            for name in [
                "fastpath_latency_ms{quantile=\"0.999\"}",
                "fastpath_retries_total",
                "fastpath_queue_length 0",
                "fastpath_slow_requests_total",
                "fastpath_queue_wait_time_ms{quantile=\"0.5\"}",
                "# TYPE fastpath_batch_size gauge",
                "fastpath_dropped_total",
            ] {
                assert!(text.contains(name), "{name} in {text}");
            }
            break service.stop().unwrap();
        }
        std::thread::yield_now();
    };
    let stats = executor.stats();
    assert_eq!((stats.total, stats.succeeded, stats.blocks), (2, 2, 2));
    assert_eq!(stats.retry_rate(), 0.0);
    assert!(stats.summary().contains("2 transactions in 2 blocks"));
}

#[test]
fn the_size_of_each_partition_is_what_it_executed() {
    let config = Config { partitions: 4, ..Config::with_threads(2).fixed(Mode::Shards) };
    let mut executor = FastPathExecutor::in_memory(config).unwrap();
    (0..100).for_each(|n| {
        executor.insert_object(object(n, Ownership::Owned(owner(1)), 0)).unwrap();
    });
    // Three spends of object 0 and one of every other object: its shard executes two more than its
    // objects.
    let mut block: Vec<_> = (0..100).map(|n| spend(n, 0, 1)).collect();
    block.extend([spend(0, 1, 1), spend(0, 2, 1)]);
    let outcome = executor.execute_block(&Block::new(block)).unwrap();
    assert!(outcome.receipts.iter().all(|receipt| receipt.status.is_success()));
    assert_eq!(outcome.partitions.len(), 4);
    assert_eq!(outcome.partitions.iter().sum::<u64>(), 102);
    let text = executor.export_prometheus();
    for (shard, size) in outcome.partitions.iter().enumerate() {
        let line = format!("fastpath_batch_size{{partition=\"{shard}\"}} {size}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

/// A transaction that sleeps for 3 ms.
struct Sleepy;

impl Transaction for Sleepy {
    fn execute(&self, _: &mut Context<'_>) -> Result<Output, Abort> {
        std::thread::sleep(Duration::from_millis(3));
        Ok(Output::None)
    }
}

#[test]
fn a_slow_transaction_leaves_a_trace_with_its_path_and_the_reason() {
    let config = Config { slow_nanos: 2_000_000, ..Config::with_threads(1) };
    let mut executor = FastPathExecutor::in_memory(config).unwrap();
    executor.execute_block(&Block::new((0..16).map(|_| Sleepy).collect())).unwrap();
    let stats = executor.stats();
    assert!(stats.slow >= 1);
    assert_eq!(stats.slow_transactions[0].path, Path::Consensus);
    assert!(stats.slow_transactions[0].decision.starts_with("serial: "));
}
