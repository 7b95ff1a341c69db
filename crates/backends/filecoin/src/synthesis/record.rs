//! Records the constraints of a circuit as matrices.
//!
//! A circuit is synthesised twice: the first pass counts variables, the second records rows. A column's
//! number depends on the number of inputs, which is known only at the end of a pass, so columns cannot
//! be numbered in the first pass.

use ark_bls12_381::Fr;
use ark_ff::{AdditiveGroup, Field};
use athanor_kernels::{Matrix, MatrixBuilder, MatrixError};
use bellpepper_core::{
    Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable,
};
use blstrs::Scalar;
use ff::Field as _;

use super::{Wires, nameless};
use crate::{Fault, field};

/// Sizes of a constraint system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Number of public wires, including the constant one, which is the first.
    pub inputs: usize,
    /// Number of private wires.
    pub aux: usize,
    /// Number of constraints, without those that bind the public wires.
    pub constraints: usize,
}

impl Sizes {
    /// Number of rows of the matrices: the constraints, and one row per public wire.
    pub fn rows(&self) -> usize {
        self.constraints + self.inputs
    }

    /// Number of wires.
    pub fn wires(&self) -> Wires {
        Wires { inputs: self.inputs, aux: self.aux }
    }

    /// Binary logarithm of the domain's size.
    pub fn log_domain(&self) -> u32 {
        self.rows().next_power_of_two().ilog2()
    }
}

/// `A·w ∘ B·w = C·w` over the wires `w`: public ones first, then private ones. The last rows of `A`
/// bind the public wires, one by one, as bellman's do (`x · 0 = 0`).
#[derive(Clone, Debug)]
pub struct Constraints {
    /// The sizes.
    pub sizes: Sizes,
    /// Left factors.
    pub a: Matrix<Fr>,
    /// Right factors.
    pub b: Matrix<Fr>,
    /// Products.
    pub c: Matrix<Fr>,
}

/// Records a circuit's constraints. `circuit` is called twice and must return the same circuit.
pub fn record<C: Circuit<Scalar>>(circuit: impl Fn() -> C) -> Result<Constraints, Fault> {
    let failed = |error: SynthesisError| {
        Fault::internal(format_args!("the circuit cannot be synthesised without values: {error}"))
    };
    let mut counter = Recorder::counting();
    circuit().synthesize(&mut counter).map_err(failed)?;
    let mut recorder = Recorder::recording(counter.seen);
    circuit().synthesize(&mut recorder).map_err(failed)?;
    recorder.finish()
}

/// The constraint system of both passes. It is one type, since each instance of a circuit over a
/// constraint system takes seconds to compile.
struct Recorder {
    seen: Sizes,
    /// In the second pass: the counts of the first pass, and the rows.
    rows: Option<(Sizes, [MatrixBuilder<Fr>; 3])>,
    error: Option<MatrixError>,
}

impl Recorder {
    fn counting() -> Self {
        Self { seen: Sizes { inputs: 1, ..Sizes::default() }, rows: None, error: None }
    }

    fn recording(expected: Sizes) -> Self {
        let builders = std::array::from_fn(|_| MatrixBuilder::new(expected.wires().all()));
        Self { rows: Some((expected, builders)), ..Self::counting() }
    }

    fn push(&mut self, rows: [LinearCombination<Scalar>; 3]) {
        let Some((Sizes { inputs, .. }, builders)) = &mut self.rows else { return };
        for (builder, row) in builders.iter_mut().zip(rows) {
            let private = row.iter_aux().map(|(at, factor)| (*inputs + at, factor));
            let all = row.iter_inputs().map(|(at, factor)| (*at, factor)).chain(private);
            // A builder omits zeros, as bellman's density does.
            let pushed = builder.push_row(all.map(|(at, factor)| (at as u32, element(factor))));
            if let Err(error) = pushed {
                self.error.get_or_insert(error);
            }
        }
    }

    fn finish(mut self) -> Result<Constraints, Fault> {
        let seen = self.seen;
        let (sizes, mut builders) = match self.rows {
            Some((sizes, builders)) if sizes == seen => (sizes, builders),
            Some((sizes, _)) => {
                let message = format_args!("the circuit changed from {sizes:?} to {seen:?}");
                return Err(Fault::internal(message));
            }
            None => return Err(Fault::internal("nothing was recorded")),
        };
        let [a, b, c] = &mut builders;
        for wire in 0..sizes.inputs {
            let bound = a.push_row([(wire as u32, Fr::ONE)]);
            let rest = [bound, b.push_row([]), c.push_row([])];
            self.error = self.error.or(rest.into_iter().find_map(Result::err));
        }
        if let Some(error) = self.error {
            return Err(Fault::internal(error));
        }
        let [a, b, c] = builders.map(MatrixBuilder::build);
        let (a, b, c) =
            (a.map_err(Fault::memory)?, b.map_err(Fault::memory)?, c.map_err(Fault::memory)?);
        Ok(Constraints { sizes, a, b, c })
    }
}

/// Fast path: half of all coefficients are one.
fn element(factor: &Scalar) -> Fr {
    if *factor == Scalar::ONE {
        Fr::ONE
    } else if *factor == Scalar::ZERO {
        Fr::ZERO
    } else {
        field::element(factor)
    }
}

impl ConstraintSystem<Scalar> for Recorder {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.seen.aux += 1;
        Ok(Variable(Index::Aux(self.seen.aux - 1)))
    }

    fn alloc_input<F, A, AR>(&mut self, _: A, _: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Scalar, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.seen.inputs += 1;
        Ok(Variable(Index::Input(self.seen.inputs - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LB: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
        LC: FnOnce(LinearCombination<Scalar>) -> LinearCombination<Scalar>,
    {
        self.seen.constraints += 1;
        if self.rows.is_some() {
            let zero = LinearCombination::zero;
            self.push([a(zero()), b(zero()), c(zero())]);
        }
    }

    nameless!();
}
