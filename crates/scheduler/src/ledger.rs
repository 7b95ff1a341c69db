//! One purse: who holds what, in the order in which they first got it, and which growth is safe.
//!
//! The crate docs derive the rule. Here it is a [`SlackTree`] per pool over *seats*: a seat is a
//! running partition's place in the grant order.

use crate::memory::{Memory, Pool};
use crate::slack::SlackTree;

const POOLS: usize = Pool::SHARED.len();

/// A place in a purse's grant order. Later grants have larger numbers; none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat(u64);

/// How far back the partitions reach that a blocked grant waits for: everyone up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Seats up to this one.
    Seat(Seat),
    /// All running partitions.
    Running,
    /// All partitions, running or not, of jobs that hold memory.
    Admitted,
}

#[derive(Debug, Clone, Copy)]
struct Sitter {
    holds: Memory,
    most: Memory,
}

/// See the module docs.
#[derive(Debug)]
pub(crate) struct Ledger {
    budget: Memory,
    /// Job holds and keys: not counted on to come back.
    outright: Memory,
    /// Sum over seats.
    held: Memory,
    seats: Vec<(Seat, Option<Sitter>)>,
    live: usize,
    next: u64,
    slack: [SlackTree; POOLS],
}

impl Ledger {
    pub(crate) fn new(budget: Memory) -> Ledger {
        Ledger {
            budget,
            outright: Memory::ZERO,
            held: Memory::ZERO,
            seats: Vec::new(),
            live: 0,
            next: 0,
            slack: [SlackTree::new(64), SlackTree::new(64)],
        }
    }

    /// Everything that is taken.
    pub(crate) fn taken(&self) -> Memory {
        self.outright + self.held
    }

    /// The budget less what is not counted on to come back.
    fn base(&self) -> Memory {
        self.budget.saturating_sub(self.outright)
    }

    /// Whether that much would fit if no partition ran.
    pub(crate) fn alone(&self, most: Memory) -> bool {
        most.fits(self.base())
    }

    /// What nobody holds.
    pub(crate) fn free(&self) -> Memory {
        self.budget.saturating_sub(self.taken())
    }

    /// Who stands in the way of taking `extra` for a seat (or, without one, for a newcomer).
    /// `None`: the state stays safe.
    pub(crate) fn blocker(&self, seat: Option<Seat>, extra: Memory) -> Option<Reach> {
        let end = seat.map_or(self.seats.len(), |s| self.slot(s));
        (0..POOLS)
            .filter(|&pool| extra[pool] > 0)
            .filter_map(|pool| self.slack[pool].last_below(end, bytes(extra[pool])))
            .max()
            .map(|slot| Reach::Seat(self.seats[slot].0))
    }

    /// How many bytes less taken outright would make that grant safe.
    pub(crate) fn shortage(&self, seat: Option<Seat>, extra: Memory, most: Memory) -> Memory {
        let end = seat.map_or(self.seats.len(), |s| self.slot(s));
        let mut short = Memory::ZERO;
        for pool in 0..POOLS {
            if extra[pool] > 0 {
                let gap = bytes(extra[pool]) - self.slack[pool].least(end);
                short[pool] = gap.max(0) as u64;
            }
            if seat.is_none() {
                let alone = (most[pool] + self.outright[pool]).saturating_sub(self.budget[pool]);
                short[pool] = short[pool].max(alone);
            }
        }
        short
    }

    /// Gives a newcomer the last seat, holding nothing yet.
    pub(crate) fn sit(&mut self, most: Memory) -> Seat {
        if self.seats.len() == self.slack[0].slots() {
            self.compact();
        }
        let seat = Seat(self.next);
        self.next += 1;
        let slot = self.seats.len();
        self.seats.push((seat, Some(Sitter { holds: Memory::ZERO, most })));
        self.live += 1;
        for pool in 0..POOLS {
            let slack = bytes(self.budget[pool]) - bytes(self.outright[pool]) - bytes(most[pool]);
            self.slack[pool].set(slot, slack);
        }
        seat
    }

    /// Changes what a seat holds and the most it may still hold (never below what it holds).
    pub(crate) fn change(&mut self, seat: Seat, holds: Memory, most: Memory) {
        let slot = self.slot(seat);
        let Some(sitter) = &mut self.seats[slot].1 else { return };
        let before = std::mem::replace(sitter, Sitter { holds, most: most.max(holds) });
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

    /// Frees the seat and what it holds.
    pub(crate) fn leave(&mut self, seat: Seat) {
        self.change(seat, Memory::ZERO, Memory::ZERO);
        let slot = self.slot(seat);
        if self.seats[slot].1.take().is_some() {
            self.live -= 1;
        }
        self.slack.iter_mut().for_each(|tree| tree.clear(slot));
    }

    /// What a seat holds.
    pub(crate) fn holds(&self, seat: Seat) -> Memory {
        self.seats[self.slot(seat)].1.map_or(Memory::ZERO, |s| s.holds)
    }

    /// Takes memory that is not counted on to come back.
    pub(crate) fn take_outright(&mut self, memory: Memory) {
        self.outright += memory;
        for pool in 0..POOLS {
            self.slack[pool].add_before(self.seats.len(), -bytes(memory[pool]));
        }
    }

    /// Gives it back all the same.
    pub(crate) fn return_outright(&mut self, memory: Memory) {
        self.outright -= memory;
        for pool in 0..POOLS {
            self.slack[pool].add_before(self.seats.len(), bytes(memory[pool]));
        }
    }

    fn slot(&self, seat: Seat) -> usize {
        self.seats.partition_point(|(s, _)| *s < seat)
    }

    fn compact(&mut self) {
        self.seats.retain(|(_, sitter)| sitter.is_some());
        let slots = (4 * self.live).max(64);
        for pool in 0..POOLS {
            let mut tree = SlackTree::new(slots);
            let mut left = bytes(self.budget[pool]) - bytes(self.outright[pool]);
            for (slot, (_, sitter)) in self.seats.iter().enumerate().rev() {
                if let Some(sitter) = sitter {
                    tree.set(slot, left - bytes(sitter.most[pool]));
                    left -= bytes(sitter.holds[pool]);
                }
            }
            self.slack[pool] = tree;
        }
    }
}

/// Submits are checked to stay far below 2^61 bytes, so sums of claims within a budget do too.
fn bytes(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX / 8).min(i64::MAX / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jitter::Jitter;

    /// The definition, word for word: in grant order, each can reach its peak from what is free
    /// plus what those before it release.
    fn safe(budget: u64, seats: &[(u64, u64)]) -> bool {
        let held: u64 = seats.iter().map(|s| s.0).sum();
        let Some(mut free) = budget.checked_sub(held) else { return false };
        seats.iter().all(|&(holds, most)| {
            let fits = most <= holds + free;
            free += holds;
            fits
        })
    }

    /// Over random histories: a grant is offered exactly if the definition calls the state after
    /// it safe, and the reach is the shortest prefix whose end makes it so.
    #[test]
    fn grants_exactly_the_safe_growths() {
        let mut granted = 0;
        for seed in 0..200 {
            let mut rng = Jitter::new(seed);
            let budget = 100;
            let mut ledger = Ledger::new(Memory::host(budget));
            let mut plain: Vec<(Seat, u64, u64)> = Vec::new();
            let mut outright = 0;
            for _ in 0..300 {
                let pick = rng.below(plain.len().max(1) as u64) as usize;
                let rows = |plain: &[(Seat, u64, u64)]| {
                    plain.iter().map(|p| (p.1, p.2)).collect::<Vec<_>>()
                };
                match rng.below(6) {
                    0 => {
                        let most = 1 + rng.below(60);
                        if ledger.alone(Memory::host(most)) {
                            plain.push((ledger.sit(Memory::host(most)), 0, most));
                        }
                    }
                    1 if !plain.is_empty() => {
                        ledger.leave(plain.remove(pick).0);
                    }
                    2 if !plain.is_empty() => {
                        let (seat, holds, most) = &mut plain[pick];
                        *holds = rng.below(*holds + 1);
                        *most = (*holds).max(rng.below(*most + 1));
                        ledger.change(*seat, Memory::host(*holds), Memory::host(*most));
                    }
                    3 => {
                        let more = 1 + rng.below(10);
                        let mut rows = rows(&plain);
                        rows.push((0, 0));
                        let fits =
                            outright + more <= budget && safe(budget - outright - more, &rows);
                        let offered = ledger.blocker(None, Memory::host(more)).is_none()
                            && ledger.alone(Memory::host(more));
                        assert_eq!(offered, fits);
                        if fits {
                            ledger.take_outright(Memory::host(more));
                            outright += more;
                        }
                    }
                    4 => {
                        let less = rng.below(outright + 1);
                        ledger.return_outright(Memory::host(less));
                        outright -= less;
                    }
                    _ if !plain.is_empty() => {
                        let (seat, holds, most) = plain[pick];
                        let extra = rng.below(most - holds + 1);
                        let mut after = rows(&plain);
                        after[pick].0 += extra;
                        let blocker = ledger.blocker(Some(seat), Memory::host(extra));
                        assert_eq!(blocker.is_none(), safe(budget - outright, &after));
                        match blocker {
                            None => {
                                ledger.change(
                                    seat,
                                    Memory::host(holds + extra),
                                    Memory::host(most),
                                );
                                plain[pick].1 += extra;
                                granted += 1;
                            }
                            Some(reach) => {
                                let rest = |n: usize| safe(budget - outright, &after[n..]);
                                let n = (0..=pick).find(|&n| rest(n)).unwrap();
                                assert_eq!(reach, Reach::Seat(plain[n - 1].0));
                            }
                        }
                    }
                    _ => {}
                }
                assert!(safe(budget - outright, &rows(&plain)));
                assert_eq!(ledger.taken().host, outright + plain.iter().map(|p| p.1).sum::<u64>());
            }
        }
        assert!(granted > 1000, "{granted}");
    }
}
