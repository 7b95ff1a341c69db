//! The domain of a transform: powers of a root of unity, and the odd coset between them.

use ark_ff::PrimeField;

/// Why a domain does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DomainError {
    /// The field has no roots of unity of that order.
    #[error(
        "a domain of 2^{log_size} points (and the coset beside it) is larger than the field allows (2^{most})"
    )]
    TooLarge {
        /// Logarithm of the size asked for.
        log_size: u32,
        /// Logarithm of the largest size there is.
        most: u32,
    },
    /// The given root does not generate a domain of the given size.
    #[error("the given root of unity is not primitive of order 2^{0}")]
    NotPrimitive(u32),
}

/// `n = 2^log_size` points `ω^i`, with `ω = η²`; `η` is a primitive `2n`-th root of unity.
///
/// The same set of points can be listed in different orders, one per primitive root, and tools do
/// differ: arkworks derives roots from the field's listed generator, snarkjs from its smallest
/// non-residue. For BN254 both are 5; for BLS12-381 they are 7 and 5. A key is made for one order,
/// so the root is part of the domain.
///
/// `η` also shifts to the *odd coset* `η·ω^i = η^(2i+1)`, on which the vanishing polynomial is
/// constant: `x^n - 1 = -2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain<F> {
    log_size: u32,
    eta: F,
}

impl<F: PrimeField> Domain<F> {
    /// The domain with arkworks' choice of root.
    pub fn new(log_size: u32) -> Result<Self, DomainError> {
        let root = F::TWO_ADIC_ROOT_OF_UNITY;
        Self::from_two_adic_root(log_size, root)
    }

    /// The domain whose roots come from the smallest quadratic non-residue, as in snarkjs.
    pub fn snarkjs(log_size: u32) -> Result<Self, DomainError> {
        let mut candidate = F::one() + F::one();
        while !candidate.legendre().is_qnr() {
            candidate += F::one();
        }
        Self::from_two_adic_root(log_size, candidate.pow(F::TRACE))
    }

    fn from_two_adic_root(log_size: u32, root: F) -> Result<Self, DomainError> {
        let most = F::TWO_ADICITY - 1;
        if log_size > most {
            return Err(DomainError::TooLarge { log_size, most });
        }
        let eta = (log_size + 1..F::TWO_ADICITY).fold(root, |root, _| root.square());
        Self::with_root(log_size, eta)
    }

    /// The domain with a given primitive root of order `2^(log_size + 1)`.
    pub fn with_root(log_size: u32, eta: F) -> Result<Self, DomainError> {
        let minus_one = (0..log_size).fold(eta, |root, _| root.square());
        if minus_one != -F::one() {
            return Err(DomainError::NotPrimitive(log_size + 1));
        }
        Ok(Self { log_size, eta })
    }

    /// Logarithm of the number of points.
    pub fn log_size(&self) -> u32 {
        self.log_size
    }

    /// The number of points, `n`.
    pub fn size(&self) -> usize {
        1 << self.log_size
    }

    /// `ω`, the generator: a primitive `n`-th root of unity.
    pub fn omega(&self) -> F {
        self.eta.square()
    }

    /// `η`, the shift to the odd coset: a primitive `2n`-th root of unity.
    pub fn eta(&self) -> F {
        self.eta
    }
}

#[cfg(test)]
mod tests {
    use ark_ff::Field;

    use super::*;

    #[test]
    fn roots_agree_for_bn254_and_differ_for_bls12_381() {
        use {ark_bls12_381::Fr as BlsFr, ark_bn254::Fr as BnFr};
        assert_eq!(Domain::<BnFr>::new(10), Domain::snarkjs(10));
        assert_ne!(Domain::<BlsFr>::new(10), Domain::snarkjs(10));
        let eta = Domain::<BlsFr>::snarkjs(10).unwrap().eta();
        assert_eq!(eta.pow([1 << 10]), -BlsFr::ONE);
    }

    #[test]
    fn sizes_beyond_the_field_and_false_roots_are_refused() {
        use ark_bn254::Fr;
        assert!(Domain::<Fr>::new(27).is_ok());
        assert_eq!(Domain::<Fr>::new(28), Err(DomainError::TooLarge { log_size: 28, most: 27 }));
        assert_eq!(Domain::with_root(3, Fr::ONE), Err(DomainError::NotPrimitive(4)));
    }
}
