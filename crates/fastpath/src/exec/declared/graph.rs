//! The dependency graph of a stretch whose access sets are promised.
//!
//! A write depends on the readers of its entry since the previous write, or, if there are none, on
//! that write. A read depends only on the previous write, so the readers between two writes run in
//! parallel. A path connects every pair of transactions whose order matters. The graph has at most
//! two edges per access.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::Transaction;
use crate::exec::{Env, Order};
use crate::object::Kind;
use crate::pool::Pool;
use crate::state::arena::Slot;
use crate::sync::{AtomicU32, Ordering};
use crate::transaction::Access;

/// Placeholder for a missing position or reader.
const NONE: u32 = u32::MAX;

/// The dependency graph. Its buffers are reused for every stretch.
#[derive(Default)]
pub(crate) struct Graph {
    accesses: Accesses,
    uses: Uses,
    /// Pairs `(a, b)` of positions: `b` depends on `a`.
    edges: Vec<(u32, u32)>,
    /// Index of each position's first successor in `successors`; one more element at the end.
    begins: Vec<u32>,
    successors: Vec<u32>,
    /// For each position, the number of edges into it from positions that are not done.
    waiting: Vec<AtomicU32>,
    /// Positions without a dependency, in ascending order.
    roots: Vec<u32>,
}

/// The promised accesses of the positions of a stretch.
#[derive(Default)]
struct Accesses {
    slots: Vec<Slot>,
    /// For each slot, whether the access may write it.
    exclusive: Vec<bool>,
    /// Index of each position's first slot; one more element at the end.
    begins: Vec<u32>,
}

/// The latest uses of each entry in a stretch, by slot.
#[derive(Default)]
struct Uses {
    dense: Vec<Use>,
    /// Uses of entries outside `dense`: entries that were created during the lookup.
    others: HashMap<Slot, Use, ahash::RandomState>,
    stretch: u32,
    /// List nodes of readers: the position, and the index of the previous reader since the same
    /// write.
    readers: Vec<(u32, u32)>,
}

#[derive(Copy, Clone)]
struct Use {
    /// The stretch that the other fields belong to.
    stretch: u32,
    /// Position of the last write.
    writer: u32,
    /// Index in [`Uses::readers`] of the last reader since that write.
    reader: u32,
    /// Position of the last access.
    last: u32,
}

impl Default for Use {
    fn default() -> Self {
        Self { stretch: 0, writer: NONE, reader: NONE, last: NONE }
    }
}

impl Graph {
    /// Builds the graph of the first `count` places of a stretch.
    pub(super) fn draw<T: Transaction>(
        &mut self,
        env: &Env<'_, T>,
        order: Order<'_>,
        count: u32,
        threads: usize,
        pool: &Pool,
    ) {
        self.accesses.find(env, order, count, threads, pool);
        self.uses.begin(env.arena.len());
        self.join(count);
        self.turn(count);
    }

    /// The promised slots of a position, with repetitions.
    pub(super) fn slots(&self, position: u32) -> &[Slot] {
        &self.accesses.slots[range(&self.accesses.begins, position)]
    }

    /// Positions without a dependency, in ascending order.
    pub(super) fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// The positions that depend on `position`, in ascending order, one per edge.
    pub(super) fn successors(&self, position: u32) -> &[u32] {
        &self.successors[range(&self.begins, position)]
    }

    /// Records that one dependency of `position` is done, and returns whether it was the last one.
    /// A caller that gets `true` sees the writes of all dependencies.
    pub(super) fn is_last_for(&self, position: u32) -> bool {
        let waiting = &self.waiting[position as usize];
        // If one edge is left, it is the caller's edge, and no other thread changes the count.
        waiting.load(Ordering::Acquire) == 1 || waiting.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Collects the edges, ordered by their second position.
    fn join(&mut self, count: u32) {
        let Self { accesses, uses, edges, .. } = self;
        edges.clear();
        for position in 0..count {
            for at in range(&accesses.begins, position) {
                let (entry, readers) = uses.of(accesses.slots[at]);
                if entry.last == position {
                    // Named twice. The writing access came first.
                    continue;
                }
                entry.last = position;
                if !accesses.exclusive[at] {
                    if entry.writer != NONE {
                        edges.push((entry.writer, position));
                    }
                    readers.push((position, entry.reader));
                    entry.reader = readers.len() as u32 - 1;
                    continue;
                }
                if entry.reader == NONE && entry.writer != NONE {
                    edges.push((entry.writer, position));
                }
                while entry.reader != NONE {
                    let (reader, earlier) = readers[entry.reader as usize];
                    edges.push((reader, position));
                    entry.reader = earlier;
                }
                entry.writer = position;
            }
        }
    }

    /// Converts the edges to lists of successors by the first position, and finds the roots.
    fn turn(&mut self, count: u32) {
        let Self { edges, begins, successors, waiting, roots, .. } = self;
        let mut needs = vec![0; count as usize];
        begins.clear();
        begins.resize(count as usize + 1, 0);
        for &(before, after) in &*edges {
            begins[before as usize] += 1;
            needs[after as usize] += 1;
        }
        let mut end = 0;
        for begin in &mut *begins {
            end += *begin;
            *begin = end;
        }
        successors.clear();
        successors.resize(edges.len(), 0);
        for &(before, after) in edges.iter().rev() {
            begins[before as usize] -= 1;
            successors[begins[before as usize] as usize] = after;
        }
        roots.clear();
        roots.extend((0..count).filter(|&position| needs[position as usize] == 0));
        waiting.clear();
        waiting.extend(needs.into_iter().map(AtomicU32::new));
    }
}

impl Accesses {
    /// Looks up every promised name, on all threads.
    fn find<T: Transaction>(
        &mut self,
        env: &Env<'_, T>,
        order: Order<'_>,
        count: u32,
        threads: usize,
        pool: &Pool,
    ) {
        let parts: Vec<Mutex<Self>> = (0..threads).map(|_| Mutex::default()).collect();
        pool.run(threads, &|worker| {
            let per = count.div_ceil(threads as u32);
            let start = per * worker as u32;
            let mut part = Self::default();
            for position in start..(start + per).min(count) {
                part.add(env, &env.transactions[order.at(position) as usize]);
            }
            *crate::sync_lock(&parts[worker]) = part;
        });
        self.slots.clear();
        self.exclusive.clear();
        self.begins.clear();
        self.begins.push(0);
        for part in parts {
            let part = part.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            let before = self.slots.len() as u32;
            self.slots.extend(part.slots);
            self.exclusive.extend(part.exclusive);
            self.begins.extend(part.begins.into_iter().map(|end| before + end));
        }
    }

    /// Appends the promised accesses of the next position, and the end of its slots.
    fn add<T: Transaction>(&mut self, env: &Env<'_, T>, transaction: &T) {
        for object in transaction.objects() {
            let slot = env.arena.object(&object.id, env.behind);
            self.slots.push(slot);
            self.exclusive.push(!is_immutable(env, slot));
        }
        if let Access::Keys { reads, writes, .. } = transaction.access() {
            let named = writes.iter().chain(reads);
            self.slots.extend(named.map(|key| env.arena.plain(key, env.behind)));
            self.exclusive.extend(writes.iter().map(|_| true));
            self.exclusive.extend(reads.iter().map(|_| false));
        }
        self.begins.push(self.slots.len() as u32);
    }
}

impl Uses {
    /// Begins a stretch over `entries` resident entries.
    fn begin(&mut self, entries: usize) {
        self.stretch = self.stretch.wrapping_add(1);
        if self.stretch == 0 {
            self.dense.clear();
            self.stretch = 1;
        }
        self.dense.resize(entries.max(self.dense.len()), Use::default());
        self.others.clear();
        self.readers.clear();
    }

    /// The use of an entry, and the reader nodes of all entries.
    fn of(&mut self, slot: Slot) -> (&mut Use, &mut Vec<(u32, u32)>) {
        let entry = match self.dense.get_mut(slot as usize) {
            Some(entry) => entry,
            None => self.others.entry(slot).or_default(),
        };
        if entry.stretch != self.stretch {
            *entry = Use { stretch: self.stretch, ..Use::default() };
        }
        (entry, &mut self.readers)
    }
}

fn is_immutable<T>(env: &Env<'_, T>, slot: Slot) -> bool {
    let header = env.arena.header(slot);
    header.is_some_and(|header| header.kind == Kind::Immutable)
}

fn range(begins: &[u32], position: u32) -> std::ops::Range<usize> {
    begins[position as usize] as usize..begins[position as usize + 1] as usize
}

#[cfg(all(test, not(loom)))]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Random promises over six entries. The writes of a position come first.
    fn promises(rng: &mut StdRng, count: usize) -> Vec<Vec<(Slot, bool)>> {
        let promise = |rng: &mut StdRng| {
            let mut slots: Vec<(Slot, bool)> = (0..rng.random_range(0..4))
                .map(|_| (rng.random_range(0..6), rng.random_bool(0.5)))
                .collect();
            slots.sort_by_key(|&(_, writes)| !writes);
            slots
        };
        (0..count).map(|_| promise(rng)).collect()
    }

    fn graph(promises: &[Vec<(Slot, bool)>], dense: usize) -> Graph {
        let mut graph = Graph::default();
        graph.accesses.begins.push(0);
        for &(slot, writes) in promises.iter().flatten() {
            graph.accesses.slots.push(slot);
            graph.accesses.exclusive.push(writes);
        }
        let mut end = 0;
        graph.accesses.begins.extend(promises.iter().map(|promise| {
            end += promise.len() as u32;
            end
        }));
        graph.uses.begin(dense);
        graph.join(promises.len() as u32);
        graph.turn(promises.len() as u32);
        graph
    }

    #[test]
    fn paths_join_exactly_the_pairs_that_the_order_matters_to_and_what_they_imply() {
        let mut rng = StdRng::seed_from_u64(7);
        for _ in 0..300 {
            let promises = promises(&mut rng, 20);
            let graph = graph(&promises, rng.random_range(0..7));
            let meets = |i: usize, j: usize| {
                promises[i].iter().any(|&(slot, writes)| {
                    promises[j].iter().any(|&(other, too)| slot == other && (writes || too))
                })
            };
            // Bit i of an element: a path leads from position i to this position.
            let (mut found, mut expected) = ([0_u32; 20], [0_u32; 20]);
            for i in 0..20 {
                let before = |of: &[u32; 20], j: usize| of[j] | 1 << j;
                for j in (0..i).filter(|&j| meets(j, i)) {
                    expected[i] |= before(&expected, j);
                }
                for &after in graph.successors(i as u32) {
                    assert!(after as usize > i && meets(i, after as usize));
                    found[after as usize] |= before(&found, i);
                }
            }
            assert_eq!(found, expected, "{promises:?}");
        }
    }

    #[test]
    fn each_position_is_ready_once_and_a_long_run_of_readers_takes_two_edges_each() {
        let mut promises = vec![vec![(0, true)]];
        promises.extend((0..1000).map(|_| vec![(0, false), (0, false)]));
        promises.push(vec![(0, true)]);
        let graph = graph(&promises, 1);
        assert_eq!((graph.roots(), graph.successors.len()), ([0].as_slice(), 2000));
        assert!(graph.successors(0).iter().all(|&reader| graph.is_last_for(reader)));
        let ready = (1..=1000).filter(|&reader| graph.is_last_for(graph.successors(reader)[0]));
        assert_eq!(ready.collect::<Vec<u32>>(), [1000]);
    }
}
