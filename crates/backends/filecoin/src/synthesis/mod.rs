//! Synthesis of a stock circuit: the constraints once, a witness for each partition.
//!
//! The stock prover computes both together, again for each partition. But the constraints of a circuit do
//! not depend on the statement. They are recorded once, from the blank circuit, and evaluated by the
//! kernels; a concrete circuit only computes values.

mod record;
mod witness;

pub use record::{Constraints, Sizes, record};
pub use witness::{Wires, WitnessSystem, witness};

/// The methods of a constraint system for names, which are unused here.
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
