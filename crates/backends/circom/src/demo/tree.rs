//! A sparse Merkle tree over Poseidon.

use ark_ff::Zero;

use super::poseidon::{Fr, Poseidon};

/// A binary tree of fixed depth. The first leaves are given, the others are zero.
#[derive(Clone, Debug)]
pub struct MerkleTree {
    /// The nodes of each level that are above a given leaf, from the leaves to the root.
    levels: Vec<Vec<Fr>>,
    /// For each level the root of a subtree of empty leaves.
    empty: Vec<Fr>,
}

/// One step of a path from a leaf to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The sibling node.
    pub sibling: Fr,
    /// Whether the path's node is the right one of the two.
    pub is_right: bool,
}

impl MerkleTree {
    /// Makes the tree with these leaves.
    ///
    /// # Panics
    ///
    /// If there are more than `2^depth` leaves.
    pub fn new(depth: usize, leaves: Vec<Fr>) -> Self {
        assert!(
            leaves.len().checked_next_power_of_two().is_some_and(|n| n.ilog2() as usize <= depth),
            "a tree of depth {depth} cannot hold {} leaves",
            leaves.len()
        );
        let poseidon = Poseidon::get();
        let mut empty = vec![Fr::zero()];
        let mut levels = vec![leaves];
        for level in 0..depth {
            let none = empty[level];
            let above = levels[level]
                .chunks(2)
                .map(|pair| poseidon.hash(pair[0], *pair.get(1).unwrap_or(&none)))
                .collect();
            levels.push(above);
            empty.push(poseidon.hash(none, none));
        }
        Self { levels, empty }
    }

    /// Number of levels above the leaves.
    pub fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    /// The root.
    pub fn root(&self) -> Fr {
        self.node(self.depth(), 0)
    }

    /// The path of a leaf, from the leaf to the root.
    ///
    /// # Panics
    ///
    /// If the tree has no such leaf.
    pub fn path(&self, leaf: usize) -> Vec<Step> {
        assert!(leaf >> self.depth() == 0, "a tree of depth {} has no leaf {leaf}", self.depth());
        (0..self.depth())
            .map(|level| {
                let place = leaf >> level;
                Step { sibling: self.node(level, place ^ 1), is_right: place & 1 == 1 }
            })
            .collect()
    }

    fn node(&self, level: usize, place: usize) -> Fr {
        *self.levels[level].get(place).unwrap_or(&self.empty[level])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u64) -> Vec<Fr> {
        (1..=count).map(Fr::from).collect()
    }

    #[test]
    fn a_sparse_tree_is_the_full_tree_with_zeros() {
        for count in [0, 1, 2, 3, 5, 8] {
            let sparse = MerkleTree::new(3, leaves(count));
            let mut full = leaves(count);
            full.resize(8, Fr::zero());
            assert_eq!(sparse.root(), MerkleTree::new(3, full).root(), "{count}");
        }
    }

    #[test]
    fn every_path_leads_from_its_leaf_to_the_root() {
        let tree = MerkleTree::new(4, leaves(11));
        for index in 0..16 {
            let leaf = leaves(11).get(index).copied().unwrap_or_default();
            let top = tree.path(index).iter().fold(leaf, |node, step| match step.is_right {
                true => Poseidon::get().hash(step.sibling, node),
                false => Poseidon::get().hash(node, step.sibling),
            });
            assert_eq!(top, tree.root(), "{index}");
        }
    }

    #[test]
    #[should_panic(expected = "cannot hold 5 leaves")]
    fn more_leaves_than_fit_are_refused() {
        MerkleTree::new(2, leaves(5));
    }
}
