//! The cost of one event as the number of open steps grows.
//!
//! `cargo bench -p athanor-scheduler --bench cost_curve`
//!
//! For each size, the queue is filled with jobs of mixed circuits and classes and kept at that size
//! while runs finish; the CPU time per event is printed. The machine has 64 CPU workers, 16 devices
//! and memory for about a hundred partitions, so heads are blocked, later work goes past them, and
//! keys are loaded and evicted.

use athanor_scheduler::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const GIB: u64 = 1 << 30;
const CIRCUITS: u32 = 24;

struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn profile(circuit: u32) -> Arc<Profile> {
    let unit = GIB / 4 * u64::from(1 + circuit % 8);
    let cpu = |least, most| WorkerNeed::Cpu { least, most };
    let device = WorkerNeed::Device { class: DeviceClass(0) };
    let step = |stage, worker, peak, keeps, device, key| Step {
        stage: StageId(stage),
        worker,
        claim: Claim { peak: Memory::host(peak), keeps: Memory::host(keeps), device },
        key,
        estimate: Span::from_secs(1),
        emits: 0,
    };
    let key = Some(KeyId(u64::from(circuit)));
    let steps = vec![
        step(0, cpu(1, 1), unit, unit, 0, None),
        step(1, cpu(2, 8), 4 * unit, 3 * unit, 0, None),
        step(2, device, 3 * unit, GIB / 1024, 2 * GIB, key),
        step(3, cpu(1, 1), GIB / 1024, 0, 0, None),
    ];
    Arc::new(Profile::new(steps).expect("well formed"))
}

struct Driver {
    rng: Lcg,
    scheduler: Scheduler,
    profiles: Vec<Arc<Profile>>,
    now: Time,
    agenda: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    out: Output,
    next_ticket: u64,
    events: u64,
}

impl Driver {
    fn new(max_tasks: usize) -> Driver {
        let config = Config {
            budget: Memory::host(512 * GIB),
            reserve: Memory::host(8 * GIB),
            max_jobs: max_tasks,
            max_tasks: 2 * max_tasks + 100,
            ..Config::default()
        };
        let mut driver = Driver {
            rng: Lcg(7),
            scheduler: Scheduler::new(config, 7),
            profiles: (0..CIRCUITS).map(profile).collect(),
            now: Time::ZERO,
            agenda: BTreeMap::new(),
            sequence: 0,
            out: Output::default(),
            next_ticket: 0,
            events: 0,
        };
        for key in 0..CIRCUITS {
            let spec = KeySpec { shared: Memory::host(GIB), device: 4 * GIB };
            driver.tell(Event::KeyDeclared { key: KeyId(u64::from(key)), spec });
        }
        for worker in 0..80 {
            let kind = match worker {
                0..64 => WorkerKind::Cpu { threads: 1 + worker % 4 },
                _ => WorkerKind::Device { class: DeviceClass(0), memory: 24 * GIB },
            };
            driver.tell(Event::WorkerJoined { worker: WorkerId(worker), kind });
        }
        driver
    }

    fn submit(&mut self) {
        let circuit = self.rng.below(u64::from(CIRCUITS)) as u32;
        let partition =
            PartitionSpec { profile: self.profiles[circuit as usize].clone(), after: Vec::new() };
        let classes = [Class::Critical, Class::High, Class::Normal, Class::Normal, Class::Batch];
        let spec = JobSpec {
            circuit: CircuitId(circuit),
            tenant: TenantId(0),
            class: classes[self.rng.below(5) as usize],
            deadline: None,
            holds: Memory::host(GIB / 16),
            partitions: vec![partition; 1 + self.rng.below(4) as usize],
            growth: None,
        };
        let submit_id = SubmitId(self.next_ticket);
        self.next_ticket += 1;
        self.tell(Event::Submit { submit_id, spec });
    }

    fn tell(&mut self, event: Event) {
        self.events += 1;
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        self.scheduler.handle(self.now, event, &mut out);
        for action in &out.actions {
            let (wait, event) = match *action {
                Action::Persist { record, .. } => (1_000_000, Event::Persisted { record }),
                Action::Start { run, .. } => {
                    (2_000_000_000, Event::Finished { run, peak: None, again: false })
                }
                Action::Load { run, .. } => (3_000_000_000, Event::Loaded { run }),
                _ => continue,
            };
            self.sequence += 1;
            let at = self.now + Span(wait / 2 + self.rng.below(wait));
            self.agenda.insert((at, self.sequence), event);
        }
        self.out = out;
    }

    fn advance(&mut self) {
        let Some(((at, _), event)) = self.agenda.pop_first() else { return };
        self.now = at;
        self.tell(event);
    }
}

/// CPU time of this thread in nanoseconds (wall clock time is unreliable on a shared machine); zero
/// where the kernel does not report it.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[expect(clippy::print_stdout, reason = "it is what this program is for")]
fn main() {
    println!("{:>10} {:>10} {:>12} {:>14}", "open", "events", "ns/event", "vs 10 open");
    let mut first = None;
    let only = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let sizes = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
    for open in sizes.into_iter().filter(|n| only.is_none_or(|only: usize| only == *n)) {
        let mut driver = Driver::new(open);
        let fill = |driver: &mut Driver| {
            while driver.scheduler.open_tasks() < open as u64 {
                driver.submit();
            }
        };
        fill(&mut driver);
        // The fill is acknowledged, and workers and keys come into use.
        for _ in 0..20_000 + open as u64 {
            driver.advance();
            fill(&mut driver);
        }
        let (events, started) = (driver.events, cpu_nanos());
        for _ in 0..40_000 {
            driver.advance();
            fill(&mut driver);
        }
        let each = (cpu_nanos() - started) as f64 / (driver.events - events) as f64;
        let measured = driver.events - events;
        let base = *first.get_or_insert(each);
        println!("{open:>10} {measured:>10} {each:>12.0} {:>14.2}", each / base);
    }
}
