//! Witnesses: a value for every wire.

use std::marker::PhantomData;

use ark_ff::PrimeField;
use athanor_kernels::{Curve, Scalar, Scalars};

/// Why scalars are not a valid witness.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WitnessError {
    /// There are no values.
    #[error("the witness is empty")]
    Empty,
    /// The first value is not 1. Wire 0 is the constant one in every constraint system.
    #[error(
        "the witness does not begin with the constant 1: it was not made by a witness generator for this proof system"
    )]
    FirstNotOne,
    /// A value is not canonical: it is at or above the modulus.
    #[error("value {index} of the witness is not below the field's modulus")]
    NotCanonical {
        /// Index of the wire.
        index: usize,
    },
}

/// A canonical value for every wire; the first value is one. Clones share the values, which are
/// wiped when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Witness<C> {
    scalars: Scalars,
    curve: PhantomData<C>,
}

impl<C: Curve> Witness<C> {
    /// Checks that the scalars are canonical and that the first is one.
    pub fn new(scalars: Scalars) -> Result<Self, WitnessError> {
        match scalars.first() {
            None => return Err(WitnessError::Empty),
            Some(&[1, 0, 0, 0]) => {}
            Some(_) => return Err(WitnessError::FirstNotOne),
        }
        match scalars.iter().position(|scalar| !is_canonical::<C>(scalar)) {
            Some(index) => Err(WitnessError::NotCanonical { index }),
            None => Ok(Self { scalars, curve: PhantomData }),
        }
    }

    /// The values of the public signals, without the constant one. `signals`: their number.
    pub fn public(&self, signals: usize) -> &[Scalar] {
        &self.scalars[1..self.scalars.len().min(signals + 1)]
    }

    /// The values of all wires.
    pub fn scalars(&self) -> &Scalars {
        &self.scalars
    }

    /// Returns the values.
    pub fn into_scalars(self) -> Scalars {
        self.scalars
    }
}

/// Whether an integer is below the group order.
pub(crate) fn is_canonical<C: Curve>(scalar: &Scalar) -> bool {
    let modulus = C::Fr::MODULUS;
    scalar.iter().rev().lt(modulus.as_ref().iter().rev())
}

#[cfg(test)]
mod tests {
    use athanor_kernels::Bn254;

    use super::*;

    #[test]
    fn only_canonical_values_that_begin_with_one_are_a_witness() {
        let witness = |values: &[Scalar]| Witness::<Bn254>::new(Scalars::new(values.to_vec()));
        let one = [1, 0, 0, 0];
        let modulus = <Bn254 as Curve>::Fr::MODULUS.0;
        let mut largest = modulus;
        largest[0] -= 1;
        assert_eq!(witness(&[one, largest, [0; 4]]).unwrap().public(1), [largest]);
        assert_eq!(witness(&[]).unwrap_err(), WitnessError::Empty);
        assert_eq!(witness(&[[2, 0, 0, 0]]).unwrap_err(), WitnessError::FirstNotOne);
        let error = witness(&[one, largest, modulus]).unwrap_err();
        assert_eq!(error, WitnessError::NotCanonical { index: 2 });
        assert!(witness(&[one, [u64::MAX; 4]]).is_err());
        assert!(witness(&[one, [u64::MAX, u64::MAX, u64::MAX, 0]]).is_ok());
    }
}
