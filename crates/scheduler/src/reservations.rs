//! The reservations of running partitions in one part of the budget, in grant order, and the test
//! whether a reservation may grow (the safe-state rule of the crate docs).
//!
//! Each reservation has one slot in a [`SlackTree`] per pool; the slot holds the reservation's
//! `slack`. Opening, resizing and closing a reservation cost `O(log n)` tree operations, `n` being
//! the number of reservations; so does the test.

use crate::memory::{Memory, Pool};
use crate::slack::SlackTree;

const POOLS: usize = Pool::SHARED.len();

/// A reservation's place in the grant order: later reservations have larger numbers, and no number
/// is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReservationId(u64);

/// Which partitions must release memory before a blocked request can be granted. The variants are
/// ordered by inclusion: each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BlockedOn {
    /// The partitions with reservations up to and including this one.
    UpTo(ReservationId),
    /// All running partitions.
    AllRunning,
    /// All partitions, running or not, of jobs whose own memory ([`JobSpec::holds`]) is taken.
    ///
    /// [`JobSpec::holds`]: crate::JobSpec::holds
    AdmittedJobs,
}

/// What one running partition has reserved.
#[derive(Debug, Clone, Copy)]
struct Reservation {
    /// Bytes it holds now.
    holds: Memory,
    /// The most it may still hold until it is done; at least `holds`.
    most: Memory,
}

/// See the module docs.
#[derive(Debug)]
pub(crate) struct Reservations {
    budget: Memory,
    /// Bytes taken without a reservation: the jobs' own memory and resident keys. The safe-state
    /// rule does not count on their return.
    fixed: Memory,
    /// Sum of `holds` over all reservations.
    held: Memory,
    /// By slot, in grant order; `None` for a closed reservation.
    entries: Vec<(ReservationId, Option<Reservation>)>,
    /// Reservations that are not closed.
    open: usize,
    /// The number of the next reservation.
    next: u64,
    /// By pool: the slack of each slot.
    slack: [SlackTree; POOLS],
}

impl Reservations {
    pub(crate) fn new(budget: Memory) -> Reservations {
        Reservations {
            budget,
            fixed: Memory::ZERO,
            held: Memory::ZERO,
            entries: Vec::new(),
            open: 0,
            next: 0,
            slack: [SlackTree::new(64), SlackTree::new(64)],
        }
    }

    /// All bytes taken: reservations and fixed memory.
    pub(crate) fn taken(&self) -> Memory {
        self.fixed + self.held
    }

    /// The budget less the fixed memory.
    fn base(&self) -> Memory {
        self.budget.saturating_sub(self.fixed)
    }

    /// Whether `most` would fit if no partition ran.
    pub(crate) fn fits_when_idle(&self, most: Memory) -> bool {
        most.fits(self.base())
    }

    /// Bytes that are not taken.
    pub(crate) fn free(&self) -> Memory {
        self.budget.saturating_sub(self.taken())
    }

    /// Which partitions block a request for `extra` more bytes by reservation `id` (`None` for a
    /// new reservation). The answer is `None` if the state stays safe: the request can be granted.
    pub(crate) fn blocked_on(&self, id: Option<ReservationId>, extra: Memory) -> Option<BlockedOn> {
        let end = id.map_or(self.entries.len(), |s| self.slot(s));
        (0..POOLS)
            .filter(|&pool| extra[pool] > 0)
            .filter_map(|pool| self.slack[pool].last_below(end, bytes(extra[pool])))
            .max()
            .map(|slot| BlockedOn::UpTo(self.entries[slot].0))
    }

    /// By how many bytes the fixed memory would have to shrink for the request to be safe.
    /// `most`: the largest amount a new reservation will need in all; unused with an `id`.
    pub(crate) fn shortage(
        &self,
        id: Option<ReservationId>,
        extra: Memory,
        most: Memory,
    ) -> Memory {
        let end = id.map_or(self.entries.len(), |s| self.slot(s));
        let mut short = Memory::ZERO;
        for pool in 0..POOLS {
            if extra[pool] > 0 {
                let gap = bytes(extra[pool]) - self.slack[pool].least(end);
                short[pool] = gap.max(0) as u64;
            }
            if id.is_none() {
                let over = (most[pool] + self.fixed[pool]).saturating_sub(self.budget[pool]);
                short[pool] = short[pool].max(over);
            }
        }
        short
    }

    /// Adds a reservation at the end of the grant order. It holds nothing yet; `most` is the most
    /// it will ever hold.
    pub(crate) fn open(&mut self, most: Memory) -> ReservationId {
        if self.entries.len() == self.slack[0].slots() {
            self.compact();
        }
        let id = ReservationId(self.next);
        self.next += 1;
        let slot = self.entries.len();
        self.entries.push((id, Some(Reservation { holds: Memory::ZERO, most })));
        self.open += 1;
        for pool in 0..POOLS {
            let slack = bytes(self.budget[pool]) - bytes(self.fixed[pool]) - bytes(most[pool]);
            self.slack[pool].set(slot, slack);
        }
        id
    }

    /// Sets what a reservation holds and the most it may still hold (raised to `holds` if smaller).
    pub(crate) fn resize(&mut self, id: ReservationId, holds: Memory, most: Memory) {
        let slot = self.slot(id);
        let Some(reservation) = &mut self.entries[slot].1 else { return };
        let before = std::mem::replace(reservation, Reservation { holds, most: most.max(holds) });
        let most = most.max(holds);
        self.held = self.held + holds - before.holds;
        for pool in 0..POOLS {
            self.slack[pool].add_before(slot, bytes(before.holds[pool]) - bytes(holds[pool]));
            if most[pool] != before.most[pool] {
                let slack = self.slack[pool].get(slot) + bytes(before.most[pool]);
                self.slack[pool].set(slot, slack - bytes(most[pool]));
            }
        }
    }

    /// Ends a reservation and frees what it holds.
    pub(crate) fn close(&mut self, id: ReservationId) {
        self.resize(id, Memory::ZERO, Memory::ZERO);
        let slot = self.slot(id);
        if self.entries[slot].1.take().is_some() {
            self.open -= 1;
        }
        self.slack.iter_mut().for_each(|tree| tree.clear(slot));
    }

    /// What a reservation holds.
    pub(crate) fn holds(&self, id: ReservationId) -> Memory {
        self.entries[self.slot(id)].1.map_or(Memory::ZERO, |s| s.holds)
    }

    /// Takes memory without a reservation.
    pub(crate) fn take_fixed(&mut self, memory: Memory) {
        self.fixed += memory;
        for pool in 0..POOLS {
            self.slack[pool].add_before(self.entries.len(), -bytes(memory[pool]));
        }
    }

    /// Returns memory that was taken without a reservation.
    pub(crate) fn return_fixed(&mut self, memory: Memory) {
        self.fixed -= memory;
        for pool in 0..POOLS {
            self.slack[pool].add_before(self.entries.len(), bytes(memory[pool]));
        }
    }

    /// The slot of a reservation.
    fn slot(&self, id: ReservationId) -> usize {
        self.entries.partition_point(|(s, _)| *s < id)
    }

    /// Removes closed entries and rebuilds the trees with four slots per open reservation.
    fn compact(&mut self) {
        self.entries.retain(|(_, reservation)| reservation.is_some());
        let slots = (4 * self.open).max(64);
        for pool in 0..POOLS {
            let mut tree = SlackTree::new(slots);
            let mut left = bytes(self.budget[pool]) - bytes(self.fixed[pool]);
            for (slot, (_, reservation)) in self.entries.iter().enumerate().rev() {
                if let Some(reservation) = reservation {
                    tree.set(slot, left - bytes(reservation.most[pool]));
                    left -= bytes(reservation.holds[pool]);
                }
            }
            self.slack[pool] = tree;
        }
    }
}

/// Bytes as a signed number, capped at 2^60. The scheduler refuses jobs that claim more than 2^60
/// bytes, so sums of a few claims stay within `i64`.
fn bytes(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX / 8).min(i64::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jitter::Jitter;

    /// The definition, word for word: in grant order, each can blocked_on its peak from what is
    /// free plus what those before it release.
    fn safe(budget: u64, entries: &[(u64, u64)]) -> bool {
        let held: u64 = entries.iter().map(|s| s.0).sum();
        let Some(mut free) = budget.checked_sub(held) else { return false };
        entries.iter().all(|&(holds, most)| {
            let fits = most <= holds + free;
            free += holds;
            fits
        })
    }

    /// Over random histories: a request is granted exactly if the state after it is safe by the
    /// definition; otherwise the answer is the shortest prefix whose release makes it safe.
    #[test]
    fn grants_exactly_the_safe_growths() {
        let mut granted = 0;
        for seed in 0..200 {
            let mut rng = Jitter::new(seed);
            let budget = 100;
            let mut reservations = Reservations::new(Memory::host(budget));
            let mut plain: Vec<(ReservationId, u64, u64)> = Vec::new();
            let mut fixed = 0;
            for _ in 0..300 {
                let pick = rng.below(plain.len().max(1) as u64) as usize;
                let rows = |plain: &[(ReservationId, u64, u64)]| {
                    plain.iter().map(|p| (p.1, p.2)).collect::<Vec<_>>()
                };
                match rng.below(6) {
                    0 => {
                        let most = 1 + rng.below(60);
                        if reservations.fits_when_idle(Memory::host(most)) {
                            plain.push((reservations.open(Memory::host(most)), 0, most));
                        }
                    }
                    1 if !plain.is_empty() => {
                        reservations.close(plain.remove(pick).0);
                    }
                    2 if !plain.is_empty() => {
                        let (id, holds, most) = &mut plain[pick];
                        *holds = rng.below(*holds + 1);
                        *most = (*holds).max(rng.below(*most + 1));
                        reservations.resize(*id, Memory::host(*holds), Memory::host(*most));
                    }
                    3 => {
                        let more = 1 + rng.below(10);
                        let mut rows = rows(&plain);
                        rows.push((0, 0));
                        let fits = fixed + more <= budget && safe(budget - fixed - more, &rows);
                        let offered = reservations.blocked_on(None, Memory::host(more)).is_none()
                            && reservations.fits_when_idle(Memory::host(more));
                        assert_eq!(offered, fits);
                        if fits {
                            reservations.take_fixed(Memory::host(more));
                            fixed += more;
                        }
                    }
                    4 => {
                        let less = rng.below(fixed + 1);
                        reservations.return_fixed(Memory::host(less));
                        fixed -= less;
                    }
                    _ if !plain.is_empty() => {
                        let (id, holds, most) = plain[pick];
                        let extra = rng.below(most - holds + 1);
                        let mut after = rows(&plain);
                        after[pick].0 += extra;
                        let blocked_on = reservations.blocked_on(Some(id), Memory::host(extra));
                        assert_eq!(blocked_on.is_none(), safe(budget - fixed, &after));
                        match blocked_on {
                            None => {
                                reservations.resize(
                                    id,
                                    Memory::host(holds + extra),
                                    Memory::host(most),
                                );
                                plain[pick].1 += extra;
                                granted += 1;
                            }
                            Some(blocked_on) => {
                                let rest = |n: usize| safe(budget - fixed, &after[n..]);
                                let n = (0..=pick).find(|&n| rest(n)).unwrap();
                                assert_eq!(blocked_on, BlockedOn::UpTo(plain[n - 1].0));
                            }
                        }
                    }
                    _ => {}
                }
                assert!(safe(budget - fixed, &rows(&plain)));
                assert_eq!(
                    reservations.taken().host,
                    fixed + plain.iter().map(|p| p.1).sum::<u64>()
                );
            }
        }
        assert!(granted > 1000, "{granted}");
    }
}
