//! Fields with a packed form: the types that hold eight elements in lanes, and conversions.

use ark_ff::{
    AdditiveGroup, BigInt, BigInteger, Field, Fp, Fp2, Fp2Config, MontBackend, MontConfig,
};

use super::{
    LIMB, Lanes, MASK,
    field::{Element, Prime, limbs_to_words, words_to_limbs},
    quadratic::Quadratic,
};

/// A field with a packed form.
pub trait PackedField: Field {
    /// Eight elements.
    type Packed<L: Lanes>: Element<L>;

    /// Eight points, limb by limb.
    type PackedPoint: Copy + Send + Sync + AsRef<[[u64; 8]]> + AsMut<[[u64; 8]]>;

    /// Eight points with all coordinates zero: infinity.
    const ZERO_POINT: Self::PackedPoint;

    /// The lowest limb of the modulus.
    const MODULUS_LOW_LIMB: u64;

    /// `R'/R`, which converts from Montgomery form in words (radix `R`) to Montgomery form in limbs
    /// (radix `R'`).
    fn montgomery_r_ratio() -> Self;

    /// The element whose Montgomery form the words are, up to multiples of the modulus. The words
    /// must be below four times the modulus.
    fn from_unreduced_words(words: &[u64]) -> Self;

    /// The element whose Montgomery form in words the limbs are, up to multiples of the modulus.
    /// Limbs may have carries pending; the value must be in `[-p, 4p)`.
    fn from_limbs(limbs: &[u64]) -> Self;

    /// The limbs of its Montgomery form in words.
    fn to_limbs(&self, limbs: &mut [u64]);
}

/// A prime field whose quadratic extension has a packed form too.
pub trait Extendable: PackedField {
    /// Eight elements of the extension.
    type PackedExtension<L: Lanes>: Element<L>;
    /// Eight points over the extension.
    type PackedExtensionPoint: Copy + Send + Sync + AsRef<[[u64; 8]]> + AsMut<[[u64; 8]]>;
    /// Eight points over the extension with all coordinates zero.
    const ZERO_EXTENSION_POINT: Self::PackedExtensionPoint;
}

/// Propagates carries and returns the carry out of the top limb.
fn carry(limbs: &mut [u64]) -> i64 {
    limbs.iter_mut().fold(0, |carry, limb| {
        let sum = *limb as i64 + carry;
        *limb = sum as u64 & MASK;
        sum >> LIMB
    })
}

macro_rules! prime_field {
    ($words:literal words, $limbs:literal limbs) => {
        impl<T: MontConfig<$words>> PackedField for Fp<MontBackend<T, $words>, $words> {
            type Packed<L: Lanes> = Prime<L, T, $words, $limbs>;
            type PackedPoint = [[u64; 8]; 2 * $limbs];
            const ZERO_POINT: Self::PackedPoint = [[0; 8]; 2 * $limbs];
            const MODULUS_LOW_LIMB: u64 = T::MODULUS.0[0] & MASK;

            fn montgomery_r_ratio() -> Self {
                Self::from(2u64).pow([u64::from(LIMB) * $limbs - 64 * $words])
            }

            fn from_unreduced_words(words: &[u64]) -> Self {
                let mut value = BigInt::<$words>::zero();
                value.0.copy_from_slice(words);
                while value >= T::MODULUS {
                    value.sub_with_borrow(&T::MODULUS);
                }
                Self::new_unchecked(value)
            }

            fn from_limbs(limbs: &[u64]) -> Self {
                let mut limbs: [u64; $limbs] = limbs.try_into().expect("all limbs");
                if carry(&mut limbs) < 0 {
                    let modulus = words_to_limbs::<$words, $limbs>(T::MODULUS.0);
                    limbs.iter_mut().zip(modulus).for_each(|(limb, more)| *limb += more);
                    carry(&mut limbs);
                }
                Self::from_unreduced_words(&limbs_to_words::<$words, $limbs>(limbs))
            }

            fn to_limbs(&self, limbs: &mut [u64]) {
                limbs.copy_from_slice(&words_to_limbs::<$words, $limbs>(self.0.0));
            }
        }

        impl<T: MontConfig<$words>> Extendable for Fp<MontBackend<T, $words>, $words> {
            type PackedExtension<L: Lanes> = Quadratic<Prime<L, T, $words, $limbs>>;
            type PackedExtensionPoint = [[u64; 8]; 4 * $limbs];
            const ZERO_EXTENSION_POINT: Self::PackedExtensionPoint = [[0; 8]; 4 * $limbs];
        }
    };
}

prime_field!(4 words, 5 limbs);
prime_field!(6 words, 8 limbs);

impl<C: Fp2Config<Fp: Extendable>> PackedField for Fp2<C> {
    type Packed<L: Lanes> = <C::Fp as Extendable>::PackedExtension<L>;
    type PackedPoint = <C::Fp as Extendable>::PackedExtensionPoint;
    const ZERO_POINT: Self::PackedPoint = <C::Fp as Extendable>::ZERO_EXTENSION_POINT;
    const MODULUS_LOW_LIMB: u64 = C::Fp::MODULUS_LOW_LIMB;

    fn montgomery_r_ratio() -> Self {
        Self::new(C::Fp::montgomery_r_ratio(), C::Fp::ZERO)
    }

    fn from_unreduced_words(words: &[u64]) -> Self {
        let (c0, c1) = words.split_at(words.len() / 2);
        Self::new(C::Fp::from_unreduced_words(c0), C::Fp::from_unreduced_words(c1))
    }

    fn from_limbs(limbs: &[u64]) -> Self {
        let (c0, c1) = limbs.split_at(limbs.len() / 2);
        Self::new(C::Fp::from_limbs(c0), C::Fp::from_limbs(c1))
    }

    fn to_limbs(&self, limbs: &mut [u64]) {
        let (c0, c1) = limbs.split_at_mut(limbs.len() / 2);
        self.c0.to_limbs(c0);
        self.c1.to_limbs(c1);
    }
}

#[cfg(test)]
mod tests {
    use ark_std::{rand::Rng, test_rng};

    use super::*;
    #[cfg(target_arch = "x86_64")]
    use crate::lanes::Task;
    use crate::lanes::portable::PortableLanes;

    /// Eight elements' words, transposed to columns.
    fn columns<L: Lanes>(rows: &[Vec<u64>]) -> Vec<L> {
        (0..rows[0].len())
            .map(|word| L::load(&std::array::from_fn(|lane| rows[lane][word])))
            .collect()
    }

    fn elements<F: PackedField, L: Lanes>(value: F::Packed<L>) -> Vec<F> {
        let mut columns = vec![[0; 8]; <F::Packed<L> as Element<L>>::LIMBS];
        value.write(&mut columns);
        (0..8)
            .map(|lane| {
                F::from_limbs(&columns.iter().map(|column| column[lane]).collect::<Vec<_>>())
            })
            .collect()
    }

    /// Words of base-field elements: edge cases (0, 1, `p - 1`, `p`, `2p`, all limbs but the top at
    /// their maximum) and random values, all at most `2p`.
    fn words<const W: usize>(modulus: BigInt<W>, case: usize, rng: &mut impl Rng) -> [u64; W] {
        let mut value = BigInt::<W>::zero();
        match case {
            0 => {}
            1 => value = BigInt::one(),
            2 => {
                value = modulus;
                value.sub_with_borrow(&BigInt::one());
            }
            3 => value = modulus,
            4 => {
                value = modulus;
                value.mul2();
            }
            5 => {
                value = BigInt([u64::MAX; W]);
                value.0[W - 1] = modulus.0[W - 1];
            }
            _ => {
                value.0 = std::array::from_fn(|_| rng.r#gen());
                value.0[W - 1] %= 2 * modulus.0[W - 1];
            }
        }
        value.0
    }

    /// Compares every operation with arkworks for edge cases and random words.
    fn operations_equal_arkworks<F: PackedField, L: Lanes, const W: usize>(
        modulus: BigInt<W>,
        run: impl Fn(&dyn Fn()),
    ) {
        let rng = &mut test_rng();
        let rows_words = <F::Packed<L> as Element<L>>::WORDS;
        let parts = rows_words / W;
        let inverse_ratio = F::montgomery_r_ratio().inverse().unwrap();
        for round in 0..60 {
            let mut rows = |shift: usize| -> Vec<Vec<u64>> {
                (0..8)
                    .map(|lane| {
                        let case = |part: usize| (lane + shift * round + part * (round / 8)) % 8;
                        (0..parts).flat_map(|part| words(modulus, case(part), rng)).collect()
                    })
                    .collect()
            };
            let (a, b, c) = (rows(0), rows(1), rows(3));
            run(&|| {
                let [x, y, z] =
                    [&a, &b, &c].map(|rows| F::Packed::<L>::from_words(&columns::<L>(rows)));
                let read = |rows: &[Vec<u64>]| -> Vec<F> {
                    rows.iter().map(|row| F::from_unreduced_words(row)).collect()
                };
                let (p, q, r) = (read(&a), read(&b), read(&c));
                let mut column = vec![0; <F::Packed<L> as Element<L>>::LIMBS];
                let check = |what: &str, got: F::Packed<L>, expected: &dyn Fn(usize) -> F| {
                    let expected: Vec<F> = (0..8).map(expected).collect();
                    assert_eq!(elements::<F, L>(got), expected, "{what}, round {round}");
                };
                check("words", x, &|i| p[i]);
                let mut limbs = vec![[0; 8]; <F::Packed<L> as Element<L>>::LIMBS];
                y.write(&mut limbs);
                check("limbs", <F::Packed<L>>::read(&limbs), &|i| q[i]);
                let mask = L::load(&std::array::from_fn(|lane| (lane as u64 % 2).wrapping_neg()));
                check("conditional negation", x.conditional_negate(mask), &|i| {
                    if i % 2 == 1 { -p[i] } else { p[i] }
                });
                p[1].to_limbs(&mut column);
                check("one element in all lanes", <F::Packed<L>>::splat(&column), &|_| p[1]);
                let mut one = vec![0; rows_words];
                one[0] = 1;
                let unit_words = one.clone();
                let unit = F::Packed::<L>::from_words(&columns::<L>(&vec![one; 8]));
                let [xf, yf, zf] = [x, y, z].map(|element| element.to_operand());
                let [product]: [F::Packed<L>; 1] = L::mul([&xf], [&yf]);
                let products = |i: usize| p[i] * q[i] * inverse_ratio;
                check("product", product, &products);
                let [first, second]: [F::Packed<L>; 2] = L::mul([&xf, &yf], [&yf, &zf]);
                check("first of two products", first, &products);
                check("second of two products", second, &|i| q[i] * r[i] * inverse_ratio);
                let (mut operands, mut squares) = ([xf; 2], [x; 2]);
                L::square_into([&first, &second], &mut operands, &mut squares);
                check("first of two squares", squares[0], &|i| {
                    products(i).square() * inverse_ratio
                });
                check("second of two squares", squares[1], &|i| {
                    (q[i] * r[i] * inverse_ratio).square() * inverse_ratio
                });
                let operands =
                    L::mul_operand::<F::Packed<L>, 2>([&operands[0], &xf], [&operands[1], &yf]);
                let [again]: [F::Packed<L>; 1] = L::mul([&operands[0]], [&operands[1]]);
                check("products of products", again, &|i| {
                    let operands = products(i) * q[i] * r[i] * inverse_ratio * inverse_ratio;
                    operands * products(i) * inverse_ratio
                });
                let [differences]: [F::Packed<L>; 1] =
                    L::mul([&x.sub_to_operand(y)], [&z.sub_to_operand(y)]);
                check("difference times difference", differences, &|i| {
                    (p[i] - q[i]) * (r[i] - q[i]) * inverse_ratio
                });
                check("sub_lazy", product.sub_lazy(z), &|i| products(i) - r[i]);
                let mut sum = product;
                (0..15).for_each(|_| sum = product.sub_lazy(sum));
                check("repeated sub_lazy", sum, &|_| F::ZERO);
                let sum = product.sub_lazy(sum).normalized();
                let mut words = vec![L::splat(0); <F::Packed<L> as Element<L>>::WORDS];
                sum.to_words(&mut words);
                check("normalized", F::Packed::<L>::from_words(&words), &products);
                // A y coordinate may be slightly negative.
                let mut limbs = vec![[0; 8]; <F::Packed<L> as Element<L>>::LIMBS];
                limbs[0] = [1u64.wrapping_neg(); 8];
                let below = F::Packed::<L>::read(&limbs);
                let minus_one = -F::from_unreduced_words(&unit_words);
                check("below zero", below, &|_| minus_one);
                below.normalized().to_words(&mut words);
                check("below zero, normalized", F::Packed::<L>::from_words(&words), &|_| minus_one);
                let mut limbs = vec![[1; 8]; <F::Packed<L> as Element<L>>::LIMBS];
                F::Packed::<L>::zero().normalized().write(&mut limbs);
                assert!(limbs.iter().all(|limb| *limb == [0; 8]), "zeros stay zeros");
                check("sub_two_reduced", product.sub_two_reduced(z, x), &|i| {
                    products(i) - r[i] - p[i]
                });
                let again = product.sub_two_reduced(z, x).sub_to_operand(product.sub_lazy(y));
                let [again]: [F::Packed<L>; 1] = L::mul([&again], [&unit.to_operand()]);
                // Multiplying by the raw words of 1 divides by `R'`.
                let raw = F::from_unreduced_words(&unit_words);
                check("difference of stored", again, &|i| {
                    (q[i] - r[i] - p[i]) * raw * inverse_ratio
                });
            });
        }
    }

    macro_rules! operations {
        ($lanes:ty, $run:expr) => {
            use {ark_bls12_381 as bls, ark_bn254 as bn};
            let (four, six) = (bn::FqConfig::MODULUS, bls::FqConfig::MODULUS);
            operations_equal_arkworks::<bn::Fq, $lanes, 4>(four, $run);
            operations_equal_arkworks::<bn::Fq2, $lanes, 4>(four, $run);
            operations_equal_arkworks::<bls::Fq, $lanes, 6>(six, $run);
            operations_equal_arkworks::<bls::Fq2, $lanes, 6>(six, $run);
        };
    }

    #[test]
    fn operations_on_portable_lanes_equal_arkworks() {
        operations!(PortableLanes, |work: &dyn Fn()| work());
    }

    #[cfg(target_arch = "x86_64")]
    struct Work<'a>(&'a dyn Fn());

    #[cfg(target_arch = "x86_64")]
    impl<L> Task<L> for Work<'_> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            self.0();
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn operations_on_floating_point_equal_arkworks() {
        use crate::lanes::fma::{Fma, available};
        if available() {
            operations!(Fma, |work: &dyn Fn()| Fma::enable(Work(work)));
        }
    }

    /// On a processor without the instructions, the device tests run this in an emulator.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn operations_on_integer_multiply_add_equal_arkworks() {
        use crate::lanes::ifma::{Ifma, available};
        if available() {
            operations!(Ifma, |work: &dyn Fn()| Ifma::enable(Work(work)));
        }
    }
}
