//! What an operator notices, each in a few events: refusals that name the bytes, busy refusals that
//! say when to retry, claims that follow measurements, restart, fair shares, keys, retries.

use athanor_scheduler::*;
use std::sync::Arc;

const DEVICES: DeviceClass = DeviceClass(0);

struct Desk {
    scheduler: Scheduler,
    now: Time,
    tickets: u64,
    out: Output,
}

impl Desk {
    fn new(config: Config) -> Desk {
        let scheduler = Scheduler::new(config, 1);
        Desk { scheduler, now: Time::ZERO, tickets: 0, out: Output::default() }
    }

    /// Handles one event and answers every journal record at once.
    fn tell(&mut self, event: Event) -> Output {
        let mut all = Output::default();
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.out.clear();
            self.scheduler.handle(self.now, event, &mut self.out);
            let records = self.out.actions.iter().filter_map(|action| match action {
                Action::Persist { record, .. } => Some(Event::Persisted { record: *record }),
                _ => None,
            });
            events.extend(records);
            all.actions.append(&mut self.out.actions);
            all.trace.append(&mut self.out.trace);
        }
        all
    }

    fn submit(&mut self, spec: JobSpec) -> Output {
        self.tickets += 1;
        self.tell(Event::Submit { submit_id: SubmitId(self.tickets), spec })
    }

    fn cpu(&mut self, worker: u32) {
        let kind = WorkerKind::Cpu { threads: 4 };
        self.tell(Event::WorkerJoined { worker: WorkerId(worker), kind });
    }

    fn device(&mut self, worker: u32) {
        let kind = WorkerKind::Device { class: DEVICES, memory: 100 };
        self.tell(Event::WorkerJoined { worker: WorkerId(worker), kind });
    }

    fn finish(&mut self, run: RunId, peak: Option<Memory>) -> Output {
        self.tell(Event::Finished { run, peak, again: false })
    }
}

fn config(host: u64) -> Config {
    Config { budget: Memory::host(host), ..Config::default() }
}

fn step(peak: u64, keeps: u64) -> Step {
    Step {
        stage: StageId(0),
        worker: WorkerNeed::Cpu { least: 1, most: 4 },
        claim: Claim { peak: Memory::host(peak), keeps: Memory::host(keeps), device: 0 },
        key: None,
        estimate: Span::from_secs(10),
        emits: 0,
    }
}

fn device_step(key: u64) -> Step {
    let worker = WorkerNeed::Device { class: DEVICES };
    Step { worker, key: Some(KeyId(key)), ..step(0, 0) }
}

fn job(steps: Vec<Step>, partitions: usize) -> JobSpec {
    let profile = Arc::new(Profile::new(steps).expect("well formed"));
    JobSpec {
        circuit: CircuitId(0),
        tenant: TenantId(0),
        class: Class::Normal,
        deadline: None,
        holds: Memory::ZERO,
        partitions: vec![PartitionSpec { profile, after: vec![] }; partitions],
        growth: None,
    }
}

fn starts(out: &Output) -> Vec<(RunId, TaskId, WorkerId)> {
    let starts = out.actions.iter().filter_map(|action| match *action {
        Action::Start { run, task, worker, .. } => Some((run, task, worker)),
        _ => None,
    });
    starts.collect()
}

fn refusal(out: &Output) -> Option<Refusal> {
    out.actions.iter().find_map(|action| match action {
        Action::Refuse { why, .. } => Some(why.clone()),
        _ => None,
    })
}

#[test]
fn what_never_fits_is_refused_with_the_bytes_it_would_need() {
    let mut desk = Desk::new(config(100));
    desk.cpu(0);
    let mut spec = job(vec![step(80, 0)], 1);
    spec.holds = Memory::host(30);
    let expected = Refusal::NeverFits { pool: Pool::Host, needs: 110, has: 100 };
    assert_eq!(refusal(&desk.submit(spec)), Some(expected));
    let need = WorkerNeed::Device { class: DEVICES };
    desk.tell(Event::KeyDeclared { key: KeyId(1), spec: key(0, 0) });
    let why = refusal(&desk.submit(job(vec![device_step(1)], 1)));
    assert_eq!(why, Some(Refusal::NoWorker { need }));
}

fn key(shared: u64, device: u64) -> KeySpec {
    KeySpec { shared: Memory::host(shared), device }
}

#[test]
fn busy_tells_when_to_come_back_from_learned_costs() {
    let mut desk = Desk::new(Config { max_jobs: 4, ..config(100) });
    desk.cpu(0);
    let mut run = starts(&desk.submit(job(vec![step(1, 0)], 1)))[0].0;
    for _ in 0..3 {
        desk.submit(job(vec![step(1, 0)], 1));
    }
    let busy = |desk: &mut Desk| refusal(&desk.submit(job(vec![step(1, 0)], 1)));
    // The manifest says ten seconds a step, and one worker runs them one after the other.
    let retry_after = Span::from_secs(10);
    assert_eq!(busy(&mut desk), Some(Refusal::Busy { retry_after }));
    for _ in 0..3 {
        desk.now = desk.now + Span::from_secs(2);
        let out = desk.finish(run, None);
        run = starts(&out)[0].0;
        assert_eq!(refusal(&desk.submit(job(vec![step(1, 0)], 1))), None);
    }
    // Measured: two seconds.
    let retry_after = Span::from_secs(2);
    assert_eq!(busy(&mut desk), Some(Refusal::Busy { retry_after }));
}

#[test]
fn claims_of_later_jobs_follow_what_was_measured() {
    let learning = Learning { samples: 2, margin: 0 };
    let mut desk = Desk::new(Config { learning, ..config(100) });
    desk.cpu(0);
    let mut claimed = Vec::new();
    for measured in [60, 20, 20] {
        let out = desk.submit(job(vec![step(40, 0)], 1));
        claimed.push(desk.scheduler.reserved().host);
        desk.finish(starts(&out)[0].0, Some(Memory::host(measured)));
    }
    // A larger peak counts at once, a smaller one from the second run on.
    assert_eq!(claimed, [40, 60, 60]);
    assert_eq!(desk.scheduler.reserved(), Memory::ZERO);
}

#[test]
fn a_restored_job_runs_only_what_was_not_done() {
    let mut desk = Desk::new(config(100));
    desk.cpu(0);
    desk.cpu(1);
    let spec = job(vec![step(1, 0)], 3);
    let out = desk.tell(Event::Restore { job: JobId(7), spec, finished: vec![0, 2] });
    let started = starts(&out);
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].1, TaskId { job: JobId(7), partition: 1, step: 0 });
    let out = desk.finish(started[0].0, None);
    let told = Action::Answer { job: JobId(7), outcome: Outcome::Complete };
    assert!(out.actions.contains(&told));
    // New jobs get higher numbers.
    let out = desk.submit(job(vec![step(1, 0)], 1));
    assert_eq!(starts(&out)[0].1.job, JobId(8));
}

#[test]
fn tenants_get_their_shares() {
    let shares = Shares { weights: vec![(TenantId(1), 3)] };
    let mut desk = Desk::new(Config { shares: Some(shares), ..config(100) });
    desk.cpu(0);
    let first = desk.submit(job(vec![step(1, 0)], 1));
    for at in 0..80 {
        let tenant = TenantId(at / 40);
        desk.submit(JobSpec { tenant, ..job(vec![step(1, 0)], 1) });
    }
    let mut run = starts(&first)[0].0;
    let mut heavy = 0;
    for _ in 0..40 {
        let (next, task, _) = starts(&desk.finish(run, None))[0];
        heavy += u32::from(task.job.0 > 40);
        run = next;
    }
    assert!((29..=31).contains(&heavy), "weight 3 of 4 had {heavy} of 40 starts");
}

#[test]
fn a_step_goes_to_the_device_that_holds_its_key() {
    let mut desk = Desk::new(config(100));
    desk.tell(Event::KeyDeclared { key: KeyId(1), spec: key(10, 60) });
    desk.device(0);
    desk.device(1);
    let out = desk.submit(job(vec![device_step(1)], 1));
    let load = |out: &Output| {
        out.actions.iter().find_map(|action| match *action {
            Action::Load { run, location, .. } => Some((run, location)),
            _ => None,
        })
    };
    let (run, location) = load(&out).expect("into shared memory first");
    assert_eq!(location, KeyLocation::Shared);
    let out = desk.tell(Event::Loaded { run });
    let (run, location) = load(&out).expect("then to a device");
    let out = desk.tell(Event::Loaded { run });
    let (run, _, worker) = starts(&out)[0];
    assert_eq!(location, KeyLocation::Device(worker));
    desk.finish(run, None);
    for _ in 0..3 {
        let out = desk.submit(job(vec![device_step(1)], 1));
        assert_eq!(load(&out), None);
        assert_eq!(starts(&out)[0].2, worker);
        desk.finish(starts(&out)[0].0, None);
    }
}

#[test]
fn a_withdrawn_key_goes_when_its_last_user_is_done_even_if_it_was_pinned() {
    let mut desk = Desk::new(config(100));
    desk.tell(Event::KeyDeclared { key: KeyId(1), spec: key(10, 0) });
    desk.tell(Event::Pin { key: KeyId(1) });
    desk.device(0);
    let out = desk.submit(job(vec![device_step(1)], 1));
    let run = out.actions.iter().find_map(|action| match *action {
        Action::Load { run, .. } => Some(run),
        _ => None,
    });
    let (run, ..) = starts(&desk.tell(Event::Loaded { run: run.expect("a load") }))[0];
    let out = desk.tell(Event::KeyWithdrawn { key: KeyId(1) });
    assert!(!out.actions.iter().any(|action| matches!(action, Action::Evict { .. })));
    let out = desk.finish(run, None);
    let evict = Action::Evict { key: KeyId(1), location: KeyLocation::Shared };
    assert!(out.actions.contains(&evict), "{:?}", out.actions);
    assert_eq!(desk.scheduler.reserved(), Memory::ZERO);
}

#[test]
fn when_one_partition_fails_for_good_the_rest_is_dropped_at_once() {
    let mut desk = Desk::new(config(100));
    desk.cpu(0);
    let mut spec = job(vec![step(20, 15), step(30, 0)], 4);
    spec.holds = Memory::host(5);
    let mut run = starts(&desk.submit(spec))[0].0;
    run = starts(&desk.finish(run, None))[0].0;
    assert!(desk.scheduler.reserved().host > 20);
    let out = desk.tell(Event::Failed { run, failure: Failure::Permanent });
    assert_eq!(desk.scheduler.reserved(), Memory::ZERO);
    assert_eq!(desk.scheduler.open_jobs(), 0);
    assert!(starts(&out).is_empty());
    let failed =
        |action: &Action| matches!(action, Action::Answer { outcome: Outcome::Failed { .. }, .. });
    assert!(out.actions.iter().any(failed));
}

#[test]
fn retries_are_bounded_and_wait_within_the_doubling_bound() {
    let retry = Retry { attempts: 4, base: Span(100), cap: Span(300) };
    let mut desk = Desk::new(Config { retry, ..config(100) });
    desk.cpu(0);
    let mut run = starts(&desk.submit(job(vec![step(1, 0)], 1)))[0].0;
    for bound in [100, 200, 300] {
        let out = desk.tell(Event::Failed { run, failure: Failure::Transient });
        if let Some((again, ..)) = starts(&out).first() {
            run = *again;
            continue;
        }
        let wake = desk.scheduler.next_wake().expect("a retry is due");
        assert!((wake - desk.now).0 <= bound);
        desk.now = wake;
        run = starts(&desk.tell(Event::Tick))[0].0;
    }
    let out = desk.tell(Event::Failed { run, failure: Failure::Transient });
    let why = FailureReason::TooOften(Failure::Transient);
    let outcome = Outcome::Failed { partition: 0, step: 0, why };
    assert!(out.actions.contains(&Action::Answer { job: JobId(0), outcome }));
}

#[test]
fn pressure_steps_show_in_the_trace_and_bind() {
    let mut desk = Desk::new(config(1000));
    desk.cpu(0);
    desk.cpu(1);
    desk.submit(job(vec![step(1, 0)], 1));
    let steps = |out: &Output| -> Vec<PressureStep> {
        let steps = out.trace.iter().filter_map(|trace| match trace.event {
            TraceEvent::Pressure { to, .. } => Some(to),
            _ => None,
        });
        steps.collect()
    };
    let out = desk.tell(Event::Resident { memory: Memory::host(975) });
    assert_eq!(steps(&out), [PressureStep::PauseBatch]);
    let batch = JobSpec { class: Class::Batch, ..job(vec![step(1, 0)], 1) };
    assert!(starts(&desk.submit(batch)).is_empty());
    // Not yet below the step's threshold less its slack.
    assert!(steps(&desk.tell(Event::Resident { memory: Memory::host(950) })).is_empty());
    let out = desk.tell(Event::Resident { memory: Memory::host(500) });
    assert_eq!(steps(&out), [PressureStep::None]);
    assert_eq!(starts(&out).len(), 1);
}
