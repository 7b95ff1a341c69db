//! Fault scenarios, one after the other. After each, most scenarios assert that only keys are reserved and
//! that the next job succeeds, and the harness asserts that no thread of the engine is left.
//!
//! One process runs the scenarios in sequence, so that a scenario can count threads. `faults worker` runs
//! the child process of the scenarios with isolated circuits.

#![allow(clippy::print_stderr)] // The harness is our own.

mod support;

use athanor_engine::modelled::{Act, Fault, Modelled, ModelledBackend, Script};
use athanor_engine::{Class, DeviceConfig, JobError, Status, Submission};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime};
use support::{Bench, PATIENCE, config, engine_threads};

type Scenario = fn();

const SCENARIOS: &[(&str, Scenario)] = &[
    ("a_step_that_panics_once_is_run_again", panics_once),
    ("a_step_that_always_panics_fails_its_job", panics_always),
    ("memory_that_is_refused_once_is_asked_for_again", refused_memory),
    ("a_device_that_errs_once_proves_itself_and_serves_again", device_errs_once),
    ("a_device_that_errs_for_ever_gets_no_work_and_another_takes_it", device_errs_for_ever),
    ("a_wrong_proof_is_proven_again_alone_and_never_returned", wrong_once),
    ("a_proof_that_stays_wrong_fails_its_job", wrong_always),
    ("what_can_never_succeed_is_not_tried_again", permanent),
    ("a_step_past_its_limit_is_stopped", over_limit),
    ("a_lane_that_hangs_is_replaced", hung_lane),
    ("a_deadline_ends_a_job_in_the_middle", deadline),
    ("a_job_is_cancelled_in_every_stage", cancel_everywhere),
    ("an_engine_stops_in_every_stage", stop_everywhere),
    ("equal_requests_share_one_proof", single_flight),
    ("one_who_leaves_a_shared_job_leaves_it_to_the_others", leave_shared),
    ("a_more_urgent_request_does_not_wait_behind_an_equal_one", urgent_equal),
    ("tenants_share_nothing", tenants),
    ("a_cached_proof_serves_only_where_the_cache_is_on", proof_cache),
    ("a_key_that_cannot_be_read_once_is_read_again", key_fails_once),
    ("a_key_that_cannot_be_read_fails_its_jobs_with_the_reason", key_fails),
    ("a_key_evicted_in_between_is_read_again", key_evicted),
    ("an_unloaded_circuit_gives_its_memory_back", unload),
    ("dropped_handles_and_futures_leave_nothing", dropped),
    ("a_critical_job_starts_at_the_next_free_slot_of_each_stage", critical),
    ("a_drained_engine_takes_nothing_and_finishes_what_it_has", drain),
    ("what_never_fits_is_refused_with_the_bytes", never_fits),
    ("a_worker_process_that_aborts_costs_one_retry", worker_aborts),
    ("a_worker_process_that_hangs_is_killed", worker_hangs),
    ("a_worker_process_is_replaced_after_so_many_steps", worker_recycled),
];

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.to_string();
        if !said.contains("as modelled") {
            eprintln!("{said}");
        }
    }));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "worker") {
        let backends: [Arc<dyn athanor_engine::Backend>; 1] = [Arc::new(ModelledBackend)];
        let served = athanor_engine::worker::serve(&backends, std::io::stdin(), std::io::stdout());
        return served.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, scenario) in SCENARIOS {
        if wanted.is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        let began = Instant::now();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            scenario();
            no_thread_is_left();
        }));
        failed += u32::from(ran.is_err());
        let word = if ran.is_ok() { "ok" } else { "FAILED" };
        eprintln!("scenario {name} ... {word} ({:.2} s)", began.elapsed().as_secs_f64());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn no_thread_is_left() {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = engine_threads();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "threads are left: {left:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Waits until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(millis(1));
    }
}

fn failed_with(result: Result<Arc<athanor_engine::Finished>, JobError>, expected: &str) {
    match result {
        Err(JobError::Failed { code, .. }) => assert_eq!(code, expected),
        other => panic!("{other:?} where {expected} was expected"),
    }
}

fn panics_once() {
    for step in 0..3 {
        let bench = Bench::new(Modelled::default());
        let input = Script::fault(step, 1, Act::Panic);
        assert_eq!(*bench.prove(input.clone()).unwrap().bytes, *Script::expected(&input, 1));
        assert_eq!(bench.standing().counters.panics, 1);
        bench.is_clean();
    }
}

fn panics_always() {
    for step in 0..3 {
        let bench = Bench::new(Modelled { step_bytes: 1 << 16, ..Modelled::default() });
        failed_with(bench.prove(Script::fault(step, 99, Act::Panic)), "panic");
        bench.is_clean();
    }
}

fn refused_memory() {
    let bench = Bench::new(Modelled::default());
    bench.prove(Script::fault(1, 1, Act::Refused)).unwrap();
    failed_with(bench.prove(Script::fault(1, 99, Act::Refused)), "out-of-memory");
    bench.is_clean();
}

fn device_errs_once() {
    let bench = Bench::new(Modelled::default());
    bench.prove(Script::fault(1, 1, Act::Device)).unwrap();
    assert_eq!(bench.standing().counters.quarantines, 1);
    bench.is_clean();
}

fn device_errs_for_ever() {
    let mut config = config();
    config.devices = vec![DeviceConfig::cpu(1), DeviceConfig::cpu(1)];
    let bench = Bench::with(config, Modelled::default());
    bench.circuit.self_test_fails.store(true, Ordering::Relaxed);
    // The failed device stays in quarantine, and the other device runs all further steps.
    bench.prove(Script::fault(1, 1, Act::Device)).unwrap();
    for salt in 0..10 {
        bench.prove(Script::good(salt)).unwrap();
    }
    assert_eq!(bench.standing().counters.quarantines, 1);
    bench.circuit.self_test_fails.store(false, Ordering::Relaxed);
    bench.is_clean();
}

fn wrong_once() {
    let bench = Bench::new(Modelled { partitions: 4, ..Modelled::default() });
    let input = Script::fault(1, 1, Act::Wrong);
    assert_eq!(*bench.prove(input.clone()).unwrap().bytes, *Script::expected(&input, 4));
    // Each of the four partitions was wrong once, and only that partition was proven again.
    assert_eq!(bench.standing().counters.self_check_failures, 4);
    assert_eq!(bench.circuit.proofs.load(Ordering::Relaxed), 8);
    bench.is_clean();
}

fn wrong_always() {
    let bench = Bench::new(Modelled::default());
    failed_with(bench.prove(Script::fault(1, 99, Act::Wrong)), "bad-proof");
    assert_eq!(bench.standing().counters.self_check_failures, 3, "as often as it may");
    bench.is_clean();
}

fn permanent() {
    let bench = Bench::new(Modelled::default());
    let result = bench.prove(Script::fault(0, 99, Act::Permanent));
    assert!(matches!(&result, Err(JobError::Failed { retry: false, .. })), "{result:?}");
    assert_eq!(bench.circuit.begun.load(Ordering::Relaxed), 1);
    bench.is_clean();
}

fn over_limit() {
    let bench = Bench::new(Modelled { limit: Some(millis(20)), ..Modelled::default() });
    bench.prove(Script::fault(1, 1, Act::Wait)).unwrap();
    let counters = bench.standing().counters;
    assert_eq!((counters.over_limit, counters.lanes_lost), (1, 0));
    bench.is_clean();
}

fn hung_lane() {
    for step in 0..3 {
        let bench = Bench::new(Modelled {
            limit: Some(millis(20)),
            step_bytes: 1 << 16,
            ..Modelled::default()
        });
        // A check has no time limit, so the deadline stops it.
        let mut submission = Submission::new("model", Script::fault(step, 1, Act::Hang(400)));
        if step == 2 {
            submission.deadline = Some(SystemTime::now() + millis(50));
        }
        let result = bench.engine.submit(submission).unwrap().wait();
        match step {
            2 => assert_eq!(result, Err(JobError::DeadlineMissed)),
            _ => assert!(result.is_ok(), "{result:?}"),
        }
        until("the lane is lost", || bench.standing().counters.lanes_lost == 1);
        bench.is_clean();
        until("the late report is ignored", || bench.standing().counters.late_reports == 1);
        bench.is_clean();
    }
}

fn deadline() {
    let bench = Bench::new(Modelled::default());
    let mut submission = Submission::new("model", Script::fault(1, 1, Act::Wait));
    submission.deadline = Some(SystemTime::now() + millis(30));
    assert_eq!(bench.engine.submit(submission).unwrap().wait(), Err(JobError::DeadlineMissed));
    let mut late = Submission::new("model", Script::good(1));
    late.deadline = Some(SystemTime::now() - millis(1));
    assert!(matches!(bench.engine.submit(late), Err(JobError::Refused(_))));
    bench.is_clean();
}

/// Submits a job that waits in the stage of `step`. Returns its handle once the stage has started.
fn waiting_in(bench: &Bench, step: usize) -> athanor_engine::JobHandle {
    let stage = ["witness", "prove", "check"][step];
    let input = Script::fault(step, 1, Act::Wait);
    let handle = bench.engine.submit(Submission::new("model", input)).unwrap();
    let is_there = |status: Status| matches!(status, Status::Accepted { stage: Some(at), .. } if &*at == stage);
    until(stage, || is_there(handle.status()));
    handle
}

fn cancel_everywhere() {
    for step in 0..3 {
        let bench = Bench::new(Modelled { step_bytes: 1 << 16, ..Modelled::default() });
        let handle = waiting_in(&bench, step);
        let queued = bench.engine.submit(Submission::new("model", Script::good(7))).unwrap();
        handle.cancel();
        queued.wait().unwrap();
        // A job that has not started is cancelled too.
        let blocker = waiting_in(&bench, step);
        let behind = bench.engine.submit(Submission::new("model", Script::good(8))).unwrap();
        behind.cancel();
        blocker.cancel();
        bench.is_clean();
    }
}

fn stop_everywhere() {
    for step in 0..3 {
        let bench = Bench::new(Modelled { step_bytes: 1 << 16, ..Modelled::default() });
        let handle = waiting_in(&bench, step);
        let behind = bench.engine.submit(Submission::new("model", Script::good(8))).unwrap();
        drop(bench);
        assert_eq!(handle.wait(), Err(JobError::Stopping));
        assert_eq!(behind.wait(), Err(JobError::Stopping));
    }
}

fn single_flight() {
    let bench = Bench::new(Modelled { step_time: millis(20), ..Modelled::default() });
    let input = Script::good(1);
    std::thread::scope(|scope| {
        let prove = || bench.prove(input.clone()).unwrap().bytes.clone();
        let clients: Vec<_> = (0..200).map(|_| scope.spawn(prove)).collect();
        for client in clients {
            assert_eq!(*client.join().unwrap(), *Script::expected(&input, 1));
        }
    });
    let joined = bench.standing().counters.joined;
    let proofs = bench.circuit.proofs.load(Ordering::Relaxed);
    assert_eq!(joined + proofs, 200);
    // All requests that arrived while the first job ran shared it. Because 200 threads start slowly,
    // some requests can arrive after its end.
    let together: Vec<_> = (0..200)
        .map(|_| bench.engine.begin(Submission::new("model", Script::good(2))).unwrap())
        .collect();
    together.iter().for_each(|handle| assert!(handle.wait().is_ok()));
    assert_eq!(bench.circuit.proofs.load(Ordering::Relaxed), proofs + 1);
    bench.is_clean();
}

fn leave_shared() {
    let bench = Bench::new(Modelled { step_time: millis(20), ..Modelled::default() });
    let submit = || bench.engine.submit(Submission::new("model", Script::good(1))).unwrap();
    let (first, second, third) = (submit(), submit(), submit());
    first.cancel();
    second.cancel();
    third.wait().unwrap();
    assert_eq!(bench.circuit.proofs.load(Ordering::Relaxed), 1);
    // When all clients cancel, the job ends.
    let (first, second) = (submit(), submit());
    first.cancel();
    second.cancel();
    bench.is_clean();
}

fn urgent_equal() {
    let bench = Bench::new(Modelled { step_time: millis(20), ..Modelled::default() });
    let submit = |class| {
        let submission = Submission { class, ..Submission::new("model", Script::good(1)) };
        bench.engine.submit(submission).unwrap()
    };
    let (slow, urgent, slower) = (submit(Class::Normal), submit(Class::High), submit(Class::Batch));
    for handle in [slow, urgent, slower] {
        handle.wait().unwrap();
    }
    assert_eq!(bench.circuit.proofs.load(Ordering::Relaxed), 2);
    bench.is_clean();
}

fn tenants() {
    let bench = Bench::new(Modelled { step_time: millis(10), ..Modelled::default() });
    let submit = |tenant: &str| {
        let submission = Submission::new("model", Script::good(1));
        bench.engine.begin(Submission { tenant: tenant.into(), ..submission }).unwrap()
    };
    let both = [submit("a"), submit("b")];
    both.iter().for_each(|handle| assert!(handle.wait().is_ok()));
    assert_eq!(bench.circuit.proofs.load(Ordering::Relaxed), 2);
    bench.is_clean();
}

fn proof_cache() {
    for bytes in [0, 1 << 10] {
        let mut config = config();
        config.proof_cache = bytes;
        let bench = Bench::with(config, Modelled::default());
        let first = bench.prove(Script::good(1)).unwrap();
        let second = bench.prove(Script::good(1)).unwrap();
        assert_eq!(first.bytes, second.bytes);
        assert_eq!((first.cached, second.cached), (false, bytes > 0));
        // A failure is not cached.
        for _ in 0..2 {
            failed_with(bench.prove(Script::fault(1, 99, Act::Permanent)), "unsatisfied");
        }
        // New results evict old ones: the cache holds 28 results of 36 bytes.
        (2..40).for_each(|salt| assert!(bench.prove(Script::good(salt)).is_ok()));
        assert!(!bench.prove(Script::good(1)).unwrap().cached);
        let mut alone = Submission::new("model", Script::good(1));
        alone.share = false;
        assert!(!bench.engine.submit(alone).unwrap().wait().unwrap().cached);
        bench.is_clean();
    }
}

fn keyed() -> Modelled {
    Modelled { key_bytes: 1 << 20, ..Modelled::default() }
}

fn key_fails_once() {
    let bench = Bench::new(keyed());
    bench.circuit.key_faults.store(1, Ordering::Relaxed);
    bench.prove(Script::good(1)).unwrap();
    bench.is_clean();
}

fn key_fails() {
    let bench = Bench::new(keyed());
    bench.circuit.key_faults.store(99, Ordering::Relaxed);
    failed_with(bench.prove(Script::good(1)), "key-unreadable");
    bench.circuit.key_faults.store(0, Ordering::Relaxed);
    bench.is_clean();
}

fn key_evicted() {
    let mut config = config();
    let base = athanor_engine::memory::resident().unwrap();
    // Enough memory for one of the two keys and for the growth of the process until the engine starts.
    config.memory = Some(base + (6 << 20));
    let big = || Modelled { key_bytes: 4 << 20, ..Modelled::default() };
    let bench = Bench::with(config, big());
    bench.engine.load("other", Arc::new(big())).unwrap();
    for salt in 0..3 {
        bench.prove(Script::good(salt)).unwrap();
        let other = Submission::new("other", Script::good(salt));
        bench.engine.submit(other).unwrap().wait().unwrap();
    }
    let counters = bench.standing().counters;
    assert!(counters.key_loads >= 6 && counters.key_evictions >= 5, "{counters:?}");
    bench.is_clean();
}

fn unload() {
    let bench = Bench::new(keyed());
    bench.prove(Script::good(1)).unwrap();
    assert_eq!(bench.standing().reserved, 1 << 20);
    assert!(bench.engine.circuits()[0].resident);
    let under_way = waiting_in(&bench, 1);
    bench.engine.pin("model", true).unwrap();
    bench.engine.unload("model").unwrap();
    let refused = bench.engine.submit(Submission::new("model", Script::good(2)));
    assert_eq!(refused.unwrap_err(), JobError::UnknownCircuit("model".into()));
    assert!(bench.engine.unload("model").is_err());
    // The circuit's job continues until it ends. Then the key is evicted.
    assert!(bench.standing().reserved > 1 << 20);
    under_way.cancel();
    until("the key's memory is back", || bench.standing().reserved == 0);
    bench.engine.load("model", bench.circuit.clone()).unwrap();
    assert!(bench.engine.load("model", bench.circuit.clone()).is_err());
    bench.is_clean();
}

fn dropped() {
    let bench = Bench::new(Modelled { step_time: millis(5), ..Modelled::default() });
    for salt in 0..20 {
        let handle = bench.engine.submit(Submission::new("model", Script::good(salt))).unwrap();
        if salt % 2 == 0 {
            // A future that is polled and dropped before it resolves.
            let mut future = Box::pin(handle);
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
        }
    }
    until("all jobs are over", || bench.standing().open_jobs == 0);
    assert_eq!(bench.circuit.proofs.load(Ordering::Relaxed), 20);
    bench.is_clean();
}

fn critical() {
    let mut config = config();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = order.clone();
    config.observer = Some(Box::new(move |trace| {
        if let athanor_scheduler::TraceEvent::Started { task, .. } = trace.event {
            seen.lock().unwrap().push((task.job, task.step));
        }
    }));
    let bench = Bench::with(config, Modelled { step_time: millis(3), ..Modelled::default() });
    let queue: Vec<_> = (0..20)
        .map(|salt| bench.engine.submit(Submission::new("model", Script::good(salt))).unwrap())
        .collect();
    until("the queue moves", || bench.circuit.begun.load(Ordering::Relaxed) > 3);
    let submission = Submission::new("model", Script::good(99));
    let urgent = Submission { class: Class::Critical, ..submission };
    let before = order.lock().unwrap().len();
    let handle = bench.engine.submit(urgent).unwrap();
    let Status::Accepted { job, .. } = handle.status() else { panic!("accepted") };
    handle.wait().unwrap();
    queue.iter().for_each(|handle| assert!(handle.wait().is_ok()));
    let order = order.lock().unwrap();
    for step in 0..3 {
        // At most two other jobs start this step between the time at which the critical job is ready for
        // the step and its own start of the step.
        let ready = match step {
            0 => before,
            _ => order.iter().position(|s| *s == (job, step - 1)).unwrap(),
        };
        let own = order.iter().position(|s| *s == (job, step)).unwrap();
        let ahead = order[ready..own].iter().filter(|(_, s)| *s == step).count();
        assert!(ahead <= 2, "{ahead} others began step {step} before it");
    }
    drop(order);
    bench.is_clean();
}

fn drain() {
    let bench = Bench::new(Modelled { step_time: millis(5), ..Modelled::default() });
    let handles: Vec<_> = (0..5)
        .map(|salt| bench.engine.submit(Submission::new("model", Script::good(salt))).unwrap())
        .collect();
    assert_eq!(bench.engine.drain(PATIENCE), 0);
    handles.iter().for_each(|handle| assert!(handle.wait().is_ok()));
    let refused = bench.engine.submit(Submission::new("model", Script::good(9)));
    assert_eq!(refused.unwrap_err(), JobError::Stopping);
}

fn never_fits() {
    let bench = Bench::new(Modelled { step_bytes: 1 << 40, ..Modelled::default() });
    match bench.engine.submit(Submission::new("model", Script::good(1))) {
        Err(JobError::Refused(athanor_engine::Refusal::NeverFits { needs, .. })) => {
            assert!(needs >= 1 << 40);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.standing().reserved, 0);
}

/// An engine with a circuit whose steps run in a child process, and the circuit's directory.
fn isolated(recycle_after: u32, limit: Option<Duration>) -> (Bench, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let manifest = athanor_engine::Manifest {
        name: "model".into(),
        backend: "modelled".into(),
        proof_system: "modelled".into(),
        curve: "none".into(),
        partitions: 1,
        options: Default::default(),
        keys: Default::default(),
        files: Default::default(),
        stages: Default::default(),
    };
    manifest.write(directory.path()).unwrap();
    let mut config = config();
    let program = std::env::current_exe().unwrap();
    config.worker = Some((program, vec!["worker".into()]));
    let isolated = Some(directory.path().to_owned());
    let circuit = Modelled { isolated, recycle_after, limit, ..Modelled::default() };
    (Bench::with(config, circuit), directory)
}

fn worker_aborts() {
    for step in 0..3 {
        let (bench, _directory) = isolated(0, None);
        let input = Script::fault(step, 1, Act::Abort);
        assert_eq!(*bench.prove(input.clone()).unwrap().bytes, *Script::expected(&input, 1));
        assert_eq!(bench.standing().counters.workers_died, 1);
        failed_with(bench.prove(Script::fault(step, 99, Act::Abort)), "worker-died");
        failed_with(bench.prove(Script::fault(step, 99, Act::Panic)), "panic");
        bench.is_clean();
    }
}

fn worker_hangs() {
    let (bench, _directory) = isolated(0, Some(millis(500)));
    let faults = vec![Fault { partition: None, step: 1, times: 1, act: Act::Hang(60_000) }];
    let input = Script { salt: 3, faults }.input();
    let began = Instant::now();
    assert_eq!(*bench.prove(input.clone()).unwrap().bytes, *Script::expected(&input, 1));
    assert!(began.elapsed() < millis(30_000), "it was not waited for");
    let counters = bench.standing().counters;
    assert_eq!((counters.over_limit, counters.lanes_lost), (1, 0));
    // Cancelling a job or stopping the engine does not wait for a hung step either.
    let again = Script {
        salt: 4,
        faults: vec![Fault { partition: None, step: 0, times: 1, act: Act::Hang(60_000) }],
    };
    let handle = bench.engine.submit(Submission::new("model", again.input())).unwrap();
    std::thread::sleep(millis(50));
    handle.cancel();
    bench.is_clean();
}

fn worker_recycled() {
    let (bench, _directory) = isolated(1, None);
    for salt in 0..3 {
        bench.prove(Script::good(salt)).unwrap();
    }
    assert_eq!(bench.standing().counters.workers_died, 0);
    bench.is_clean();
}
