//! The state root: a Merkle tree over all entries, updated with the changes of each block.
//!
//! The path of an entry is the keyed BLAKE3 digest of its name, so chosen keys cannot make the tree
//! deep. The first six bits of a path select one of 64 partitions. A partition is a binary tree in
//! which a subtree with a single entry is that entry's leaf (the shape of Diem's Jellyfish Merkle
//! tree). The root therefore depends only on the entries and not on the order of the changes, and
//! partitions are updated in parallel.

use std::fmt;
use std::sync::Mutex;

use super::arena::{Arena, Slot};
use super::prefetch::prefetch;
use crate::block::{Change, Space};
use crate::pool::Pool;
use crate::sync::{AtomicU32, Ordering};
use crate::value::{Key, Value};

/// Number of independent subtrees.
pub const PARTITIONS: usize = 64;
const PARTITION_BITS: usize = PARTITIONS.ilog2() as usize;

const PATH_DOMAIN: &[u8; 32] = b"athanor fastpath root: place   1";
const LEAF_DOMAIN: &[u8; 32] = b"athanor fastpath root: entry   1";
const NODE_DOMAIN: &[u8; 32] = b"athanor fastpath root: branch  1";
const TOP_DOMAIN: &[u8; 32] = b"athanor fastpath root: state   1";

/// Number of changed entries below which one thread is faster than waking others.
const WORTH_WAKING: usize = 512;
/// Distance in entries of the prefetch of names and values before the hashing.
const AHEAD: usize = 8;

/// A digest of a state, or of one partition of it. Zero if there are no entries.
#[derive(Copy, Clone, PartialEq, Eq, Default, Hash)]
pub struct Root(pub [u8; 32]);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

type Digest = [u8; 32];

/// The path of an entry in the tree.
#[must_use]
pub fn path(space: Space, key: &Key) -> [u8; 32] {
    let mut name = [0; 33];
    name[0] = space as u8;
    name[1..].copy_from_slice(&key.0);
    *blake3::keyed_hash(PATH_DOMAIN, &name).as_bytes()
}

/// Index of the partition that contains the path.
#[must_use]
pub fn partition(path: &[u8; 32]) -> usize {
    usize::from(path[0]) >> (8 - PARTITION_BITS)
}

fn leaf(path: &Digest, value: &Value) -> Digest {
    value.with_bytes(|bytes| {
        const SHORT: usize = 32 + crate::value::INLINE_BYTES;
        if bytes.len() <= crate::value::INLINE_BYTES {
            let mut buffer = [0; SHORT];
            buffer[..32].copy_from_slice(path);
            buffer[32..32 + bytes.len()].copy_from_slice(bytes);
            return *blake3::keyed_hash(LEAF_DOMAIN, &buffer[..32 + bytes.len()]).as_bytes();
        }
        let mut hasher = blake3::Hasher::new_keyed(LEAF_DOMAIN);
        hasher.update(path).update(bytes);
        *hasher.finalize().as_bytes()
    })
}

fn branch(left: &Digest, right: &Digest) -> Digest {
    let mut buffer = [0; 64];
    buffer[..32].copy_from_slice(left);
    buffer[32..].copy_from_slice(right);
    *blake3::keyed_hash(NODE_DOMAIN, &buffer).as_bytes()
}

/// The changes that one worker processes: updates by partition, and the changes.
type Part = (Vec<Vec<Update>>, Vec<Change>);

/// The path of an entry and its new digest; `None` if the entry was deleted.
type Update = (Digest, Option<Digest>);

/// The tree, as one subtree per partition.
pub(crate) struct Tree {
    partitions: Vec<Mutex<Partition>>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { partitions: (0..PARTITIONS).map(|_| Mutex::default()).collect() }
    }
}

impl Tree {
    /// Updates the tree with the entries in `dirty` and returns these entries. An entry must occur
    /// once in all lists of `dirty`. `hash` is `false` if roots are off; the tree is then not
    /// changed.
    pub(crate) fn update(
        &self,
        arena: &Arena,
        dirty: &[Vec<Slot>],
        hash: bool,
        pool: &Pool,
        threads: usize,
    ) -> Vec<Change> {
        let total: usize = dirty.iter().map(Vec::len).sum();
        let threads = if total < WORTH_WAKING { 1 } else { threads };
        let parts: Vec<Mutex<Part>> = (0..threads).map(|_| Mutex::default()).collect();
        let per = total.div_ceil(threads.max(1)).max(1);
        pool.run(threads, &|worker| {
            let mut updates = vec![Vec::new(); if hash { PARTITIONS } else { 0 }];
            // The first worker's list receives all others at the end.
            let mut changes = Vec::with_capacity(if worker == 0 { total } else { per });
            let mine = || dirty.iter().flatten().skip(per * worker).take(per);
            let mut soon = mine().skip(AHEAD);
            for &slot in mine() {
                if let Some(&slot) = soon.next() {
                    arena.touch_named(slot);
                }
                let name = arena.name(slot);
                let value = arena.load(slot).0;
                if hash {
                    let digest = value.as_ref().map(|value| leaf(&name.path, value));
                    updates[partition(&name.path)].push((name.path, digest));
                }
                changes.push(Change { space: arena.space(slot), key: name.key, value });
            }
            *crate::sync_lock(&parts[worker]) = (updates, changes);
        });
        let (updates, changes): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .map(|part| part.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
            .unzip();
        if hash {
            self.apply_parts(&updates, pool, threads);
        }
        let mut all = Vec::new();
        for mut part in changes {
            if all.is_empty() {
                all = part;
            } else {
                all.append(&mut part);
            }
        }
        all
    }

    /// Applies updates that are sorted by worker and partition.
    fn apply_parts(&self, updates: &[Vec<Vec<Update>>], pool: &Pool, threads: usize) {
        let next = AtomicU32::new(0);
        pool.run(threads, &|_| {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed) as usize;
                if index >= PARTITIONS {
                    return;
                }
                let mut mine: Vec<Update> =
                    updates.iter().flat_map(|updates| updates[index].iter().copied()).collect();
                if !mine.is_empty() {
                    mine.sort_unstable_by_key(|(path, _)| order(path));
                    crate::sync_lock(&self.partitions[index]).apply(&mine);
                }
            }
        });
    }

    /// Sets the entries at their paths. Each path must occur at most once.
    pub(crate) fn apply(&self, entries: impl Iterator<Item = ([u8; 32], Value)>, pool: &Pool) {
        let mut updates = vec![Vec::new(); PARTITIONS];
        for (path, value) in entries {
            updates[partition(&path)].push((path, Some(leaf(&path, &value))));
        }
        self.apply_parts(&[updates], pool, 1);
    }

    /// The roots of the partitions.
    pub(crate) fn roots(&self) -> Vec<Root> {
        self.partitions.iter().map(|partition| Root(crate::sync_lock(partition).digest())).collect()
    }

    /// The root of the whole state.
    pub(crate) fn root(&self) -> Root {
        combine(&self.roots())
    }

    /// Adds or replaces one entry.
    pub(crate) fn insert(&mut self, path: [u8; 32], value: &Value) {
        let mut part = crate::sync_lock(&self.partitions[partition(&path)]);
        part.apply(&[(path, Some(leaf(&path, value)))]);
    }
}

/// The root of a state, from the roots of all its partitions in order. Zero if all of them are
/// zero.
#[must_use]
pub fn combine(partitions: &[Root]) -> Root {
    if partitions.iter().all(|root| *root == Root::default()) {
        return Root::default();
    }
    let mut buffer = Vec::with_capacity(PARTITIONS * 32);
    partitions.iter().for_each(|root| buffer.extend_from_slice(&root.0));
    Root(*blake3::keyed_hash(TOP_DOMAIN, &buffer).as_bytes())
}

/// A path as numbers whose order is that of its bytes.
#[inline]
fn order(path: &Digest) -> [u64; 4] {
    let word = |i: usize| u64::from_be_bytes(path[8 * i..8 * i + 8].try_into().expect("8 bytes"));
    [word(0), word(1), word(2), word(3)]
}

const NONE: u32 = u32::MAX;

#[derive(Copy, Clone, Debug)]
enum Node {
    Leaf { path: Digest, digest: Digest },
    Branch { left: u32, right: u32, digest: Digest },
}

/// One subtree. The alignment prevents false sharing: threads update adjacent partitions in
/// parallel.
#[repr(align(128))]
struct Partition {
    nodes: Vec<Node>,
    free: Vec<u32>,
    root: u32,
}

impl Default for Partition {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NONE }
    }
}

impl Partition {
    fn digest(&self) -> Digest {
        self.digest_of(self.root)
    }

    fn digest_of(&self, node: u32) -> Digest {
        match self.nodes.get(node as usize) {
            None => [0; 32],
            Some(Node::Leaf { digest, .. } | Node::Branch { digest, .. }) => *digest,
        }
    }

    /// Applies `updates`, which must be sorted by path, with each path once.
    fn apply(&mut self, updates: &[Update]) {
        self.root = self.update(self.root, updates, PARTITION_BITS);
    }

    fn put(&mut self, node: Node) -> u32 {
        match self.free.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        }
    }

    fn update(&mut self, node: u32, updates: &[Update], depth: usize) -> u32 {
        if updates.is_empty() {
            return node;
        }
        if node == NONE {
            return self.build(updates, depth);
        }
        match self.nodes[node as usize] {
            Node::Leaf { path, digest } => {
                if let [(place, Some(digest))] = updates
                    && *place == path
                {
                    self.nodes[node as usize] = Node::Leaf { path, digest: *digest };
                    return node;
                }
                self.free.push(node);
                let mut all = updates.to_vec();
                if let Err(at) = all.binary_search_by_key(&path, |update| update.0) {
                    all.insert(at, (path, Some(digest)));
                }
                self.build(&all, depth)
            }
            Node::Branch { left, right, .. } => {
                for child in [left, right] {
                    self.nodes.get(child as usize).inspect(|child| prefetch(*child));
                }
                let middle = updates.partition_point(|update| !bit(&update.0, depth));
                let left = self.update(left, &updates[..middle], depth + 1);
                let right = self.update(right, &updates[middle..], depth + 1);
                self.join(left, right, Some(node))
            }
        }
    }

    fn build(&mut self, updates: &[Update], depth: usize) -> u32 {
        let mut there = updates.iter().filter_map(|(path, digest)| Some((*path, (*digest)?)));
        let Some((path, digest)) = there.next() else { return NONE };
        if there.next().is_none() {
            return self.put(Node::Leaf { path, digest });
        }
        let middle = updates.partition_point(|update| !bit(&update.0, depth));
        let left = self.build(&updates[..middle], depth + 1);
        let right = self.build(&updates[middle..], depth + 1);
        self.join(left, right, None)
    }

    /// The node above two subtrees; `before` is the branch that it replaces, if any.
    fn join(&mut self, left: u32, right: u32, before: Option<u32>) -> u32 {
        let is_leaf = |node: u32| matches!(self.nodes.get(node as usize), Some(Node::Leaf { .. }));
        let only = match (left, right) {
            (NONE, NONE) => NONE,
            (NONE, only) | (only, NONE) if is_leaf(only) => only,
            _ => {
                let digest = branch(&self.digest_of(left), &self.digest_of(right));
                let node = Node::Branch { left, right, digest };
                let Some(before) = before else { return self.put(node) };
                self.nodes[before as usize] = node;
                return before;
            }
        };
        self.free.extend(before);
        only
    }
}

#[inline]
fn bit(path: &Digest, depth: usize) -> bool {
    path[depth / 8] >> (7 - depth % 8) & 1 == 1
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The digest of the same tree, computed from its definition over all entries.
    fn from_scratch(entries: &[(Digest, Digest)], depth: usize) -> Digest {
        match entries {
            [] => [0; 32],
            [(_, digest)] => *digest,
            _ => {
                let middle = entries.partition_point(|(path, _)| !bit(path, depth));
                let left = from_scratch(&entries[..middle], depth + 1);
                branch(&left, &from_scratch(&entries[middle..], depth + 1))
            }
        }
    }

    #[test]
    fn updates_in_any_batches_give_the_tree_of_the_contents() {
        let mut partition = Partition::default();
        let mut truth = BTreeMap::new();
        let mut seed = 1_u64;
        let mut random = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        for round in 0..300 {
            let mut batch = BTreeMap::new();
            for _ in 0..1 + random() % 40 {
                // A small number of distinct paths, so that entries are replaced and removed often.
                let mut place = path(Space::Plain, &Key::from_u64(random() % 200));
                place[0] = 0;
                let digest = (random() % 3 > 0).then(|| leaf(&place, &Value::from_u64(round)));
                batch.insert(place, digest);
            }
            partition.apply(&batch.iter().map(|(p, d)| (*p, *d)).collect::<Vec<_>>());
            for (place, digest) in batch {
                match digest {
                    Some(digest) => truth.insert(place, digest),
                    None => truth.remove(&place),
                };
            }
            let entries: Vec<_> = truth.iter().map(|(p, d)| (*p, *d)).collect();
            assert_eq!(partition.digest(), from_scratch(&entries, PARTITION_BITS));
        }
        let gone: Vec<Update> = truth.keys().map(|place| (*place, None)).collect();
        partition.apply(&gone);
        assert_eq!(partition.digest(), [0; 32]);
        assert_eq!(partition.free.len(), partition.nodes.len(), "every node is free again");
    }

    #[test]
    fn a_value_a_name_and_a_space_each_move_the_root() {
        let place = path(Space::Plain, &Key::from_u64(1));
        assert_ne!(place, path(Space::Plain, &Key::from_u64(2)));
        assert_ne!(place, path(Space::ObjectData, &Key::from_u64(1)));
        assert_ne!(leaf(&place, &Value::from_u64(1)), leaf(&place, &Value::from_u64(2)));
        assert_ne!(
            leaf(&place, &Value::from_bytes(&[0; 8])),
            leaf(&place, &Value::from_bytes(&[0; 9]))
        );
    }
}
