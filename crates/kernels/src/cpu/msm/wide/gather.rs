//! A key's points, turned into rows of lanes.

use super::{In, LANES, RowOf};
use crate::{
    Group,
    cpu::msm::stored::{AHEAD, NEGATED, stored},
    lanes::{Lanes, Task, each, field::Element},
    prefetch,
};

/// Most words of a point.
const MOST_WORDS: usize = 24;

/// Fills rows with stored points.
pub(super) struct Gather<'a, P: Group> {
    pub(super) words: &'a [u64],
    pub(super) indices: &'a [u32],
    pub(super) rows: &'a mut [RowOf<P>],
}

impl<P: Group, L: Lanes> Task<L> for Gather<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (words, (indices, _)) = (P::POINT_WORDS, self.indices.as_chunks::<LANES>());
        let point = |index: u32| stored(self.words, words, index);
        for (at, (row, indices)) in self.rows.iter_mut().zip(indices).enumerate() {
            if let Some(ahead) = self.indices.get(LANES * at + AHEAD..LANES * (at + 1) + AHEAD) {
                ahead.iter().for_each(|&index| prefetch::soon(point(index)));
            }
            let mut columns = [L::splat(0); MOST_WORDS];
            each!(3, |block| {
                // The last block of twelve words overlaps the one before.
                let start = (8 * block).min(words - 8);
                if 8 * block < words {
                    let mut square = [L::splat(0); 8];
                    each!(8, |lane| {
                        let words = &point(indices[lane])[start..start + 8];
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
            // Infinity must stay zeros.
            let finite = L::splat(0).sub(any).or(any).negative();
            let negated = L::load_half_words(indices).shl(NEGATED.leading_zeros() + 32).negative();
            let (x, y) = columns[..words].split_at(words / 2);
            let y = In::<P, L>::from_words(y).negated_where(negated.and(finite));
            let (into_x, into_y) = row.0.as_mut().split_at_mut(In::<P, L>::LIMBS);
            In::<P, L>::from_words(x).write(into_x);
            y.write(into_y);
        }
    }
}
