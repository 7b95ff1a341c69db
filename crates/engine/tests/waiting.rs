//! Tests of restored jobs whose circuit is not loaded: they wait, end, or resume, and delay no other job.

use athanor_engine::modelled::{Modelled, Script};
use athanor_engine::{
    Config, Engine, Input, JobError, JobHandle, JobId, Journal, Outcome, Receipt, Record, Status,
    Submission, Unfinished,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

const PATIENCE: Duration = Duration::from_secs(30);

/// A job, its outcome, and the code and message of its failure if it failed.
type End = (JobId, Outcome, Option<(&'static str, String)>);

/// A journal that stores the ends of jobs after it has refused the first `refused` of them.
#[derive(Default)]
struct Ends {
    refused: AtomicU32,
    ends: Mutex<Vec<End>>,
}

impl Journal for Ends {
    fn record(&self, record: Record, receipt: Receipt) {
        if let Record::Ended { job, outcome, failure, .. } = record {
            let left = self.refused.load(Ordering::Relaxed);
            if left > 0 {
                self.refused.store(left - 1, Ordering::Relaxed);
                return receipt.failed();
            }
            self.ends.lock().unwrap().push((job, outcome, failure));
        }
        receipt.durable();
    }
}

fn start() -> (Engine, Arc<Ends>) {
    let journal = Arc::new(Ends::default());
    let config = Config { memory: Some(4 << 30), ..Config::with_threads(2) };
    (Engine::start(config, journal.clone()).unwrap(), journal)
}

fn unfinished(number: u64, circuit: &str, input: Input) -> Unfinished {
    let submission = Arc::new(Submission::new(circuit, input));
    Unfinished { job: JobId(number), submission, finished: Vec::new() }
}

fn waits(handle: &JobHandle, number: u64) {
    assert_eq!(handle.status(), Status::Waiting { job: JobId(number) });
}

fn end(handle: &JobHandle) -> Result<Vec<u8>, JobError> {
    let end = handle.wait_timeout(PATIENCE).expect("the job ends");
    end.map(|finished| finished.bytes.to_vec())
}

#[test]
fn a_restored_job_waits_for_its_circuit_and_holds_up_no_other() {
    let (engine, journal) = start();
    let inputs: Vec<Input> = (0..3).map(Script::good).collect();
    let restore =
        |number: usize| engine.restore(unfinished(number as u64, "later", inputs[number].clone()));
    let handles: Vec<JobHandle> = (0..3).map(restore).collect();
    handles.iter().enumerate().for_each(|(number, handle)| waits(handle, number as u64));
    engine.load("now", Arc::new(Modelled::default())).unwrap();
    engine.submit(Submission::new("now", Script::good(9))).unwrap().wait().unwrap();
    waits(&handles[0], 0);
    engine.load("later", Arc::new(Modelled::default())).unwrap();
    for (handle, input) in handles.iter().zip(&inputs) {
        assert_eq!(end(handle), Ok(Script::expected(input, 1)));
    }
    assert_eq!(journal.ends.lock().unwrap().len(), 4, "each ended once");
    // A job that is restored after the circuit is loaded does not wait.
    let last = engine.restore(unfinished(7, "later", inputs[0].clone()));
    assert_eq!(end(&last), Ok(Script::expected(&inputs[0], 1)));
}

#[test]
fn a_cancelled_wait_is_answered_once_it_is_recorded() {
    let (engine, journal) = start();
    journal.refused.store(1, Ordering::Relaxed);
    let handle = engine.restore(unfinished(5, "absent", Script::good(1)));
    handle.cancel();
    handle.cancel();
    assert_eq!(handle.wait_timeout(Duration::from_millis(300)), None, "not recorded yet");
    assert_eq!(end(&handle), Err(JobError::Cancelled));
    assert_eq!(*journal.ends.lock().unwrap(), [(JobId(5), Outcome::Cancelled, None)]);
    // The ended job does not resume when its circuit is loaded.
    engine.load("absent", Arc::new(Modelled::default())).unwrap();
    assert_eq!(journal.ends.lock().unwrap().len(), 1);
}

#[test]
fn a_deadline_passes_while_a_job_waits() {
    let (engine, journal) = start();
    let deadline = Some(SystemTime::now() + Duration::from_millis(50));
    let submission = Submission { deadline, ..Submission::new("absent", Script::good(1)) };
    let job = Unfinished { submission: Arc::new(submission), ..unfinished(3, "", Script::good(1)) };
    let handle = engine.restore(job);
    assert_eq!(end(&handle), Err(JobError::DeadlineMissed));
    assert_eq!(journal.ends.lock().unwrap()[0].1, Outcome::DeadlineMissed);
}

#[test]
fn an_input_that_the_circuit_does_not_take_any_more_ends_its_job_with_the_reason() {
    let (engine, journal) = start();
    let handle = engine.restore(unfinished(4, "later", Input::new("json", b"not json".to_vec())));
    waits(&handle, 4);
    engine.load("later", Arc::new(Modelled::default())).unwrap();
    assert!(matches!(end(&handle), Err(JobError::Input(_))));
    let ends = journal.ends.lock().unwrap();
    let (job, outcome, failure) = &ends[0];
    assert_eq!((*job, matches!(outcome, Outcome::Failed { .. })), (JobId(4), true));
    assert_eq!(failure.as_ref().unwrap().0, "bad-input");
}

#[test]
fn waiting_jobs_do_not_hold_up_the_end() {
    let (engine, journal) = start();
    let handle = engine.restore(unfinished(1, "absent", Script::good(1)));
    let began = Instant::now();
    assert_eq!(engine.drain(PATIENCE), 0);
    engine.shutdown();
    assert!(began.elapsed() < PATIENCE / 2);
    assert_eq!(end(&handle), Err(JobError::Stopping));
    assert!(journal.ends.lock().unwrap().is_empty(), "it stays accepted");
}

/// No job is missed if jobs are restored while their circuit is loaded.
#[test]
fn a_circuit_that_becomes_ready_while_jobs_are_restored_misses_none() {
    for round in 0..20 {
        let (engine, _) = start();
        std::thread::scope(|scope| {
            scope.spawn(|| engine.load("later", Arc::new(Modelled::default())).unwrap());
            let restore =
                |number| engine.restore(unfinished(number, "later", Script::good(number)));
            let handles: Vec<JobHandle> = (0..20).map(restore).collect();
            for handle in &handles {
                assert!(end(handle).is_ok(), "round {round}: {:?}", handle.status());
            }
        });
    }
}
