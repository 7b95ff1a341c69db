//! What a circuit of the stock stack is turned into: constraints once, a witness for each partition.
//!
//! The stock prover does both at once, for each partition again. But the constraints of a circuit do
//! not depend on what is proven, so they are recorded once, from the blank circuit, and evaluated by
//! the kernels; of a concrete circuit only the values are computed.

mod record;
mod witness;

pub use record::{Constraints, Sizes, record};
pub use witness::{Wires, WitnessSystem, witness};

/// The parts of a constraint system that name things, which none of ours does.
macro_rules! nameless {
    () => {
        fn push_namespace<NR, N>(&mut self, _: N)
        where
            NR: Into<String>,
            N: FnOnce() -> NR,
        {
        }

        fn pop_namespace(&mut self) {}

        fn get_root(&mut self) -> &mut Self::Root {
            self
        }
    };
}
pub(crate) use nameless;
