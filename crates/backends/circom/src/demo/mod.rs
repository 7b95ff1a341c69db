//! The built-in example circuit: a member of a Merkle tree signals a message, once per scope, without
//! revealing which member it is.
//!
//! `circuits/merkle.circom` is the source, [`R1CS`] the constraints that circom compiles from it. The
//! witness is computed here, in Rust: circom's wasm contains parts of the compiler, which is under the
//! GPL, so it is not distributed. The constraints derive from our own source, so they are.

mod poseidon;
mod solve;
mod tree;

use ark_ff::PrimeField;
use athanor_groth16::{R1cs, formats::r1cs::R1csFile};
use athanor_kernels::{Bn254, Scalars};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use poseidon::{Fr, Poseidon};
pub use solve::{SolveError, check, solve};
pub use tree::{MerkleTree, Step};

/// Depth of the circuit's tree, which has 2^20 leaves.
pub const DEPTH: usize = 20;

/// Number of public signals: the root, the nullifier, the message, the scope.
pub const PUBLIC: usize = 4;

/// The circuit's constraints, as a `.r1cs` file.
pub const R1CS: &[u8] = include_bytes!("../../../../../circuits/merkle.r1cs");

/// The circuit's constraints, parsed.
pub fn constraints() -> R1cs<Fr> {
    let file = R1csFile::open(std::io::Cursor::new(R1CS));
    file.and_then(|mut file| file.constraints::<Bn254>()).expect("the built-in file is valid")
}

/// The secrets of a member.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Member {
    /// Secret from which nullifiers are derived.
    pub identity: Fr,
    /// Random value that hides the leaf from anyone who knows the member's nullifier secret.
    pub trapdoor: Fr,
}

impl Member {
    /// A member with random secrets.
    pub fn random() -> Self {
        Self { identity: random(), trapdoor: random() }
    }

    /// The member's leaf in the tree.
    pub fn leaf(&self) -> Fr {
        Poseidon::get().hash(self.identity, self.trapdoor)
    }

    /// The nullifier: equal for all signals of the member in one scope.
    pub fn nullifier(&self, scope: Fr) -> Fr {
        Poseidon::get().hash(scope, self.identity)
    }
}

/// A uniform element: 512 bits, reduced.
fn random() -> Fr {
    let mut bytes = Zeroizing::new([0; 64]);
    rand::fill(bytes.as_mut_slice());
    Fr::from_le_bytes_mod_order(bytes.as_slice())
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Member(hidden)")
    }
}

/// The statement and the private inputs of one proof.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Root of the tree.
    pub root: Fr,
    /// The message.
    pub message: Fr,
    /// The scope, in which each member may signal once.
    pub scope: Fr,
    /// The member that signals.
    pub member: Member,
    /// The path from the member's leaf to the root: [`DEPTH`] steps.
    pub path: Vec<Step>,
}

impl Signal {
    /// A random signal by one of `members` random members, which are all members of the tree.
    ///
    /// # Panics
    ///
    /// If `members` is zero or more than the number of leaves.
    pub fn example(members: usize) -> Self {
        let mut leaves: Vec<Fr> = (1..members).map(|_| random()).collect();
        let member = Member::random();
        let place = rand::random_range(0..members);
        leaves.insert(place, member.leaf());
        let tree = MerkleTree::new(DEPTH, leaves);
        let (message, scope) = (random(), random());
        Self { root: tree.root(), message, scope, member, path: tree.path(place) }
    }

    /// The public signals in the order of the proof.
    pub fn public(&self) -> [Fr; PUBLIC] {
        [self.root, self.member.nullifier(self.scope), self.message, self.scope]
    }

    /// The witness. `r1cs`: the constraints of [`R1CS`].
    pub fn witness(&self, r1cs: &R1cs<Fr>) -> Result<Scalars, SolveError> {
        let siblings = self.path.iter().map(|step| step.sibling);
        let sides = self.path.iter().map(|step| Fr::from(step.is_right));
        let private = [self.member.identity, self.member.trapdoor];
        // Wires are in the circuit's order of signals: outputs, inputs, the rest.
        let given = self.public().into_iter().chain(private).chain(siblings).chain(sides);
        let values = solve(r1cs, (1..).zip(given))?;
        Ok(Scalars::new(values.iter().map(|value| value.into_bigint().0).collect()))
    }
}
