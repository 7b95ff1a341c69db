//! Comparison with ark-groth16: the same bytes for the same key, witness and randomness; each verifies
//! the other's proofs.

use ark_ff::{BigInt, PrimeField, UniformRand};
use ark_groth16::{Groth16, r1cs_to_qap::R1CSToQAP};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_relations::gr1cs::{ConstraintSystemRef, Matrix, Result as R1csResult};
use ark_std::test_rng;
use athanor_groth16::{
    Proof, ProvingKey, RawKey, Rows, Verifier, VerifyError, Witness, development_setup,
    synthetic::{Example, bits, dense},
};
use athanor_kernels::{
    Bls12_381, Bn254, Curve, Domain, Path, Quotient,
    cpu::{Cpu, CpuOn},
};

/// The quotient by arkworks' transforms, in snarkjs's order of the domain.
struct Reduction<const ODD_COSET: bool>;

impl<const ODD_COSET: bool> R1CSToQAP for Reduction<ODD_COSET> {
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
        let order = Domain::<F>::snarkjs(size.ilog2()).unwrap();
        let mut domain = Radix2EvaluationDomain::<F>::new(size).unwrap();
        domain.group_gen = order.omega();
        domain.group_gen_inv = order.omega().inverse().unwrap();
        let coset = domain.get_coset(order.eta()).unwrap();
        let rows = |matrix: &Matrix<F>| -> Vec<F> {
            matrix
                .iter()
                .map(|row| row.iter().map(|&(factor, wire)| factor * assignment[wire]).sum())
                .collect()
        };
        let mut a = rows(&matrices[0]);
        a.extend(&assignment[..inputs]);
        let on_coset = |values: &[F]| coset.fft(&domain.ifft(values));
        let (a, b, c) =
            (on_coset(&a), on_coset(&rows(&matrices[1])), on_coset(&rows(&matrices[2])));
        let mut quotient: Vec<F> = a.iter().zip(b).zip(c).map(|((a, b), c)| *a * b - c).collect();
        if !ODD_COSET {
            let over = coset.coset_offset().pow([size as u64]) - F::one();
            quotient.iter_mut().for_each(|value| *value /= over);
            coset.ifft_in_place(&mut quotient);
            quotient.pop();
        }
        Ok(quotient)
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

fn ark_key<C: Curve>(key: &RawKey<C>) -> ark_groth16::ProvingKey<C> {
    let key = key.clone();
    ark_groth16::ProvingKey {
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
    }
}

fn ark_matrix<F: PrimeField>(rows: &Rows<F>) -> Matrix<F> {
    rows.iter()
        .map(|row| row.iter().map(|&(wire, factor)| (factor, wire as usize)).collect())
        .collect()
}

fn same_bytes_and_mutual_verification<C: Curve, const ODD_COSET: bool>(example: Example<C::Fr>) {
    let quotient = if ODD_COSET { Quotient::OddCoset } else { Quotient::Coefficients };
    let raw = development_setup::<C>(&example.r1cs, quotient).unwrap();
    let ark_key = ark_key(&raw);
    let key = ProvingKey::load(Cpu, raw.to_native::<Cpu>(&Cpu).unwrap()).unwrap();
    let witness = Witness::<C>::new(example.witness.clone()).unwrap();

    let values: Vec<C::Fr> =
        example.witness.iter().map(|&words| C::Fr::from_bigint(BigInt(words)).unwrap()).collect();
    let matrices = [&example.r1cs.a, &example.r1cs.b, &example.r1cs.c].map(ark_matrix);
    let rng = &mut test_rng();
    let (r, s) = (C::Fr::rand(rng), C::Fr::rand(rng));
    let inputs = example.r1cs.public + 1;
    let theirs = Groth16::<C, Reduction<ODD_COSET>>::create_proof_with_reduction_and_matrices(
        &ark_key,
        r,
        s,
        &matrices,
        inputs,
        example.r1cs.constraints(),
        &values,
    )
    .unwrap();
    let ours = key.prove_with_randomness(witness.clone(), r, s).unwrap();
    assert_eq!(ours, Proof { a: theirs.a, b: theirs.b, c: theirs.c });
    // The proof is the same on every kernel path.
    for device in Path::ALL.into_iter().filter_map(CpuOn::path) {
        let key = ProvingKey::load(device, raw.to_native(&device).unwrap()).unwrap();
        assert_eq!(key.prove_with_randomness(witness.clone(), r, s).unwrap(), ours, "{device:?}");
    }

    // Fresh randomness: a different proof, which both sides accept.
    let proved = key.prove(witness.clone()).unwrap().proof;
    assert_ne!(proved, ours);
    assert_ne!(proved, key.prove(witness.clone()).unwrap().proof);
    let prepared = ark_groth16::prepare_verifying_key(&ark_key.vk);
    let as_ark = ark_groth16::Proof { a: proved.a, b: proved.b, c: proved.c };
    let accepted = Groth16::<C>::verify_proof(&prepared, &as_ark, &values[1..inputs]);
    assert!(accepted.unwrap());
    let verifier = Verifier::new(&raw.verifying).unwrap();
    let public = witness.public(example.r1cs.public);
    assert_eq!(verifier.verify(public, &ours), Ok(()));
    let mut other = public.to_vec();
    other[0][0] ^= 1;
    assert_eq!(verifier.verify(&other, &ours), Err(VerifyError::Invalid));
}

/// Emulates IFMA on a processor without it, to test that path.
#[test]
fn the_integer_path_makes_the_same_proofs() {
    athanor_testkit::again_on_ifma(&["proofs_equal_arkworks"]);
}

#[test]
fn proofs_equal_arkworks_with_snarkjs_quotient() {
    same_bytes_and_mutual_verification::<Bn254, true>(dense::<Bn254>(100, 1));
    same_bytes_and_mutual_verification::<Bn254, true>(bits::<Bn254>(300, 1));
    same_bytes_and_mutual_verification::<Bls12_381, true>(dense::<Bls12_381>(126, 1));
    same_bytes_and_mutual_verification::<Bls12_381, true>(bits::<Bls12_381>(300, 1));
}

#[test]
fn proofs_equal_arkworks_with_classical_quotient() {
    same_bytes_and_mutual_verification::<Bn254, false>(dense::<Bn254>(127, 1));
    same_bytes_and_mutual_verification::<Bn254, false>(bits::<Bn254>(300, 1));
    same_bytes_and_mutual_verification::<Bls12_381, false>(dense::<Bls12_381>(1, 1));
    same_bytes_and_mutual_verification::<Bls12_381, false>(bits::<Bls12_381>(300, 1));
}
