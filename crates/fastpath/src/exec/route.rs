//! The routing of transactions: to the shards of the fast path, or to the ordered modes.
//!
//! The scan runs on all threads, each over its own part of the block. A transaction over owned
//! objects whose names belong to one shard is put into that shard's mailbox directly. Two cases
//! require grouping, on one thread: a transaction whose objects belong to several shards, and an
//! ordered transaction that uses objects. Grouping joins the mutable objects that a transaction
//! uses together into one group. A group with an ordered transaction is ordered as a whole; every
//! other group is assigned to one shard.

use std::collections::HashMap;
use std::sync::Mutex;

use super::ahead::Ahead;
use super::shards::{Letter, Outbox};
use super::{Env, Order};
use crate::Transaction;
use crate::object::Kind;
use crate::pool::Pool;
use crate::receipt::Failure;
use crate::state::arena::Slot;
use crate::transaction::{Access, Declaration};

/// Transactions that must not run, with the reason.
#[derive(Debug, Default)]
pub(crate) struct Refusals(HashMap<u32, Failure, ahash::RandomState>);

impl Refusals {
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&Failure> {
        if self.0.is_empty() { None } else { self.0.get(&index) }
    }

    pub(crate) fn insert(&mut self, index: u32, failure: Failure) {
        self.0.insert(index, failure);
    }
}

/// The result of the scan.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// The mailboxes of each scanned part, in block order, by shard.
    pub(crate) outboxes: Vec<Outbox>,
    pub(crate) fast: usize,
    /// Indices of the ordered transactions, in block order.
    pub(crate) ordered: Vec<u32>,
    /// Number of ordered transactions that promise their access sets.
    pub(crate) declared: usize,
}

#[derive(Default)]
struct Part {
    outbox: Outbox,
    fast: usize,
    ordered: Vec<u32>,
    declared: usize,
    regroup: bool,
}

/// Routes a stretch of `count` places.
pub(crate) fn scan<T: Transaction>(
    env: &Env<'_, T>,
    order: Order<'_>,
    count: u32,
    shards: usize,
    threads: usize,
    pool: &Pool,
) -> Routes {
    let parts: Vec<Mutex<Part>> = (0..threads).map(|_| Mutex::default()).collect();
    pool.run(threads, &|worker| {
        let per = count.div_ceil(threads as u32);
        let first = per * worker as u32;
        let part = scan_part(env, order, first..(first + per).min(count), shards);
        *crate::sync_lock(&parts[worker]) = part;
    });
    let mut routes = Routes::default();
    let mut regroup = false;
    for part in parts {
        let part = part.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        routes.fast += part.fast;
        routes.declared += part.declared;
        regroup |= part.regroup;
        routes.outboxes.push(part.outbox);
        if routes.ordered.is_empty() {
            routes.ordered = part.ordered;
        } else {
            routes.ordered.extend(part.ordered);
        }
    }
    if regroup && routes.fast > 0 { group(env, order, count, shards) } else { routes }
}

fn scan_part<T: Transaction>(
    env: &Env<'_, T>,
    order: Order<'_>,
    range: std::ops::Range<u32>,
    shards: usize,
) -> Part {
    let mut part = Part { outbox: vec![Vec::new(); shards], ..Part::default() };
    let mut ahead = Ahead::new(env, order, range.clone(), 0);
    for position in range {
        let slots = ahead.slots(position);
        let index = order.at(position);
        let transaction = &env.transactions[index as usize];
        match owned(env, transaction, slots) {
            Some(letter_slot) => {
                let mut objects = transaction.objects().iter();
                let first = objects.next().expect("an owned transaction has objects");
                let shard = shard_of(env, &first.id, shards);
                part.regroup |= objects.any(|other| shard_of(env, &other.id, shards) != shard);
                part.fast += 1;
                part.outbox[shard].push(Letter { index, slot: letter_slot });
            }
            None => {
                part.regroup |= !transaction.objects().is_empty();
                part.declared += usize::from(is_declared(transaction));
                part.ordered.push(index);
            }
        }
    }
    part
}

/// Whether the transaction promises its access set.
pub(crate) fn is_declared<T: Transaction>(transaction: &T) -> bool {
    match transaction.access() {
        Access::Unknown | Access::Keys { kind: Declaration::Guess, .. } => false,
        Access::Objects | Access::Keys { .. } => true,
    }
}

fn shard_of<T>(env: &Env<'_, T>, id: &crate::ObjectId, shards: usize) -> usize {
    (env.arena.spread(id) >> 32) as usize % shards
}

/// The slot of the first object, if the transaction uses at least one object, only owned and
/// immutable ones, no keys, and no proof. `slots` begins with the slots of its objects.
fn owned<T: Transaction>(env: &Env<'_, T>, transaction: &T, slots: &[Slot]) -> Option<Slot> {
    let fits = matches!(transaction.access(), Access::Objects) && transaction.private().is_none();
    let slots = slots.get(..transaction.objects().len()).filter(|_| fits)?;
    let apart =
        |&slot: &Slot| env.arena.header(slot).is_some_and(|header| header.kind != Kind::Shared);
    slots.iter().all(apart).then(|| slots.first().copied())?
}

/// Routes by groups of objects, on one thread.
fn group<T: Transaction>(env: &Env<'_, T>, order: Order<'_>, count: u32, shards: usize) -> Routes {
    let mut groups = Groups::default();
    let mut slots = Vec::new();
    for position in 0..count {
        let transaction = &env.transactions[order.at(position) as usize];
        find_objects(env, transaction, &mut slots);
        let is_ordered = owned(env, transaction, &slots).is_none();
        let mut together = None;
        for &slot in &slots {
            let header = env.arena.header(slot);
            // Immutable objects impose no order.
            if header.is_some_and(|header| header.kind == Kind::Immutable) {
                continue;
            }
            let member = groups.of(slot);
            if is_ordered {
                groups.order(member);
            }
            match together {
                None => together = Some(member),
                Some(first) => groups.join(first, member),
            }
        }
    }
    let mut routes = Routes { outboxes: vec![vec![Vec::new(); shards]], ..Routes::default() };
    for position in 0..count {
        let index = order.at(position);
        let transaction = &env.transactions[index as usize];
        find_objects(env, transaction, &mut slots);
        let shard = owned(env, transaction, &slots).and_then(|slot| {
            // A transaction that uses only immutable objects can be assigned to any shard.
            match slots.iter().find_map(|&slot| groups.known(slot)) {
                Some((_, true)) => None,
                Some((group, false)) => Some((slot, group as usize % shards)),
                None => Some((slot, index as usize % shards)),
            }
        });
        match shard {
            Some((slot, shard)) => {
                routes.fast += 1;
                routes.outboxes[0][shard].push(Letter { index, slot });
            }
            None => {
                routes.declared += usize::from(is_declared(transaction));
                routes.ordered.push(index);
            }
        }
    }
    routes
}

fn find_objects<T: Transaction>(env: &Env<'_, T>, transaction: &T, slots: &mut Vec<Slot>) {
    slots.clear();
    let objects = transaction.objects().iter();
    slots.extend(objects.map(|object| env.arena.object(&object.id, env.behind)));
}

/// Groups of objects that are used together: a union-find structure.
#[derive(Default)]
struct Groups {
    members: HashMap<Slot, u32, ahash::RandomState>,
    parent: Vec<u32>,
    ordered: Vec<bool>,
}

impl Groups {
    fn of(&mut self, slot: Slot) -> u32 {
        let next = self.parent.len() as u32;
        let member = *self.members.entry(slot).or_insert(next);
        if member == next {
            self.parent.push(next);
            self.ordered.push(false);
        }
        self.root(member)
    }

    fn known(&mut self, slot: Slot) -> Option<(u32, bool)> {
        let member = *self.members.get(&slot)?;
        let root = self.root(member);
        Some((root, self.ordered[root as usize]))
    }

    fn root(&mut self, mut member: u32) -> u32 {
        while self.parent[member as usize] != member {
            let above = self.parent[self.parent[member as usize] as usize];
            self.parent[member as usize] = above;
            member = above;
        }
        member
    }

    fn order(&mut self, member: u32) {
        let root = self.root(member);
        self.ordered[root as usize] = true;
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        let ordered = self.ordered[a as usize] || self.ordered[b as usize];
        self.parent[b as usize] = a;
        self.ordered[a as usize] = ordered;
    }
}
