//! Conversion of stored points to rows of lanes, and back.

use super::{LANES, Packed, RowOf};
use crate::{
    Group,
    cpu::msm::stored::{MAX_POINT_WORDS, NEGATED, StoredPoints},
    lanes::{Lanes, Task, each, field::Element},
};

/// Loads stored points into rows; the task returns whether all of them are finite.
pub(super) struct Gather<'a, P: Group> {
    pub(super) points: StoredPoints<'a, P>,
    pub(super) indices: &'a [u32],
    pub(super) rows: &'a mut [RowOf<P>],
}

impl<P: Group, L: Lanes> Task<L> for Gather<'_, P> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let words = P::POINT_WORDS;
        let (indices, _) = self.indices.as_chunks::<LANES>();
        let mut all_finite = L::splat(u64::MAX);
        for (at, (row, indices)) in self.rows.iter_mut().zip(indices).enumerate() {
            for lane in 0..LANES {
                self.points.prefetch_ahead(self.indices, LANES * at + lane);
            }
            let mut columns = [L::splat(0); MAX_POINT_WORDS];
            each!(3, |block| {
                if 8 * block < words {
                    let start = start(block, words);
                    let mut square = [L::splat(0); 8];
                    each!(8, |lane| {
                        let words = &self.points.get(indices[lane])[start..start + 8];
                        square[lane] = L::load(words.try_into().expect("eight words"));
                    });
                    L::transpose(&mut square);
                    each!(8, |word| columns[start + word] = square[word]);
                }
            });
            let mut any = columns[0];
            for column in &columns[1..words] {
                any = any.or(*column);
            }
            // Infinity stays all zeros.
            let finite = L::splat(0).sub(any).or(any).sign_mask();
            all_finite = all_finite.and(finite);
            let negated = L::load_half_words(indices).shl(NEGATED.leading_zeros() + 32).sign_mask();
            let (x, y) = columns[..words].split_at(words / 2);
            let y = Packed::<P, L>::from_words(y).conditional_negate(negated.and(finite));
            let (into_x, into_y) = row.0.as_mut().split_at_mut(Packed::<P, L>::LIMBS);
            Packed::<P, L>::from_words(x).write(into_x);
            y.write(into_y);
        }
        !all_finite.any_zero()
    }
}

/// Writes the points of the picked rows in stored form, one row after the other. A normalized
/// coordinate, below `2p + p/6`, has as many words as the modulus.
pub(super) struct Store<'a, P: Group> {
    pub(super) rows: &'a [RowOf<P>],
    pub(super) picked: &'a [u32],
    pub(super) words: &'a mut [u64],
}

impl<P: Group, L: Lanes> Task<L> for Store<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let words = P::POINT_WORDS;
        for (&row, stored) in self.picked.iter().zip(self.words.chunks_exact_mut(LANES * words)) {
            let limbs = self.rows[row as usize].0.as_ref();
            let mut columns = [L::splat(0); MAX_POINT_WORDS];
            let (x, y) = columns[..words].split_at_mut(words / 2);
            Packed::<P, L>::read(limbs).to_words(x);
            Packed::<P, L>::read(&limbs[Packed::<P, L>::LIMBS..]).normalized().to_words(y);
            each!(3, |block| {
                if 8 * block < words {
                    let start = start(block, words);
                    let mut square = [L::splat(0); 8];
                    each!(8, |word| square[word] = columns[start + word]);
                    L::transpose(&mut square);
                    each!(8, |lane| {
                        let words = &mut stored[lane * words + start..][..8];
                        square[lane].store(words.try_into().expect("eight words"));
                    });
                }
            });
        }
    }
}

/// The first word of a block of eight. With twelve words, the last block overlaps the one before.
#[inline(always)]
fn start(block: usize, words: usize) -> usize {
    (8 * block).min(words - 8)
}
