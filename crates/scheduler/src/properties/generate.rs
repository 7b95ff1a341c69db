//! Random machines and jobs, small enough for memory, workers, keys and the limit on partitions in
//! flight all to be scarce.

use crate::jitter::Jitter;
use crate::*;
use std::sync::Arc;

pub(crate) const CLASSES: u16 = 2;
pub(crate) const KEYS: u64 = 5;

pub(crate) fn config(rng: &mut Jitter) -> Config {
    let reserve = Memory { host: rng.below(2) * 30, pinned: rng.below(2) * 10 };
    Config {
        budget: Memory { host: 120 + rng.below(100), pinned: 40 + rng.below(40) } + reserve,
        reserve,
        max_jobs: 6 + rng.below(20) as usize,
        max_tasks: 400,
        max_partitions: 64,
        in_flight: if rng.below(2) == 0 { u32::MAX } else { 1 + rng.below(8) as u32 },
        loads: 1 + rng.below(2) as u32,
        retry: Retry { attempts: 3, base: Span(20), cap: Span(100) },
        learning: Learning { samples: u32::MAX, margin: 0 },
        shares: (rng.below(2) == 0).then(|| Shares { weights: vec![(TenantId(1), 3)] }),
        ageing: (rng.below(3) == 0).then_some(Span(400)),
        busy: (Span(1), Span(1000)),
        ..Config::default()
    }
}

pub(crate) fn worker(rng: &mut Jitter) -> WorkerKind {
    if rng.below(2) == 0 {
        WorkerKind::Cpu { threads: 1 + rng.below(8) as u32 }
    } else {
        let class = DeviceClass(rng.below(u64::from(CLASSES)) as u16);
        WorkerKind::Device { class, memory: 60 + rng.below(60) }
    }
}

/// Workers on which every generated step can run.
pub(crate) fn ample_workers() -> Vec<WorkerKind> {
    let device = |class| WorkerKind::Device { class: DeviceClass(class), memory: 120 };
    (0..CLASSES).map(device).chain([WorkerKind::Cpu { threads: 8 }]).collect()
}

pub(crate) fn key(rng: &mut Jitter) -> KeySpec {
    KeySpec {
        shared: Memory { host: rng.below(3) * 12, pinned: rng.below(2) * 8 },
        device: rng.below(3) * 20,
    }
}

fn memory(rng: &mut Jitter, host: u64, pinned: u64) -> Memory {
    let some = |rng: &mut Jitter, n: u64| if rng.below(3) == 0 { 0 } else { rng.below(n) };
    Memory { host: some(rng, host), pinned: some(rng, pinned) }
}

fn step(rng: &mut Jitter, keys: bool, input: Memory) -> Step {
    let device = rng.below(2) == 0;
    let least = 1 + rng.below(4) as u32;
    let peak = memory(rng, 50, 16).max(input);
    let keeps = Memory { host: rng.below(peak.host + 1), pinned: rng.below(peak.pinned + 1) };
    Step {
        stage: StageId(rng.below(4) as u16),
        worker: if device {
            WorkerNeed::Device { class: DeviceClass(rng.below(u64::from(CLASSES)) as u16) }
        } else {
            WorkerNeed::Cpu { least, most: least + rng.below(4) as u32 }
        },
        claim: Claim { peak, keeps, device: if device { rng.below(50) } else { 0 } },
        key: (keys && rng.below(3) == 0).then(|| KeyId(rng.below(KEYS))),
        estimate: Span(1 + rng.below(50)),
        emits: 0,
    }
}

pub(crate) fn profile(rng: &mut Jitter, keys: bool) -> Arc<Profile> {
    let mut steps: Vec<Step> = Vec::new();
    for _ in 0..1 + rng.below(4) {
        let input = steps.last().map_or(Memory::ZERO, |step| step.claim.keeps);
        steps.push(step(rng, keys, input));
    }
    steps.last_mut().expect("at least one").claim.keeps = Memory::ZERO;
    Arc::new(Profile::new(steps).expect("well formed"))
}

fn producer(emits: u32) -> Arc<Profile> {
    let worker = WorkerNeed::Cpu { least: 1, most: 1 };
    let (stage, claim, estimate) = (StageId(9), Claim::default(), Span(5));
    let step = Step { stage, worker, claim, key: None, estimate, emits };
    Arc::new(Profile::new(vec![step]).expect("well formed"))
}

pub(crate) fn job(rng: &mut Jitter, now: Time) -> JobSpec {
    let shape = profile(rng, true);
    let mut partitions: Vec<PartitionSpec> = Vec::new();
    for at in 0..1 + rng.below(6) as u32 {
        let profile = if rng.below(3) == 0 { profile(rng, true) } else { shape.clone() };
        let after = (0..at).filter(|_| rng.below(4) == 0).collect();
        partitions.push(PartitionSpec { profile, after });
    }
    let growth = (rng.below(4) == 0).then(|| {
        let emits = 1 + rng.below(3) as u32;
        partitions.push(PartitionSpec { profile: producer(emits), after: vec![] });
        let live = emits + rng.below(3) as u32;
        Growth { live, total: 12, peak: Memory { host: 50, pinned: 16 }, keys: vec![] }
    });
    let classes = [Class::Critical, Class::High, Class::Normal, Class::Batch];
    JobSpec {
        circuit: CircuitId(rng.below(3) as u32),
        tenant: TenantId(rng.below(3) as u32),
        class: classes[rng.below(4) as usize],
        deadline: (rng.below(4) == 0).then(|| now + Span(1 + rng.below(2000))),
        // Some jobs can never fit.
        holds: if rng.below(40) == 0 { Memory::host(400) } else { memory(rng, 20, 6) },
        partitions,
        growth,
    }
}

/// A job from before a restart, with the partitions that were done then. Producers start again.
pub(crate) fn restored(rng: &mut Jitter, now: Time) -> (JobSpec, Vec<u32>) {
    let spec = job(rng, now);
    let mut finished: Vec<u32> = Vec::new();
    for (at, part) in (0..).zip(&spec.partitions) {
        let ready = part.after.iter().all(|before| finished.contains(before));
        if ready && !part.profile.emits() && rng.below(2) == 0 {
            finished.push(at);
        }
    }
    (spec, finished)
}

/// The partitions that a producer emits in one run.
pub(crate) fn emission(rng: &mut Jitter, most: u32, from: u32) -> Vec<PartitionSpec> {
    let count = rng.below(u64::from(most) + 1) as u32;
    let spec = |rng: &mut Jitter, at: u32| {
        let after = if rng.below(3) == 0 && at > from { vec![at - 1] } else { vec![] };
        PartitionSpec { profile: profile(rng, false), after }
    };
    (from..from + count).map(|at| spec(rng, at)).collect()
}
