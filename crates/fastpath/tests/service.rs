//! The queue in front of the executor: full queue, expired deadlines, failed service.

#![cfg(not(loom))]

mod common;

use std::time::Duration;

use athanor_fastpath::{
    Abort, Backoff, Config, Context, Failure, FastPathExecutor, FastPathService, Output,
    QueueConfig, SubmitError, Transaction,
};
use common::{failure, quiet_panics};

/// A transaction that panics outside of `execute`, where the executor does not catch panics.
#[derive(Debug)]
struct Broken;

impl Transaction for Broken {
    fn execute(&self, _: &mut Context<'_>) -> Result<Output, Abort> {
        Ok(Output::None)
    }

    fn deadline(&self) -> Option<u64> {
        panic!("unlucky deadline")
    }

    fn access(&self) -> athanor_fastpath::Access<'_> {
        panic!("unlucky access")
    }
}

#[test]
fn nobody_waits_for_a_service_that_died() {
    quiet_panics();
    let executor = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
    let service = FastPathService::start(executor, QueueConfig::default()).unwrap();
    assert!(service.submit(Broken, Some(Duration::MAX)).unwrap().wait().is_none());
    loop {
        match service.submit(Broken, None) {
            Err(SubmitError::Stopped { .. }) => break,
            Ok(ticket) => assert!(ticket.wait().is_none()),
            Err(other) => panic!("{other}"),
        }
    }
}

/// A transaction that reports its start and then waits for a message.
#[derive(Debug)]
struct Gate(std::sync::mpsc::SyncSender<()>, std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Transaction for Gate {
    fn execute(&self, _: &mut Context<'_>) -> Result<Output, Abort> {
        let _ = self.0.send(());
        let _ = self.1.lock().unwrap().recv();
        Ok(Output::None)
    }
}

#[test]
fn a_full_queue_answers_busy_and_late_transactions_get_a_receipt() {
    let executor = FastPathExecutor::in_memory(Config::with_threads(1)).unwrap();
    let config = QueueConfig {
        capacity: 2,
        max_retries: 2,
        backoff: Backoff::Fixed,
        ..QueueConfig::default()
    };
    let service = FastPathService::start(executor, config).unwrap();
    let gate = || {
        let (entered_in, entered) = std::sync::mpsc::sync_channel(16);
        let (open, opened) = std::sync::mpsc::sync_channel(16);
        (Gate(entered_in, std::sync::Mutex::new(opened)), entered, open)
    };
    let (first, entered, open) = gate();
    let first = service.submit(first, None).unwrap();
    entered.recv().unwrap();
    // The executor is blocked now. The queue has capacity for two transactions.
    let (second, _, open_second) = gate();
    let second = service.submit(second, None).unwrap();
    let (third, _, open_third) = gate();
    let third = service.submit(third, Some(Duration::ZERO)).unwrap();
    assert!(service.is_congested());
    let (fourth, _, _) = gate();
    let refused = service.execute_with_retry(fourth, None);
    assert!(matches!(refused, Err(SubmitError::Busy { waiting: 2, .. })));
    assert!(service.export_prometheus().contains("fastpath_submit_retries_total 2"));
    std::thread::sleep(Duration::from_millis(2));
    for open in [open, open_second, open_third] {
        let _ = open.send(());
    }
    assert!(first.wait().unwrap().status.is_success());
    assert!(second.wait().unwrap().status.is_success());
    assert!(matches!(failure(&third.wait().unwrap()), Failure::Expired { .. }));
}

#[test]
fn backoff_doubles_up_to_a_bound() {
    let bound = |retry| Backoff::Exponential.bound(retry, false).unwrap().as_millis();
    assert_eq!((bound(0), bound(1), bound(5), bound(30)), (1, 2, 32, 1000));
    assert_eq!(Backoff::Exponential.bound(0, true).unwrap().as_millis(), 2);
    assert_eq!(Backoff::Off.bound(0, false), None);
    assert_eq!(Backoff::from_name("fixed"), Backoff::Fixed);
}
