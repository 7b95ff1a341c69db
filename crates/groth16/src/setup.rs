//! A development setup: one process draws random trapdoors and discards them.
//!
//! The person who runs it could keep the trapdoors and forge proofs; use a ceremony for production
//! keys. Lagrange values at `τ` are computed in closed form, points from fixed-base tables.

use ark_ec::{CurveGroup, PrimeGroup, scalar_mul::BatchMulPreprocessing};
use ark_ff::{AdditiveGroup, Field, PrimeField, batch_inversion};
use athanor_kernels::{Curve, Domain, DomainError, Matrix, MatrixBuilder, MatrixError, Quotient};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::{R1cs, RawKey, Rows, VerifyingKey, prover::random_scalar};

/// Why a setup failed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The constraint system is malformed.
    #[error("the constraint system is malformed: {0}")]
    Malformed(&'static str),
    /// The circuit has more constraints than the field's largest domain has points.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// A wire is out of range, or there are too many entries.
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    /// The operating system's randomness cannot be read.
    #[error("cannot read randomness from the operating system: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// The secrets of a setup (trapdoors). Knowledge of one allows forged proofs; wiped when dropped.
struct Trapdoors<F: zeroize::Zeroize> {
    tau: Zeroizing<F>,
    alpha: Zeroizing<F>,
    beta: Zeroizing<F>,
    gamma: Zeroizing<F>,
    delta: Zeroizing<F>,
}

impl<F: PrimeField> Trapdoors<F> {
    fn fresh() -> Result<Self, getrandom::Error> {
        Ok(Self {
            tau: random_scalar()?,
            alpha: random_scalar()?,
            beta: random_scalar()?,
            gamma: random_scalar()?,
            delta: random_scalar()?,
        })
    }
}

/// Makes a development key, in snarkjs's order of the domain.
///
/// As in libsnark and snarkjs, one row per public signal (and one for the constant) is appended
/// to `A`, so that no two statements share a proof.
pub fn development_setup<C: Curve>(
    r1cs: &R1cs<C::Fr>,
    quotient: Quotient,
) -> Result<RawKey<C>, SetupError> {
    let rows = r1cs.constraints() + r1cs.public + 1;
    development_setup_on(r1cs, quotient, Domain::snarkjs(rows.next_power_of_two().ilog2())?)
}

/// As [`development_setup`], in another order of the domain, such as bellman's, whose roots are
/// those of arkworks ([`Domain::new`]).
pub fn development_setup_on<C: Curve>(
    r1cs: &R1cs<C::Fr>,
    quotient: Quotient,
    domain: Domain<C::Fr>,
) -> Result<RawKey<C>, SetupError> {
    let statement = r1cs.public + 1;
    if r1cs.b.len() != r1cs.constraints() || r1cs.c.len() != r1cs.constraints() {
        return Err(SetupError::Malformed("A, B and C differ in length"));
    }
    if statement > r1cs.wires {
        return Err(SetupError::Malformed("it has more public signals than wires"));
    }
    if r1cs.constraints() + statement > domain.size() {
        return Err(SetupError::Malformed("it has more constraints than the domain has points"));
    }
    let a = matrix(&r1cs.a, r1cs.wires, statement)?;
    let b = matrix(&r1cs.b, r1cs.wires, 0)?;
    if r1cs.c.iter().flatten().any(|&(wire, _)| wire as usize >= r1cs.wires) {
        return Err(SetupError::Malformed("C refers to a wire that does not exist"));
    }

    let secrets = Trapdoors::<C::Fr>::fresh()?;
    let lagrange = lagrange_at(&domain, *secrets.tau);
    let wire_sums = |rows: &Rows<C::Fr>, bound: usize| {
        let mut sums = vec![C::Fr::ZERO; r1cs.wires];
        for (row, value) in rows.iter().zip(lagrange.iter()) {
            row.iter().for_each(|&(wire, factor)| sums[wire as usize] += factor * value);
        }
        for (sum, value) in sums.iter_mut().zip(&lagrange[rows.len()..]).take(bound) {
            *sum += value;
        }
        Zeroizing::new(sums)
    };
    let (u, (v, w)) = rayon::join(
        || wire_sums(&r1cs.a, statement),
        || rayon::join(|| wire_sums(&r1cs.b, 0), || wire_sums(&r1cs.c, 0)),
    );
    let inverse = |value: &C::Fr| value.inverse().expect("a random scalar is not zero");
    let (over_gamma, over_delta) = (inverse(&secrets.gamma), inverse(&secrets.delta));
    let (alpha, beta) = (*secrets.alpha, *secrets.beta);
    let combined: Zeroizing<Vec<C::Fr>> = Zeroizing::new(
        (0..r1cs.wires)
            .into_par_iter()
            .map(|i| {
                let over = if i < statement { over_gamma } else { over_delta };
                (beta * u[i] + alpha * v[i] + w[i]) * over
            })
            .collect(),
    );
    let h = Zeroizing::new(h_scalars(&domain, quotient, *secrets.tau, over_delta));

    let (g1, g2) = (C::G1::generator(), C::G2::generator());
    let largest = r1cs.wires.max(domain.size());
    let table = BatchMulPreprocessing::new(g1, largest);
    let table_g2 = BatchMulPreprocessing::new(g2, r1cs.wires);
    let mut ic = table.batch_mul(&combined);
    let l_query = ic.split_off(statement);
    Ok(RawKey {
        quotient,
        domain,
        verifying: VerifyingKey {
            alpha_g1: (g1 * alpha).into_affine(),
            beta_g2: (g2 * beta).into_affine(),
            gamma_g2: (g2 * *secrets.gamma).into_affine(),
            delta_g2: (g2 * *secrets.delta).into_affine(),
            ic,
        },
        beta_g1: (g1 * beta).into_affine(),
        delta_g1: (g1 * *secrets.delta).into_affine(),
        a,
        b,
        a_query: table.batch_mul(&u),
        b_g1_query: table.batch_mul(&v),
        b_g2_query: table_g2.batch_mul(&v),
        l_query,
        h_query: table.batch_mul(&h),
    })
}

/// The rows as a matrix, followed by `bound` rows with one entry each, for wires 0, 1, 2, ...
fn matrix<F: PrimeField<BigInt = ark_ff::BigInt<4>> + athanor_kernels::Words>(
    rows: &Rows<F>,
    wires: usize,
    bound: usize,
) -> Result<Matrix<F>, MatrixError> {
    let mut builder = MatrixBuilder::new(wires);
    for row in rows.iter() {
        builder.push_row(row.iter().copied())?;
    }
    for wire in 0..bound {
        builder.push_row([(wire as u32, F::ONE)])?;
    }
    builder.build()
}

/// The domain's Lagrange polynomials at a point outside it:
/// `L_i(τ) = (τ^n - 1) · ω^i / (n · (τ - ω^i))`.
fn lagrange_at<F: PrimeField>(domain: &Domain<F>, tau: F) -> Zeroizing<Vec<F>> {
    let vanishing = tau.pow([domain.size() as u64]) - F::ONE;
    lagrange_over(F::ONE, domain, tau, vanishing)
}

/// `factor · x_i / (n · (τ - x_i))` for the points `x_i = shift · ω^i`.
fn lagrange_over<F: PrimeField>(
    shift: F,
    domain: &Domain<F>,
    tau: F,
    factor: F,
) -> Zeroizing<Vec<F>> {
    let size = F::from(domain.size() as u64);
    let factor = factor * size.inverse().expect("2^k is not zero in the field");
    let omega = domain.omega();
    let points: Vec<F> = std::iter::successors(Some(shift), |point| Some(*point * omega))
        .take(domain.size())
        .collect();
    let mut values: Vec<F> = points.iter().map(|point| tau - point).collect();
    batch_inversion(&mut values);
    values.par_iter_mut().zip(&points).for_each(|(value, point)| *value *= factor * point);
    Zeroizing::new(values)
}

/// The scalars of the H points: the factors of the quotient's values.
fn h_scalars<F: PrimeField>(
    domain: &Domain<F>,
    quotient: Quotient,
    tau: F,
    over_delta: F,
) -> Vec<F> {
    let size = domain.size() as u64;
    let vanishing = tau.pow([size]) - F::ONE;
    match quotient {
        // A polynomial of degree below 2n that is zero on the domain is given by its values on the
        // odd coset, times the Lagrange polynomials of the domain of size 2n there.
        Quotient::OddCoset => {
            let half = F::from(2).inverse().expect("the field's characteristic is odd");
            let factor = vanishing * (tau.pow([size]) + F::ONE) * half * over_delta;
            lagrange_over(domain.eta(), domain, tau, factor).to_vec()
        }
        Quotient::Coefficients => {
            let first = vanishing * over_delta;
            std::iter::successors(Some(first), |power| Some(*power * tau))
                .take(domain.size() - 1)
                .collect()
        }
    }
}
