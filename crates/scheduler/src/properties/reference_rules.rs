//! The scheduling rules by their definition, over plain lists, one decision at a time.

use super::model::{JobView, Model, Part, PriorityKey, ReservationView};
use crate::budgets::pools_of;
use crate::ids::{KeyId, WorkerId};
use crate::job::{Class, WorkerKind, WorkerNeed};
use crate::memory::Memory;
use crate::trace::{BudgetPart, PressureStep};

/// Whether a state is safe: in grant order, each partition can reach its peak with what is free
/// plus what those before it release.
pub(crate) fn safe(budget: Memory, fixed: Memory, reservations: &[ReservationView]) -> bool {
    (0..2).all(|pool| {
        let held: u64 = reservations.iter().map(|s| s.holds[pool]).sum();
        let Some(mut free) = budget[pool].checked_sub(fixed[pool] + held) else { return false };
        reservations.iter().all(|reservation| {
            let fits = reservation.most[pool] <= reservation.holds[pool] + free;
            free += reservation.holds[pool];
            fits
        })
    })
}

/// What a ready partition could do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It could start.
    Runs,
    /// Its key could be loaded into shared memory.
    Loads(KeyId),
    /// Nothing: it lacks only memory.
    Blocked,
    /// Nothing: a blocked head waits for the memory that it would take.
    Barred,
    /// Nothing: it lacks a worker, a free loader, or a place under the limit on partitions in
    /// flight.
    Waits,
}

/// The partitions that a blocked head waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Those with the first n reservations.
    FirstReservations(usize),
    Running,
    Admitted,
}

#[derive(Debug, Clone, Copy)]
struct Closing {
    budget_part: BudgetPart,
    takes: u8,
    waits: Waits,
}

/// One look at all ready partitions in priority order.
#[derive(Debug, Default)]
pub(crate) struct ReferenceScan {
    closings: Vec<Closing>,
    /// Partitions that wait for other jobs to end, and the pools that they close.
    for_jobs: Vec<(PriorityKey, u8)>,
    /// Kinds of busy workers whose first partition in line was judged.
    seen: Vec<(WorkerNeed, u64)>,
    /// Needs of partitions whose key cannot be loaded now, once the first with these needs was
    /// judged.
    keyless: Vec<((WorkerNeed, u64), Vec<KeyId>, u8)>,
    queue: Vec<PriorityKey>,
}

struct Asker<'m> {
    job: &'m JobView,
    part: &'m Part,
    location: PriorityKey,
    takes: u8,
    joins: bool,
    holds: Memory,
}

impl ReferenceScan {
    pub(crate) fn new(model: &Model) -> ReferenceScan {
        ReferenceScan { queue: model.queue(), ..ReferenceScan::default() }
    }

    pub(crate) fn queue(&self) -> Vec<PriorityKey> {
        self.queue.clone()
    }

    /// Judges a partition; all earlier ones must have been judged.
    pub(crate) fn judge(&mut self, model: &Model, location: PriorityKey) -> Verdict {
        let (.., job, partition) = location;
        let view = &model.jobs[&job];
        let part = &view.parts[partition as usize];
        let missing = missing_key(model, part);
        let joins = view.admitted.is_none();
        let holds = if joins && !part.started { view.spec.holds } else { Memory::ZERO };
        let extra = part.current().claim.peak.saturating_sub(held(model, location));
        let takes = if part.started { pools_of(extra) } else { fresh_takes(model, part, holds) };
        let asker = Asker { job: view, part, location, takes, joins, holds };
        match missing {
            Some(key) => self.judge_load(model, &asker, key),
            None if any_free(model, part) => match suitable(model, part).is_empty() {
                true => Verdict::Waits,
                false => self.judge_memory(model, &asker),
            },
            None => self.judge_in_line(model, &asker),
        }
    }

    fn judge_memory(&mut self, model: &Model, asker: &Asker) -> Verdict {
        match asker.part.started {
            true => self.judge_growth(model, asker),
            false => self.judge_newcomer(model, asker),
        }
    }

    /// Judges a partition whose kind of worker is all busy: only the first in line can be blocked
    /// on memory.
    fn judge_in_line(&mut self, model: &Model, asker: &Asker) -> Verdict {
        let spot = spot(model, asker.part);
        let waits = asker.part.started || has_credit(model, asker.location.0);
        if !waits || self.seen.contains(&spot) {
            return Verdict::Waits;
        }
        self.seen.push(spot);
        match self.judge_memory(model, asker) {
            Verdict::Blocked => Verdict::Blocked,
            _ => Verdict::Waits,
        }
    }

    fn judge_growth(&mut self, model: &Model, asker: &Asker) -> Verdict {
        let (.., job, partition) = asker.location;
        for budget_part in [BudgetPart::General, BudgetPart::Reserve] {
            let reservations = &model.reservations[budget_part as usize];
            let found = reservations.iter().position(|s| (s.job, s.partition) == (job, partition));
            let Some(at) = found else { continue };
            let barred = self.closings.iter().any(|c| {
                let passes = match c.waits {
                    Waits::FirstReservations(n) => at < n,
                    Waits::Running | Waits::Admitted => true,
                };
                c.budget_part == budget_part && c.takes & asker.takes != 0 && !passes
            });
            if barred {
                return Verdict::Barred;
            }
            let mut after = reservations.clone();
            let step = asker.part.step;
            after[at].holds = asker.part.current().claim.peak;
            after[at].most = asker.part.profile.peak_from(step);
            let (budget, fixed) = (model.budget(budget_part), model.fixed(budget_part));
            if safe(budget, fixed, &after) {
                return Verdict::Runs;
            }
            let spared = fixed - self.evictable(model, budget_part, asker.location);
            if safe(budget, spared, &after) {
                return Verdict::Runs;
            }
            let n = (0..=at).find(|&n| safe(budget, spared, &after[n..])).unwrap_or(at);
            self.closings.push(Closing {
                budget_part,
                takes: asker.takes,
                waits: Waits::FirstReservations(n),
            });
            return Verdict::Blocked;
        }
        Verdict::Runs
    }

    fn judge_newcomer(&mut self, model: &Model, asker: &Asker) -> Verdict {
        let class = asker.location.0;
        if !has_credit(model, class) {
            return Verdict::Waits;
        }
        let budget_parts = budget_parts(class);
        let open: Vec<BudgetPart> =
            budget_parts.iter().copied().filter(|&p| !self.bars(p, asker)).collect();
        if open.is_empty() {
            return Verdict::Barred;
        }
        if asker.joins && !admits(model, asker.job) {
            self.close(budget_parts, asker, |_| Waits::Admitted);
            self.for_jobs.push((asker.location, asker.takes));
            return Verdict::Blocked;
        }
        let newcomer = ReservationView {
            job: asker.location.3,
            partition: asker.location.4,
            holds: asker.part.current().claim.peak,
            most: asker.part.profile.peak(),
        };
        let fits = |budget_part: BudgetPart, evicted: Memory, gone: usize| {
            let mut reservations = model.reservations[budget_part as usize][gone..].to_vec();
            reservations.push(newcomer);
            safe(
                model.budget(budget_part),
                model.fixed(budget_part) + asker.holds - evicted,
                &reservations,
            )
        };
        if open.iter().any(|&budget_part| fits(budget_part, Memory::ZERO, 0)) {
            return Verdict::Runs;
        }
        let evictable = self.evictable(model, BudgetPart::General, asker.location);
        if open.contains(&BudgetPart::General) && fits(BudgetPart::General, evictable, 0) {
            return Verdict::Runs;
        }
        self.close(&open, asker, |budget_part| {
            let len = model.reservations[budget_part as usize].len();
            let spare = if budget_part == BudgetPart::General { evictable } else { Memory::ZERO };
            let n = (0..=len).find(|&n| fits(budget_part, spare, n));
            n.map_or(Waits::Running, Waits::FirstReservations)
        });
        Verdict::Blocked
    }

    fn judge_load(&mut self, model: &Model, asker: &Asker, key: KeyId) -> Verdict {
        let view = &model.keys[&key];
        let busy = model.keys.values().filter(|k| k.loading).count() as u32;
        let later = view.backoff.is_some_and(|till| till > model.now);
        if !has_credit(model, asker.location.0) {
            return Verdict::Waits;
        }
        let waits = view.loading || later || busy >= model.config.loads;
        if waits {
            let keys = asker.part.profile.keys().collect();
            let need = (spot(model, asker.part), keys, asker.takes);
            if !asker.joins || self.keyless.contains(&need) {
                return Verdict::Waits;
            }
            self.keyless.push(need);
        }
        if self.bars(BudgetPart::General, asker) {
            return Verdict::Barred;
        }
        let general = &[BudgetPart::General];
        if asker.joins && !admits(model, asker.job) {
            self.close(budget_parts(asker.location.0), asker, |_| Waits::Admitted);
            self.for_jobs.push((asker.location, asker.takes));
            return Verdict::Blocked;
        }
        if waits {
            return Verdict::Waits;
        }
        let (budget, fixed) = (model.budget(BudgetPart::General), model.fixed(BudgetPart::General));
        let lacking = asker.part.profile.keys().map(|k| &model.keys[&k]).filter(|k| !k.resident);
        let lacking = lacking.fold(Memory::ZERO, |sum, k| sum + k.spec.shared);
        let alone = asker.part.profile.peak() + asker.holds + lacking;
        let reservations = &model.reservations[BudgetPart::General as usize];
        let fits = |evicted: Memory, gone: usize| {
            safe(budget, fixed + view.spec.shared - evicted, &reservations[gone..])
                && (alone + fixed - evicted).fits(budget)
        };
        let evictable = self.evictable(model, BudgetPart::General, asker.location);
        if fits(Memory::ZERO, 0) || fits(evictable, 0) {
            return Verdict::Loads(key);
        }
        self.close(general, asker, |_| {
            let n = (0..=reservations.len()).find(|&n| fits(evictable, n));
            n.map_or(Waits::Running, Waits::FirstReservations)
        });
        Verdict::Blocked
    }

    fn close(
        &mut self,
        budget_parts: &[BudgetPart],
        asker: &Asker,
        waits: impl Fn(BudgetPart) -> Waits,
    ) {
        for &budget_part in budget_parts {
            self.closings.push(Closing {
                budget_part,
                takes: asker.takes,
                waits: waits(budget_part),
            });
        }
    }

    fn bars(&self, budget_part: BudgetPart, asker: &Asker) -> bool {
        self.bars_newcomer(budget_part, asker.takes, asker.joins)
    }

    fn bars_newcomer(&self, budget_part: BudgetPart, takes: u8, joins: bool) -> bool {
        self.closings.iter().any(|c| {
            let passes = c.waits == Waits::Admitted && !joins;
            c.budget_part == budget_part && c.takes & takes != 0 && !passes
        })
    }

    /// Bytes of keys that may be evicted: resident, unpinned, unused, and needed neither by this
    /// partition nor by an earlier one.
    fn evictable(&self, model: &Model, budget_part: BudgetPart, by: PriorityKey) -> Memory {
        if budget_part == BudgetPart::Reserve {
            return Memory::ZERO;
        }
        let idle = model.keys.iter().filter(|(key, k)| {
            k.resident && !k.pinned && model.users(**key) == 0 && !self.spares(model, **key, by)
        });
        idle.fold(Memory::ZERO, |sum, (_, k)| sum + k.spec.shared)
    }

    fn spares(&self, model: &Model, key: KeyId, by: PriorityKey) -> bool {
        self.queue.iter().any(|&location| {
            let view = &model.jobs[&location.3];
            let part = &view.parts[location.4 as usize];
            let before = location == by
                || (location < by && !self.waits_for_jobs(model, location, view, part));
            before && !part.started && part.profile.keys().any(|k| k == key)
        })
    }

    fn waits_for_jobs(
        &self,
        model: &Model,
        location: PriorityKey,
        view: &JobView,
        part: &Part,
    ) -> bool {
        let takes = fresh_takes(model, part, view.spec.holds);
        let behind =
            |&(first, closed): &(PriorityKey, u8)| first <= location && closed & takes != 0;
        view.admitted.is_none() && self.for_jobs.iter().any(behind)
    }
}

/// Bit mask of the pools in which a fresh partition, with its keys, claims anything.
fn fresh_takes(model: &Model, part: &Part, holds: Memory) -> u8 {
    let keys = part.profile.keys().map(|key| pools_of(model.keys[&key].spec.shared));
    keys.fold(pools_of(part.profile.peak()) | pools_of(holds), |all, pools| all | pools)
}

pub(crate) fn budget_parts(class: Class) -> &'static [BudgetPart] {
    match class {
        Class::Critical => &[BudgetPart::Reserve, BudgetPart::General],
        _ => &[BudgetPart::General],
    }
}

fn has_credit(model: &Model, class: Class) -> bool {
    let in_flight = model.in_flight();
    let credits = match model.pressure {
        PressureStep::Shrink(bound) => model.config.in_flight.min(bound),
        _ => model.config.in_flight,
    };
    let paused =
        model.pressure >= PressureStep::PauseBatch && class == Class::Batch && in_flight > 0;
    in_flight < credits && !paused
}

/// The most that a job may still need beside the own memory of all jobs.
pub(crate) fn need(model: &Model, job: &JobView) -> Memory {
    let copy = |key: KeyId| match &model.keys[&key] {
        k if k.pinned => Memory::ZERO,
        k => k.spec.shared,
    };
    let specs = job.spec.partitions.iter().map(|p| &p.profile);
    let most = specs.fold(Memory::ZERO, |most, profile| {
        most.max(profile.keys().map(copy).fold(profile.peak(), |sum, k| sum + k))
    });
    match &job.spec.growth {
        Some(g) => most.max(g.keys.iter().map(|&k| copy(k)).fold(g.peak, |sum, k| sum + k)),
        None => most,
    }
}

/// Whether the own memory of all admitted jobs and of this one, and the largest need of any of
/// them, fit together.
pub(crate) fn admits(model: &Model, job: &JobView) -> bool {
    let holding = model.jobs.values().filter(|j| j.admitted.is_some() && !j.released);
    let mut most = need(model, job);
    let mut holds = job.spec.holds;
    for other in holding {
        most = most.max(need(model, other));
        if other.admitted == Some(BudgetPart::General) {
            holds += other.spec.holds;
        }
    }
    let pinned = model.keys.values().filter(|k| k.pinned);
    let pinned = pinned.fold(Memory::ZERO, |sum, k| sum + k.spec.shared);
    (holds + most + pinned).fits(model.budget(BudgetPart::General))
}

fn missing_key(model: &Model, part: &Part) -> Option<KeyId> {
    let lacks = |key: &KeyId| {
        let key = &model.keys[key];
        !key.resident && !key.spec.shared.is_zero()
    };
    part.profile.keys().find(|key| !part.started && lacks(key))
}

fn held(model: &Model, location: PriorityKey) -> Memory {
    let mut reservations = model.reservations.iter().flatten();
    let reservation = reservations.find(|s| (s.job, s.partition) == (location.3, location.4));
    reservation.map_or(Memory::ZERO, |s| s.holds)
}

/// The smallest worker that a partition's current step can run on: CPU threads, or a class and
/// bytes.
fn spot(model: &Model, part: &Part) -> (WorkerNeed, u64) {
    let step = part.current();
    match step.worker {
        WorkerNeed::Cpu { least, .. } => (WorkerNeed::Cpu { least, most: least }, 0),
        device => (device, step.claim.device + model.device_key(step).map_or(0, |k| k.1)),
    }
}

fn suits(model: &Model, part: &Part, kind: WorkerKind) -> bool {
    match (spot(model, part), kind) {
        ((WorkerNeed::Cpu { least, .. }, _), WorkerKind::Cpu { threads }) => threads >= least,
        ((WorkerNeed::Device { class: want }, bytes), WorkerKind::Device { class, memory }) => {
            want == class && memory >= bytes
        }
        _ => false,
    }
}

/// Whether any suitable worker is free, including the one that the partition avoids.
fn any_free(model: &Model, part: &Part) -> bool {
    let free = |l: &super::model::WorkerView| l.busy.is_none() && !l.suspect && !l.draining;
    model.workers.values().any(|l| free(l) && suits(model, part, l.kind))
}

/// Free workers on which a partition's current step could run, whether its key is there or not.
pub(crate) fn suitable(model: &Model, part: &Part) -> Vec<WorkerId> {
    let serving: Vec<_> = (model.workers.iter())
        .filter(|(_, l)| suits(model, part, l.kind) && !l.suspect && !l.draining)
        .collect();
    let elsewhere = serving.iter().any(|(worker, _)| part.avoid != Some(**worker));
    let free = serving.into_iter().filter(|(_, l)| l.busy.is_none());
    free.map(|(worker, _)| *worker)
        .filter(|worker| !elsewhere || part.avoid != Some(*worker))
        .collect()
}
