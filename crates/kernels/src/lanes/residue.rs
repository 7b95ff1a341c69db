//! What a transform does to scalars in lanes: additions whose reductions are put off.
//!
//! A *kept* value is below `4p` (and `2^-40` of it more); products are below `5p/4` where one factor is
//! below `8p` and the other a product or below `p`, since `R'` is at least 35 times `p`. Sums and
//! differences are taken limb by limb, and only then carried, or first brought below `4p` by one look at
//! the highest limb.

use ark_ff::{Fp, MontBackend, MontConfig, PrimeField};

use super::{
    Lanes, each,
    field::{Element, Prime, split},
    vectored::Vectored,
};
use crate::{SCALAR_WORDS, Words};

/// Limbs of a scalar.
pub(crate) const SCALAR_LIMBS: usize = 5;

/// Eight scalars in memory, limb by limb.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Eight(pub(crate) [[u64; 8]; SCALAR_LIMBS]);

impl Eight {
    pub(crate) const ZERO: Self = Self([[0; 8]; SCALAR_LIMBS]);
}

/// A scalar field whose elements are transformed in lanes.
pub trait Transformed: PrimeField + Vectored + Words {
    /// Eight elements.
    type InLanes<L: Lanes>: Residue<L>;
}

impl<T: MontConfig<SCALAR_WORDS>> Transformed for Fp<MontBackend<T, SCALAR_WORDS>, SCALAR_WORDS> {
    type InLanes<L: Lanes> = Prime<L, T, SCALAR_WORDS, SCALAR_LIMBS>;
}

/// Eight scalars in lanes.
#[allow(private_interfaces)]
pub trait Residue<L: Lanes>: Element<L> {
    /// Reads what [`Residue::store`] wrote.
    #[inline(always)]
    fn load(eight: &Eight) -> Self {
        Self::read(&eight.0)
    }
    /// Writes carried limbs.
    #[inline(always)]
    fn store(self, eight: &mut Eight) {
        self.write(&mut eight.0);
    }
    /// The sum, not carried.
    fn plus(self, other: Self) -> Self;
    /// The difference plus twice or four times the modulus, which makes it positive; not carried.
    fn minus(self, other: Self, multiple: u64) -> Self;
    /// Takes the carries.
    fn carry(self) -> Self;
    /// Brings a value below `8p` below `4p`, and takes the carries.
    fn keep(self) -> Self;
    /// Brings a value at most `p` below it.
    fn canonical(self) -> Self;
    /// Each lane takes the place of a vector, and each vector of a lane.
    fn transpose(eights: &mut [Eight; 8]);
}

#[allow(private_interfaces)]
impl<L: Lanes, T: MontConfig<SCALAR_WORDS>> Residue<L> for Prime<L, T, SCALAR_WORDS, SCALAR_LIMBS> {
    #[inline(always)]
    fn plus(mut self, other: Self) -> Self {
        each!(5, |i| self.0[i] = self.0[i].add(other.0[i]));
        self
    }

    #[inline(always)]
    fn minus(mut self, other: Self, multiple: u64) -> Self {
        let multiples = const { [Self::multiple(2), Self::multiple(4)] };
        let multiple = &multiples[(multiple == 4) as usize];
        each!(5, |i| self.0[i] = self.0[i].add(L::splat(multiple[i])).sub(other.0[i]));
        self
    }

    #[inline(always)]
    fn carry(self) -> Self {
        Self::carried(self.0)
    }

    #[inline(always)]
    fn keep(mut self) -> Self {
        let four = const { Self::multiple(4) };
        // What the limbs below can still carry is less than 16; a value that close stays as it is.
        let over = L::splat(four[4] + 16).sub(self.0[4]).negative();
        each!(5, |i| self.0[i] = self.0[i].sub(over.and(L::splat(four[i]))));
        Self::carried(self.0)
    }

    #[inline(always)]
    fn canonical(self) -> Self {
        let p = const { Self::multiple(1) };
        let mut less = self.0;
        each!(5, |i| less[i] = less[i].sub(L::splat(p[i])));
        let less = Self::carried(less);
        let below = less.0[4].negative();
        let mut limbs = less.0;
        each!(5, |i| limbs[i] = limbs[i].add(below.and(L::splat(p[i]))));
        Self::carried(limbs)
    }

    #[inline(always)]
    fn transpose(eights: &mut [Eight; 8]) {
        each!(5, |limb| {
            let mut square = [L::splat(0); 8];
            each!(8, |i| square[i] = L::load(&eights[i].0[limb]));
            L::transpose(&mut square);
            each!(8, |i| square[i].store(&mut eights[i].0[limb]));
        });
    }
}

/// A scalar's limbs, in the form that lanes multiply.
pub(crate) fn limbs<F: Transformed>(value: F) -> [u64; SCALAR_LIMBS] {
    words_as_limbs(value * F::limb_factor())
}

/// What takes words in Montgomery form to limbs: a product with it divides by `R'` and multiplies by
/// the number `2^264`, which is the form in words of `2^8`.
pub(crate) fn from_words_factor<F: Transformed>() -> [u64; SCALAR_LIMBS] {
    words_as_limbs(F::from(1u64 << 8))
}

/// And back: the number `2^256`, which is the form in words of 1.
pub(crate) fn to_words_factor<F: Transformed>() -> [u64; SCALAR_LIMBS] {
    words_as_limbs(F::ONE)
}

/// What takes limbs to plain numbers.
pub(crate) const TO_NUMBER_FACTOR: [u64; SCALAR_LIMBS] = [1, 0, 0, 0, 0];

fn words_as_limbs<F: Transformed>(value: F) -> [u64; SCALAR_LIMBS] {
    let mut words = [0; SCALAR_WORDS];
    value.write_words(&mut words);
    split(words)
}
