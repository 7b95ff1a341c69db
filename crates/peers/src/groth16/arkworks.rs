//! ark-groth16 with one of our keys.

use ark_ff::{BigInt, PrimeField};
use ark_groth16::{
    Groth16,
    r1cs_to_qap::{R1CSToQAP, evaluate_constraint},
};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_relations::gr1cs::{ConstraintSystemRef, Matrix, Result as R1csResult};
use athanor_groth16::{Proof, RawKey, Rows, synthetic::Example};
use athanor_kernels::{Curve, Domain};
use rayon::prelude::*;

/// snarkjs's quotient by arkworks' transforms: three inverse, three forward, as in ark-circom.
struct OddCoset;

impl R1CSToQAP for OddCoset {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        _: ConstraintSystemRef<F>,
        _: &F,
    ) -> R1csResult<(Vec<F>, Vec<F>, Vec<F>, F, usize, usize)> {
        unreachable!("keys are not made here")
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        inputs: usize,
        constraints: usize,
        assignment: &[F],
    ) -> R1csResult<Vec<F>> {
        let size = (constraints + inputs).next_power_of_two();
        let order = Domain::<F>::snarkjs(size.ilog2()).expect("the key was made for this domain");
        let mut domain = Radix2EvaluationDomain::<F>::new(size).expect("as above");
        domain.group_gen = order.omega();
        domain.group_gen_inv = order.omega().inverse().expect("a root of unity is not zero");
        let coset = domain.get_coset(order.eta()).expect("η is not zero");
        let mut a = vec![F::ZERO; size];
        let mut b = vec![F::ZERO; size];
        (&mut a[..constraints], &mut b[..constraints], &matrices[0], &matrices[1])
            .into_par_iter()
            .for_each(|(a, b, a_row, b_row)| {
                *a = evaluate_constraint(a_row, assignment);
                *b = evaluate_constraint(b_row, assignment);
            });
        a[constraints..constraints + inputs].copy_from_slice(&assignment[..inputs]);
        let mut c: Vec<F> = a.par_iter().zip(&b).map(|(a, b)| *a * b).collect();
        for values in [&mut a, &mut b, &mut c] {
            domain.ifft_in_place(values);
            coset.fft_in_place(values);
        }
        a.par_iter_mut().zip(b).zip(c).for_each(|((a, b), c)| {
            *a *= b;
            *a -= c;
        });
        Ok(a)
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        _: usize,
        _: F,
        _: F,
        _: F,
    ) -> R1csResult<Vec<F>> {
        unreachable!("keys are not made here")
    }
}

/// A key, constraints and a witness in arkworks' types.
pub(super) struct Prover<C: Curve> {
    key: ark_groth16::ProvingKey<C>,
    matrices: [Matrix<C::Fr>; 3],
    inputs: usize,
    constraints: usize,
    assignment: Vec<C::Fr>,
}

impl<C: Curve> Prover<C> {
    pub(super) fn new(key: RawKey<C>, example: &Example<C::Fr>) -> Self {
        let value = |&words| C::Fr::from_bigint(BigInt(words)).expect("witnesses are canonical");
        Self {
            key: ark_groth16::ProvingKey {
                vk: ark_groth16::VerifyingKey {
                    alpha_g1: key.verifying.alpha_g1,
                    beta_g2: key.verifying.beta_g2,
                    gamma_g2: key.verifying.gamma_g2,
                    delta_g2: key.verifying.delta_g2,
                    gamma_abc_g1: key.verifying.ic,
                },
                beta_g1: key.beta_g1,
                delta_g1: key.delta_g1,
                a_query: key.a_query,
                b_g1_query: key.b_g1_query,
                b_g2_query: key.b_g2_query,
                h_query: key.h_query,
                l_query: key.l_query,
            },
            matrices: [&example.r1cs.a, &example.r1cs.b, &example.r1cs.c].map(matrix),
            inputs: example.r1cs.public + 1,
            constraints: example.r1cs.constraints(),
            assignment: example.witness.iter().map(value).collect(),
        }
    }

    /// Proves, without a check of the proof.
    pub(super) fn prove(&self, r: C::Fr, s: C::Fr) -> anyhow::Result<Proof<C>> {
        let proof = Groth16::<C, OddCoset>::create_proof_with_reduction_and_matrices(
            &self.key,
            r,
            s,
            &self.matrices,
            self.inputs,
            self.constraints,
            &self.assignment,
        )?;
        Ok(Proof { a: proof.a, b: proof.b, c: proof.c })
    }
}

fn matrix<F: PrimeField>(rows: &Rows<F>) -> Matrix<F> {
    rows.iter()
        .map(|row| row.iter().map(|&(wire, factor)| (factor, wire as usize)).collect())
        .collect()
}
