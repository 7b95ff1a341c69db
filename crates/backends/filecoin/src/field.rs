//! Conversion between the stock stack's scalars (blst) and ours (arkworks).

use ark_bls12_381::Fr;
use ark_ff::{BigInt, PrimeField};
use athanor_kernels::Scalar;
use blstrs::Scalar as StockScalar;

/// A scalar as four canonical words.
pub(crate) fn words(value: &StockScalar) -> Scalar {
    let bytes = value.to_bytes_le();
    std::array::from_fn(|at| {
        u64::from_le_bytes(bytes[8 * at..8 * at + 8].try_into().expect("eight bytes"))
    })
}

/// A scalar in arkworks' form.
pub(crate) fn element(value: &StockScalar) -> Fr {
    Fr::from_bigint(BigInt(words(value))).expect("stock scalars are below the modulus")
}

#[cfg(test)]
mod tests {
    use ark_ff::Field;
    use ff::Field as _;

    use super::*;

    #[test]
    fn numbers_mean_the_same_on_both_sides() {
        let mut stock = StockScalar::from(3u64);
        let mut own = Fr::from(3u64);
        for _ in 0..50 {
            assert_eq!(element(&stock), own);
            assert_eq!(words(&stock), own.into_bigint().0);
            (stock, own) =
                (stock.square() - StockScalar::from(7u64), own.square() - Fr::from(7u64));
        }
    }
}
