//! Field elements and points from a seed, as snarkjs draws them.
//!
//! ChaCha20 with a counter from zero. A 64-bit number has its high half first. A field element is
//! drawn as words in Montgomery form, and drawn again until it is below the modulus.

use ark_ec::models::short_weierstrass::{Affine, Projective};
use ark_ff::{AdditiveGroup, BitIteratorBE, Field, PrimeField};
use athanor_kernels::Group;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The generator for a seed: the first 32 bytes of a hash, as big-endian words.
pub(super) fn generator(hash: &[u8]) -> ChaCha20Rng {
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(&hash[..32]);
    seed.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    ChaCha20Rng::from_seed(*seed)
}

/// The generator for a beacon: the seed is the value hashed `2^iterations_log` times by SHA-256.
pub(super) fn beacon(value: &[u8], iterations_log: u8) -> ChaCha20Rng {
    let mut hash: Vec<u8> = value.to_vec();
    for _ in 0..1u64 << iterations_log {
        hash = Sha256::digest(&hash).to_vec();
    }
    generator(&hash)
}

/// An element of a prime field.
pub(super) fn element<F: PrimeField>(random: &mut ChaCha20Rng) -> F {
    let mut words = Zeroizing::new(F::BigInt::default());
    let count = words.as_ref().len();
    loop {
        for word in words.as_mut() {
            let high = u64::from(random.next_u32());
            *word = high << 32 | u64::from(random.next_u32());
        }
        let spare = 64 * count as u32 - F::MODULUS_BIT_SIZE;
        words.as_mut()[count - 1] &= u64::MAX >> spare;
        if let Some(value) = F::from_bigint(*words) {
            let radix = F::from(2u64).pow([64 * count as u64]);
            return value * radix.inverse().expect("2 is not zero modulo a prime");
        }
    }
}

/// A point of the subgroup.
pub(super) fn point<G: Group>(random: &mut ChaCha20Rng) -> Affine<G> {
    loop {
        let degree = G::BaseField::extension_degree() as usize;
        let parts: Vec<_> = (0..degree).map(|_| element(random)).collect();
        let x = G::BaseField::from_base_prime_field_elems(parts);
        let x = x.expect("one part per degree of the field");
        let larger = random.next_u32() & 1 == 1;
        let Some(y) = (x.square() * x + G::COEFF_B).sqrt() else { continue };
        let y = if is_larger(&y) == larger { y } else { -y };
        // The curve's own multiplication may assume that the point is in the subgroup.
        let point = Affine::<G>::new_unchecked(x, y);
        let mut multiple = Projective::<G>::ZERO;
        for bit in BitIteratorBE::without_leading_zeros(G::COFACTOR) {
            multiple.double_in_place();
            if bit {
                multiple += &point;
            }
        }
        return multiple.into();
    }
}

/// Whether an element is the larger of itself and its negative, by its highest part.
fn is_larger<F: Field>(element: &F) -> bool {
    let parts: Vec<_> = element.to_base_prime_field_elements().collect();
    let zero = F::BasePrimeField::ZERO;
    let part = parts.iter().rev().find(|&&part| part != zero).unwrap_or(&parts[0]);
    part.into_bigint() > F::BasePrimeField::MODULUS_MINUS_ONE_DIV_TWO
}
