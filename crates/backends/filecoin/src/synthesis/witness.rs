//! Computes the values of a circuit's wires, without constraints.
//!
//! The stock stack has such a constraint system (`WitnessCS`), but it has a fault: its `new()` already has
//! the constant one, and circuits that synthesise in parallel allocate another one in every new part.
//! `extend` drops only one of the two, so a window PoSt gets one additional public input per part. Here
//! `new()` is empty, as in the stock prover.

use athanor_groth16::Witness;
use athanor_kernels::{Bls12_381, Scalars};
use bellpepper_core::{
    Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable,
};
use blstrs::Scalar;
use ff::Field;
use rayon::prelude::*;

use super::nameless;
use crate::{Fault, field};

/// Numbers of wires of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wires {
    /// Number of public wires, including the constant one, which is the first.
    pub inputs: usize,
    /// Number of private wires.
    pub aux: usize,
}

impl Wires {
    /// Number of all wires.
    pub fn all(self) -> usize {
        self.inputs + self.aux
    }
}

/// Values of wires under construction, wiped when dropped.
#[derive(Default)]
pub struct WitnessSystem {
    inputs: Vec<Scalar>,
    aux: Vec<Scalar>,
}

impl Drop for WitnessSystem {
    fn drop(&mut self) {
        for values in [&mut self.inputs, &mut self.aux] {
            values.fill(Scalar::ZERO);
            // The values are read below, so the writes are not optimised away.
            std::hint::black_box(values);
        }
    }
}

/// Computes the witness of a circuit with those numbers of wires.
pub fn witness(circuit: impl Circuit<Scalar>, wires: Wires) -> Result<Witness<Bls12_381>, Fault> {
    let mut system = WitnessSystem {
        inputs: Vec::with_capacity(wires.inputs),
        aux: Vec::with_capacity(wires.aux),
    };
    system.inputs.push(Scalar::ONE);
    circuit.synthesize(&mut system).map_err(|error| {
        Fault::bad_input(format_args!("the witness cannot be computed: {error}"))
    })?;
    if (system.inputs.len(), system.aux.len()) != (wires.inputs, wires.aux) {
        return Err(Fault::bad_input(format_args!(
            "the circuit has {} public and {} private wires, the constraints {} and {}: the proof \
             is of another shape",
            system.inputs.len(),
            system.aux.len(),
            wires.inputs,
            wires.aux
        )));
    }
    let all = system.inputs.par_iter().chain(&system.aux);
    let values = Scalars::new(all.map(field::words).collect());
    Witness::new(values).map_err(Fault::internal)
}

impl ConstraintSystem<Scalar> for WitnessSystem {
    type Root = Self;

    fn new() -> Self {
        Self::default()
    }

    fn alloc<F, A, AR>(&mut self, _: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.aux.push(value()?);
        Ok(Variable(Index::Aux(self.aux.len() - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs.push(value()?);
        Ok(Variable(Index::Input(self.inputs.len() - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LB: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LC: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
    {
    }

    nameless!();

    fn is_extensible() -> bool {
        true
    }

    /// Appends a part, without the constant one at its start.
    fn extend(&mut self, part: &Self) {
        self.inputs.extend_from_slice(&part.inputs[1..]);
        self.aux.extend_from_slice(&part.aux);
    }

    /// Tells hash gadgets to compute values only.
    fn is_witness_generator(&self) -> bool {
        true
    }

    fn extend_inputs(&mut self, values: &[Scalar]) {
        self.inputs.extend_from_slice(values);
    }

    fn extend_aux(&mut self, values: &[Scalar]) {
        self.aux.extend_from_slice(values);
    }

    fn allocate_empty(&mut self, aux: usize, inputs: usize) -> (&mut [Scalar], &mut [Scalar]) {
        let (aux_end, inputs_end) = (self.aux.len(), self.inputs.len());
        self.aux.resize(aux_end + aux, Scalar::ZERO);
        self.inputs.resize(inputs_end + inputs, Scalar::ZERO);
        (&mut self.aux[aux_end..], &mut self.inputs[inputs_end..])
    }

    fn allocate_empty_inputs(&mut self, inputs: usize) -> &mut [Scalar] {
        self.allocate_empty(0, inputs).1
    }

    fn allocate_empty_aux(&mut self, aux: usize) -> &mut [Scalar] {
        self.allocate_empty(aux, 0).0
    }

    fn inputs_slice(&self) -> &[Scalar] {
        &self.inputs
    }

    fn aux_slice(&self) -> &[Scalar] {
        &self.aux
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A circuit that extends its constraint system in parts, as the PoSt circuits do.
    struct InParts(usize);

    impl Circuit<Scalar> for InParts {
        fn synthesize<CS: ConstraintSystem<Scalar>>(
            self,
            cs: &mut CS,
        ) -> Result<(), SynthesisError> {
            assert!(CS::is_extensible());
            for part in 0..self.0 as u64 {
                let mut chunk = CS::new();
                chunk.alloc_input(|| "temp ONE", || Ok(Scalar::ONE))?;
                chunk.alloc_input(|| "input", || Ok(Scalar::from(10 + part)))?;
                chunk.alloc(|| "aux", || Ok(Scalar::from(20 + part)))?;
                cs.extend(&chunk);
            }
            Ok(())
        }
    }

    #[test]
    fn parts_add_no_public_inputs_of_their_own() {
        let wires = Wires { inputs: 4, aux: 3 };
        let witness = witness(InParts(3), wires).unwrap();
        let values: Vec<u64> = witness.scalars().iter().map(|words| words[0]).collect();
        assert_eq!(values, [1, 10, 11, 12, 20, 21, 22]);
    }

    #[test]
    fn a_circuit_of_another_size_is_refused() {
        let wires = Wires { inputs: 4, aux: 3 };
        assert!(witness(InParts(4), wires).is_err());
    }
}
