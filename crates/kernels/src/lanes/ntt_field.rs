//! What a transform does to scalars in lanes: additions whose carries and reductions are put off.
//!
//! Values are below `R'`, which is at least 35 times `p`; limbs may be negative or longer than 52 bits
//! until carries are taken. Products with constants ([`super::shoup`]) take any value and leave one
//! below `2p`; a Montgomery product, where one factor is below `32p` and the other a product of such
//! products, as well.
//! [`NttElement::reduce_to_4p`] brings a value below `35p` below `4p`, by one look at the highest limb.

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

/// A scalar field whose elements are transformed in lanes.
#[allow(private_interfaces)]
pub trait NttField: PrimeField + PackedField + Words {
    /// Eight elements.
    type PackedScalar<L: Lanes>: NttElement<L>;

    /// The element as a constant.
    fn shoup_constant(self) -> ShoupConstant;
}

#[allow(private_interfaces)]
impl<T: MontConfig<SCALAR_WORDS>> NttField for Fp<MontBackend<T, SCALAR_WORDS>, SCALAR_WORDS> {
    type PackedScalar<L: Lanes> = Prime<L, T, SCALAR_WORDS, SCALAR_LIMBS>;

    fn shoup_constant(self) -> ShoupConstant {
        ShoupConstant::new(montgomery_limbs(self), words_to_limbs(T::MODULUS.0), T::INV & MASK)
    }
}

/// Eight scalars in lanes.
#[allow(private_interfaces)]
pub trait NttElement<L: Lanes>: Element<L> {
    /// Reads what [`NttElement::store`] wrote.
    #[inline(always)]
    fn load(eight: &ScalarVector) -> Self {
        Self::read(&eight.0)
    }
    /// Writes the limbs as they are.
    #[inline(always)]
    fn store(self, eight: &mut ScalarVector) {
        self.write(&mut eight.0);
    }
    /// The sum, not carried.
    fn add_lazy(self, other: Self) -> Self;
    /// The difference plus so many times the modulus (2, 4, 8 or 16), which makes it positive; not carried.
    fn sub_plus_multiple(self, other: Self, multiple: u64) -> Self;
    /// Takes the carries.
    fn carried(self) -> Self;
    /// Products of any values with constants, below `2p` and not carried; see [`super::shoup`].
    fn mul_shoup<const K: usize>(values: [Self; K], constants: [&SplatConstant<L>; K])
    -> [Self; K];
    /// Brings a value below `35p` below `4p`, and takes the carries.
    fn reduce_to_4p(self) -> Self;
    /// Brings a value below `2p` below `p`.
    fn canonical(self) -> Self;
    /// Each lane takes the place of a vector, and each vector of a lane.
    fn transpose(eights: &mut [ScalarVector; 8]);
}

impl<L: Lanes, T: MontConfig<SCALAR_WORDS>> Prime<L, T, SCALAR_WORDS, SCALAR_LIMBS> {
    /// Bits of the highest limb below the four that tell about how many times `p` a value is.
    const REDUCTION_SHIFT: u32 = Self::TOP_SHIFT + 2;

    /// Limbs of the multiples of `p` that a value holds for certain, by those four bits. The bits are taken
    /// of uncarried limbs: what those below can carry, either way, is less than [`Self::NTT_CARRY_BOUND`].
    const REDUCTION_TABLE: [[u64; 16]; SCALAR_LIMBS] = {
        let (mut held, mut sixteenth) = ([[0; 16]; SCALAR_LIMBS], 1);
        while sixteenth < 16 {
            let least = ((sixteenth as u64) << Self::REDUCTION_SHIFT) - 2 * Self::NTT_CARRY_BOUND;
            let multiple = Self::multiple(least / (Self::P[SCALAR_LIMBS - 1] + 1));
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
        let multiples =
            const { [Self::multiple(2), Self::multiple(4), Self::multiple(8), Self::multiple(16)] };
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
        let p = const { Self::multiple(1) };
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

/// A scalar's limbs, in the form that lanes multiply with each other.
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

    /// The element that limbs stand for, some of which may be negative.
    fn element<F: NttField>(limbs: [u64; SCALAR_LIMBS]) -> F {
        let base = F::from(1u64 << LIMB);
        limbs.into_iter().rev().fold(F::ZERO, |value, limb| {
            let limb = limb as i64;
            let size = F::from(limb.unsigned_abs());
            value * base + if limb < 0 { -size } else { size }
        })
    }

    /// The limbs after their carries, but for the highest.
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

    /// Whether limbs stand for a number that is not negative and below so many times the modulus.
    fn is_below<F: NttField>(limbs: [u64; SCALAR_LIMBS], times: u64) -> bool {
        let most = carried(modulus::<F>().map(|limb| limb * times));
        let value = carried(limbs);
        value[SCALAR_LIMBS - 1] >= 0 && value.iter().rev().lt(most.iter().rev())
    }

    /// Limbs at the edges and random ones, of which the highest stays below a bound; of some, the carries are
    /// not taken, and some are negative.
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
            // A small value whose highest limb is negative.
            7 if rng.r#gen() => (limbs[3], limbs[4]) = ((2 << LIMB) + limbs[3], u64::MAX),
            _ => {
                // Longer limbs, and negative ones below a highest that makes up for them.
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

    struct Checks<F>(std::marker::PhantomData<F>);

    impl<F: NttField, L: Lanes> Task<L> for Checks<F> {
        type Output = ();

        #[inline(always)]
        fn run(self) {
            let rng = &mut test_rng();
            let p = modulus::<F>();
            // What is left of a product with the last is small where the other factor is near: its highest limb
            // is zero, and lacks a carry.
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
                    let [a, b] = [element::<F>(given[0][lane]), element::<F>(given[1][lane])];
                    let expected = [a * constants[0], b * constants[1]];
                    for (at, times) in [(0, 2), (1, 2), (2, 2), (3, 4), (4, 1)] {
                        assert!(is_below::<F>(out[at][lane], times), "{at}, round {round}");
                    }
                    assert_eq!(element::<F>(out[0][lane]), expected[0], "product, round {round}");
                    assert_eq!(element::<F>(out[1][lane]), expected[1], "product, round {round}");
                    assert_eq!(element::<F>(out[2][lane]), expected[1], "alone, round {round}");
                    assert_eq!(element::<F>(out[3][lane]), a, "settled, round {round}");
                    assert_eq!(element::<F>(out[4][lane]), expected[0], "canonical, round {round}");
                    assert_eq!(
                        element::<F>(out[5][lane]),
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
    fn products_with_constants_on_plain_words_equal_arkworks() {
        hold::<Portable>();
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn products_with_constants_on_floating_point_equal_arkworks() {
        if crate::lanes::fma::available() {
            hold::<crate::lanes::fma::Fma>();
        }
    }

    /// Where the processor lacks the instructions, the tests of the device run this on an emulated one.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn products_with_constants_on_integer_multiply_add_equal_arkworks() {
        if crate::lanes::ifma::available() {
            hold::<crate::lanes::ifma::Ifma>();
        }
    }
}
