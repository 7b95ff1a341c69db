//! Scalar-field arithmetic in lanes for number-theoretic transforms, with lazy reduction.
//!
//! `R' = 2^260` is at least 35 times the modulus `p`. *Lazy* and *carried* are as in
//! [`super::field`].
//!
//! | Kind | Value | Limbs | Made by | Accepted by |
//! |---|---|---|---|---|
//! | canonical | `[0, p)` | carried | [`NttElement::canonical`], words read from memory | everything |
//! | product | `[0, 2p)` | lazy | [`NttElement::mul_shoup`] | everything but `canonical`, which needs it carried |
//! | reduced | `[0, 4p)` | carried | [`NttElement::reduce_to_4p`] | `add_lazy`, `sub_plus_multiple`, `mul_shoup`, `to_operand` |
//! | lazy sum | `[0, 35p)` | lazy | [`NttElement::add_lazy`], [`NttElement::sub_plus_multiple`] | the same, and `reduce_to_4p` |
//!
//! A Montgomery product of operands `a` and `b` is below `a·b/R' + p`. With `a < 32p` and `b` a
//! product of operands close to `p`, as the powers of roots of unity in the transforms are, it is below
//! `2p` as well.

use ark_ff::{Fp, MontBackend, MontConfig, PrimeField};

pub(crate) use super::shoup::{SCALAR_LIMBS, ShoupConstant};
use super::{
    Lanes, MASK, each,
    field::{Element, Prime, words_to_limbs},
    packed_field::PackedField,
    shoup::SplatConstant,
};
use crate::{SCALAR_WORDS, Words};

/// Eight scalars in memory, limb by limb.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct ScalarVector(pub(crate) [[u64; 8]; SCALAR_LIMBS]);

impl ScalarVector {
    pub(crate) const ZERO: Self = Self([[0; 8]; SCALAR_LIMBS]);
}

/// A scalar field with transforms in lanes.
#[allow(private_interfaces)]
pub trait NttField: PrimeField + PackedField + Words {
    /// Eight elements.
    type PackedScalar<L: Lanes>: NttElement<L>;

    /// The element as a constant for Shoup multiplication.
    fn shoup_constant(self) -> ShoupConstant;
}

#[allow(private_interfaces)]
impl<T: MontConfig<SCALAR_WORDS>> NttField for Fp<MontBackend<T, SCALAR_WORDS>, SCALAR_WORDS> {
    type PackedScalar<L: Lanes> = Prime<L, T, SCALAR_WORDS, SCALAR_LIMBS>;

    fn shoup_constant(self) -> ShoupConstant {
        ShoupConstant::new(montgomery_limbs(self), words_to_limbs(T::MODULUS.0), T::INV & MASK)
    }
}

/// Eight scalars in lanes. The ranges are those of the [table of value kinds](self).
#[allow(private_interfaces)]
pub trait NttElement<L: Lanes>: Element<L> {
    /// Reads what [`NttElement::store`] wrote.
    #[inline(always)]
    fn load(eight: &ScalarVector) -> Self {
        Self::read(&eight.0)
    }
    /// Writes the limbs without carrying.
    #[inline(always)]
    fn store(self, eight: &mut ScalarVector) {
        self.write(&mut eight.0);
    }
    /// `self + other`, lazy. The sum must stay below `R'`.
    fn add_lazy(self, other: Self) -> Self;
    /// `self - other + multiple·p` for a `multiple` of 2, 4, 8 or 16, lazy. `other` must be below
    /// `multiple·p`, so that the result is positive; the result must stay below `R'`.
    fn sub_plus_multiple(self, other: Self, multiple: u64) -> Self;
    /// Propagates carries.
    fn carried(self) -> Self;
    /// Shoup products of values in `[0, R')` with constants: in `[0, 2p)`, lazy. See
    /// [`super::shoup`].
    fn mul_shoup<const K: usize>(values: [Self; K], constants: [&SplatConstant<L>; K])
    -> [Self; K];
    /// Reduces a value in `[0, 35p)` to `[0, 4p)` by one table look-up on the top limb, and
    /// propagates carries. Pending carries into the top limb must be less than `NTT_CARRY_BOUND`.
    fn reduce_to_4p(self) -> Self;
    /// Reduces a carried value in `[0, 2p)` to `[0, p)` by one conditional subtraction.
    fn canonical(self) -> Self;
    /// Transposes eight vectors: lane `i` of vector `j` becomes lane `j` of vector `i`.
    fn transpose(eights: &mut [ScalarVector; 8]);
}

impl<L: Lanes, T: MontConfig<SCALAR_WORDS>> Prime<L, T, SCALAR_WORDS, SCALAR_LIMBS> {
    /// Shift of the top limb that leaves the four bits that index [`Self::REDUCTION_TABLE`]: an
    /// index is a multiple of `2^REDUCTION_SHIFT·B`, with `B = 2^(52·4)`.
    const REDUCTION_SHIFT: u32 = Self::TOP_SHIFT + 2;

    /// Limbs of the multiple of `p` to subtract, by the top limb shifted by
    /// [`Self::REDUCTION_SHIFT`].
    ///
    /// The index is taken from the uncarried top limb plus `NTT_CARRY_BOUND`. A value with index
    /// `i` is at least `(i·2^REDUCTION_SHIFT - 2·NTT_CARRY_BOUND)·B`; the entry is the largest
    /// multiple of `p` that is certainly not more than that. What is left is below
    /// `2^REDUCTION_SHIFT·B + p` and a rounding error, which is below `4p` for both scalar fields.
    const REDUCTION_TABLE: [[u64; 16]; SCALAR_LIMBS] = {
        let (mut held, mut sixteenth) = ([[0; 16]; SCALAR_LIMBS], 1);
        while sixteenth < 16 {
            let least = ((sixteenth as u64) << Self::REDUCTION_SHIFT) - 2 * Self::NTT_CARRY_BOUND;
            let multiple = Self::multiple_of_p(least / (Self::P[SCALAR_LIMBS - 1] + 1));
            let mut i = 0;
            while i < SCALAR_LIMBS {
                held[i][sixteenth] = multiple[i];
                i += 1;
            }
            sixteenth += 1;
        }
        held
    };

    const NTT_CARRY_BOUND: u64 = 1 << 12;
}

#[allow(private_interfaces)]
impl<L: Lanes, T: MontConfig<SCALAR_WORDS>> NttElement<L>
    for Prime<L, T, SCALAR_WORDS, SCALAR_LIMBS>
{
    #[inline(always)]
    fn add_lazy(mut self, other: Self) -> Self {
        each!(5, |i| self.0[i] = self.0[i].add(other.0[i]));
        self
    }

    #[inline(always)]
    fn sub_plus_multiple(mut self, other: Self, multiple: u64) -> Self {
        let multiples = const {
            [
                Self::multiple_of_p(2),
                Self::multiple_of_p(4),
                Self::multiple_of_p(8),
                Self::multiple_of_p(16),
            ]
        };
        let multiple = &multiples[multiple.ilog2() as usize - 1];
        each!(5, |i| self.0[i] = self.0[i].add(L::splat(multiple[i])).sub(other.0[i]));
        self
    }

    #[inline(always)]
    fn carried(self) -> Self {
        Self::carry_limbs(self.0)
    }

    #[inline(always)]
    fn mul_shoup<const K: usize>(
        values: [Self; K],
        constants: [&SplatConstant<L>; K],
    ) -> [Self; K] {
        Self::shoup_products(values, constants)
    }

    #[inline(always)]
    fn reduce_to_4p(mut self) -> Self {
        let held = const { &Self::REDUCTION_TABLE };
        let high = self.0[SCALAR_LIMBS - 1]
            .add(L::splat(Self::NTT_CARRY_BOUND))
            .sar(Self::REDUCTION_SHIFT);
        each!(5, |i| self.0[i] = self.0[i].sub(high.lookup(&held[i])));
        Self::carry_limbs(self.0)
    }

    #[inline(always)]
    fn canonical(self) -> Self {
        let p = const { Self::multiple_of_p(1) };
        let mut less = self.0;
        each!(5, |i| less[i] = less[i].sub(L::splat(p[i])));
        let less = Self::carry_limbs(less);
        let below = less.0[4].sign_mask();
        let mut limbs = less.0;
        each!(5, |i| limbs[i] = limbs[i].add(below.and(L::splat(p[i]))));
        Self::carry_limbs(limbs)
    }

    #[inline(always)]
    fn transpose(eights: &mut [ScalarVector; 8]) {
        each!(5, |limb| {
            let mut square = [L::splat(0); 8];
            each!(8, |i| square[i] = L::load(&eights[i].0[limb]));
            L::transpose(&mut square);
            each!(8, |i| square[i].store(&mut eights[i].0[limb]));
        });
    }
}

/// The limbs of a scalar in Montgomery form with radix `R'`, for products of lanes with each other.
pub(crate) fn montgomery_limbs<F: NttField>(value: F) -> [u64; SCALAR_LIMBS] {
    let mut words = [0; SCALAR_WORDS];
    (value * F::montgomery_r_ratio()).write_words(&mut words);
    words_to_limbs(words)
}

#[cfg(test)]
mod tests {
    use ark_std::{rand::Rng, test_rng};

    use super::*;
    use crate::lanes::{LIMB, Task, portable::PortableLanes as Portable};

    fn modulus<F: NttField>() -> [u64; SCALAR_LIMBS] {
        words_to_limbs::<SCALAR_WORDS, SCALAR_LIMBS>(std::array::from_fn(|i| {
            F::MODULUS.as_ref()[i]
        }))
    }

    /// The element that signed limbs represent.
    fn element_of_limbs<F: NttField>(limbs: [u64; SCALAR_LIMBS]) -> F {
        let base = F::from(1u64 << LIMB);
        limbs.into_iter().rev().fold(F::ZERO, |value, limb| {
            let limb = limb as i64;
            let size = F::from(limb.unsigned_abs());
            value * base + if limb < 0 { -size } else { size }
        })
    }

    /// The limbs with carries propagated; the top limb keeps its carry.
    fn carried(limbs: [u64; SCALAR_LIMBS]) -> [i64; SCALAR_LIMBS] {
        let mut carry = 0;
        let mut carried = limbs.map(|limb| {
            let limb = limb as i64 + carry;
            carry = limb >> LIMB;
            limb & MASK as i64
        });
        carried[SCALAR_LIMBS - 1] += carry << LIMB;
        carried
    }

    /// Whether limbs represent a number in `[0, times·p)`.
    fn is_below<F: NttField>(limbs: [u64; SCALAR_LIMBS], times: u64) -> bool {
        let most = carried(modulus::<F>().map(|limb| limb * times));
        let value = carried(limbs);
        value[SCALAR_LIMBS - 1] >= 0 && value.iter().rev().lt(most.iter().rev())
    }

    /// Edge cases and random limbs, with a top limb below `bound`; some have carries pending and
    /// some are negative.
    fn limbs_of_kind(
        kind: usize,
        p: [u64; SCALAR_LIMBS],
        bound: u64,
        near: [u64; SCALAR_LIMBS],
        rng: &mut impl Rng,
    ) -> [u64; SCALAR_LIMBS] {
        let mut limbs: [u64; SCALAR_LIMBS] = std::array::from_fn(|_| rng.r#gen::<u64>() & MASK);
        limbs[SCALAR_LIMBS - 1] %= bound;
        match kind {
            0 => return [0; SCALAR_LIMBS],
            1 => return [1, 0, 0, 0, 0],
            2 => limbs = [p[0] - 1, p[1], p[2], p[3], p[4]],
            3 => limbs = p,
            4 => limbs = p.map(|limb| 2 * limb),
            5 => limbs = [MASK, MASK, MASK, MASK, bound - 1],
            6 if rng.r#gen() => limbs = near,
            6 => {}
            // A small value with a negative top limb.
            7 if rng.r#gen() => (limbs[3], limbs[4]) = ((2 << LIMB) + limbs[3], u64::MAX),
            _ => {
                // Limbs over 52 bits and negative limbs, below a top limb that keeps the value
                // positive.
                limbs[SCALAR_LIMBS - 1] = limbs[SCALAR_LIMBS - 1].clamp(1 << 12, bound - (1 << 12));
                for limb in &mut limbs[..SCALAR_LIMBS - 1] {
                    *limb = (*limb << 8).wrapping_sub(rng.r#gen::<u64>() >> 4);
                }
            }
        }
        limbs
    }

    fn rows(eight: &ScalarVector) -> [[u64; SCALAR_LIMBS]; 8] {
        std::array::from_fn(|lane| eight.0.map(|limb| limb[lane]))
    }

    /// The inequalities that the documented ranges depend on, in units of the top limb's weight.
    fn bounds_hold<T: MontConfig<SCALAR_WORDS>>() {
        type Packed<T> = Prime<Portable, T, SCALAR_WORDS, SCALAR_LIMBS>;
        let p_top = Packed::<T>::P[SCALAR_LIMBS - 1];
        assert!(35 * (p_top + 1) <= 1 << LIMB, "R' is at least 35p");
        let (shift, carry) = (Packed::<T>::REDUCTION_SHIFT, Packed::<T>::NTT_CARRY_BOUND);
        assert!(35 * (p_top + 1) + 2 * carry < 16 << shift, "35p has an index");
        for index in 0..16u64 {
            let multiple = (index << shift).saturating_sub(2 * carry) / (p_top + 1);
            assert!(((index + 1) << shift) < (multiple + 4) * p_top, "below 4p is left");
        }
    }

    #[test]
    fn documented_bounds_hold() {
        bounds_hold::<ark_bn254::FrConfig>();
        bounds_hold::<ark_bls12_381::FrConfig>();
    }

    struct Checks<F>(std::marker::PhantomData<F>);

    impl<F: NttField, L: Lanes> Task<L> for Checks<F> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            let rng = &mut test_rng();
            let p = modulus::<F>();
            // The last constant makes products small when the value is small: the top limb is zero
            // and lacks a carry.
            let half = F::from(2u64).inverse().unwrap();
            let edges = [F::ZERO, F::ONE, -F::ONE, half, half.pow([208])];
            for round in 0..64u64 {
                let mut eights = [ScalarVector::ZERO; 2];
                let near = [0, 0, 0, 0, round + 1];
                let bounds = [35 * p[SCALAR_LIMBS - 1], MASK + 1];
                for (at, (eight, bound)) in eights.iter_mut().zip(bounds).enumerate() {
                    for lane in 0..8 {
                        let limbs =
                            limbs_of_kind((lane + at * round as usize) % 8, p, bound, near, rng);
                        (0..SCALAR_LIMBS).for_each(|limb| eight.0[limb][lane] = limbs[limb]);
                    }
                }
                let values = [
                    F::PackedScalar::<L>::load(&eights[0]),
                    F::PackedScalar::<L>::load(&eights[1]),
                ];
                let given = [rows(&eights[0]), rows(&eights[1])];
                let constants: [F; 2] = std::array::from_fn(|i| {
                    edges.get(round as usize % 8 + i).copied().unwrap_or(F::rand(rng))
                });
                let splats = [
                    SplatConstant::new(&constants[0].shoup_constant()),
                    SplatConstant::new(&constants[1].shoup_constant()),
                ];
                let products = NttElement::mul_shoup(values, [&splats[0], &splats[1]]);
                let [alone] = NttElement::mul_shoup([values[1]], [&splats[1]]);
                let mut out = [ScalarVector::ZERO; 6];
                products[0].store(&mut out[0]);
                products[1].store(&mut out[1]);
                alone.store(&mut out[2]);
                values[0].reduce_to_4p().store(&mut out[3]);
                products[0].carried().canonical().store(&mut out[4]);
                products[0]
                    .sub_plus_multiple(products[1], 2)
                    .add_lazy(values[0])
                    .store(&mut out[5]);
                let out = out.map(|eight| rows(&eight));
                for lane in 0..8 {
                    let [a, b] = [
                        element_of_limbs::<F>(given[0][lane]),
                        element_of_limbs::<F>(given[1][lane]),
                    ];
                    let expected = [a * constants[0], b * constants[1]];
                    for (at, times) in [(0, 2), (1, 2), (2, 2), (3, 4), (4, 1)] {
                        assert!(is_below::<F>(out[at][lane], times), "{at}, round {round}");
                    }
                    assert_eq!(
                        element_of_limbs::<F>(out[0][lane]),
                        expected[0],
                        "product, round {round}"
                    );
                    assert_eq!(
                        element_of_limbs::<F>(out[1][lane]),
                        expected[1],
                        "product, round {round}"
                    );
                    assert_eq!(
                        element_of_limbs::<F>(out[2][lane]),
                        expected[1],
                        "alone, round {round}"
                    );
                    assert_eq!(element_of_limbs::<F>(out[3][lane]), a, "reduced, round {round}");
                    assert_eq!(
                        element_of_limbs::<F>(out[4][lane]),
                        expected[0],
                        "canonical, round {round}"
                    );
                    assert_eq!(
                        element_of_limbs::<F>(out[5][lane]),
                        expected[0] - expected[1] + a,
                        "sums, round {round}"
                    );
                    for settled in [out[3][lane], out[4][lane]] {
                        assert!(settled.iter().all(|&limb| limb <= MASK), "round {round}");
                    }
                }
            }
        }
    }

    fn hold<L: Lanes>() {
        L::enable(Checks::<ark_bn254::Fr>(std::marker::PhantomData));
        L::enable(Checks::<ark_bls12_381::Fr>(std::marker::PhantomData));
    }

    #[test]
    fn shoup_products_on_portable_lanes_equal_arkworks() {
        hold::<Portable>();
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn shoup_products_on_floating_point_equal_arkworks() {
        if crate::lanes::fma::available() {
            hold::<crate::lanes::fma::Fma>();
        }
    }

    /// On a processor without the instructions, the device tests run this in an emulator.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn shoup_products_on_integer_multiply_add_equal_arkworks() {
        if crate::lanes::ifma::available() {
            hold::<crate::lanes::ifma::Ifma>();
        }
    }
}
