//! Evaluations on a domain, in the form of the path that works on them, and the quotient made of them.

use ark_ff::PrimeField;
use rayon::prelude::*;
use zeroize::Zeroize;

use super::{evaluate, expect, ntt, wide_ntt};
use crate::{
    DeviceError, Domain, Matrix, Path, Quotient, Scalar, Scalars,
    lanes::residue::{
        Eight, TO_NUMBER_FACTOR, Transformed, from_words_factor, limbs, to_words_factor,
    },
    memory::repeated,
};

/// Evaluations in Montgomery form, wiped when dropped: they reveal the witness.
pub struct Values<F: Zeroize>(Form<F>);

enum Form<F> {
    /// One element after the other.
    Words(Vec<F>),
    /// In limbs, eight elements side by side.
    Lanes(Vec<Eight>),
}

impl<F: Zeroize> Drop for Values<F> {
    fn drop(&mut self) {
        match &mut self.0 {
            Form::Words(values) => values.zeroize(),
            Form::Lanes(values) => values.iter_mut().for_each(|eight| eight.0.zeroize()),
        }
    }
}

/// A domain with its factors, in the form of a path.
pub struct CpuDomain<F> {
    path: Path,
    domain: Domain<F>,
    factors: Factors<F>,
}

enum Factors<F> {
    Words(ntt::Twiddles<F>),
    Lanes(Box<wide_ntt::WideDomain<F>>),
}

/// Names the lanes of a path and does something with them.
macro_rules! with_lanes {
    ($path:expr, $lanes:ident => $body:expr) => {
        match $path {
            #[cfg(target_arch = "x86_64")]
            Path::Ifma => {
                type $lanes = crate::lanes::ifma::Ifma;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => {
                type $lanes = crate::lanes::fma::Fma;
                $body
            }
            path => unreachable!("values of the path {path} are not in lanes"),
        }
    };
}

impl<F: Transformed> CpuDomain<F> {
    /// The path must be available. Domains of a few points are not worth lanes.
    pub(crate) fn new(path: Path, domain: Domain<F>) -> Self {
        let path = if domain.size() < wide_ntt::SMALLEST { Path::Portable } else { path };
        let factors = match path {
            Path::Portable => Factors::Words(ntt::Twiddles::new(domain)),
            _ => Factors::Lanes(Box::new(wide_ntt::WideDomain::new(domain))),
        };
        Self { path, domain, factors }
    }

    /// The path that serves transforms on the domain.
    pub(crate) fn path(&self) -> Path {
        self.path
    }

    pub(super) fn size(&self) -> usize {
        self.domain.size()
    }

    /// Values of another domain, or of another path, are refused.
    pub(super) fn check(&self, values: &Values<F>) -> Result<(), DeviceError> {
        let got = match (&values.0, &self.factors) {
            (Form::Words(values), Factors::Words(_)) => values.len(),
            (Form::Lanes(values), Factors::Lanes(_)) => 8 * values.len(),
            _ => 0,
        };
        expect("values on the domain", self.size(), got)
    }

    /// Brings elements to the path's form.
    pub(crate) fn values(&self, elements: Vec<F>) -> Values<F> {
        Values(match self.factors {
            Factors::Words(_) => Form::Words(elements),
            Factors::Lanes(_) => {
                let mut values = repeated(Eight::ZERO, elements.len() / 8);
                let factor = from_words_factor::<F>();
                with_lanes!(self.path, L => wide_ntt::import::<F, L>(&elements, &factor, &mut values));
                Form::Lanes(values)
            }
        })
    }

    /// Reads elements back.
    pub(crate) fn read(&self, values: &Values<F>, elements: &mut [F]) {
        match &values.0 {
            Form::Words(values) => elements.copy_from_slice(values),
            Form::Lanes(values) => {
                let words = self.numbers(values, &to_words_factor::<F>());
                elements
                    .par_iter_mut()
                    .zip(&words)
                    .for_each(|(element, words)| *element = F::read_words_unchecked(words));
            }
        }
    }

    fn numbers(&self, values: &[Eight], factor: &[u64; 5]) -> Vec<Scalar> {
        let mut numbers = repeated(Scalar::default(), 8 * values.len());
        with_lanes!(self.path, L => wide_ntt::export::<F, L>(values, factor, &mut numbers));
        numbers
    }

    /// A matrix times scalars.
    pub(super) fn evaluate(&self, matrix: &Matrix<F>, scalars: &[Scalar]) -> Values<F> {
        let share = evaluate::SHARE;
        Values(match &self.factors {
            Factors::Words(_) => {
                let mut values = vec![F::ZERO; self.size()];
                values.par_chunks_mut(share).enumerate().for_each(|(at, values)| {
                    evaluate::rows(matrix, scalars, at * share, values);
                });
                Form::Words(values)
            }
            Factors::Lanes(_) => {
                let mut values = repeated(Eight::ZERO, self.size() / 8);
                let factor = from_words_factor::<F>();
                let rows = values.par_chunks_mut(share / 8).enumerate();
                rows.filter(|(at, _)| at * share < matrix.rows()).for_each_init(
                    || vec![F::ZERO; share],
                    |sums, (at, values)| {
                        let sums = &mut sums[..8 * values.len()];
                        sums.fill(F::ZERO);
                        evaluate::rows(matrix, scalars, at * share, sums);
                        with_lanes!(self.path, L => wide_ntt::import_share::<F, L>(sums, &factor, values));
                        sums.iter_mut().for_each(Zeroize::zeroize);
                    },
                );
                Form::Lanes(values)
            }
        })
    }

    /// From evaluations on the domain to evaluations on its odd coset, both in natural order: two
    /// transforms and the shift between them, the work of which a quotient does three.
    pub(crate) fn to_odd_coset(&self, values: &mut Values<F>) {
        match (&mut values.0, &self.factors) {
            (Form::Words(values), Factors::Words(factors)) => factors.to_odd_coset(values),
            (Form::Lanes(values), Factors::Lanes(factors)) => {
                with_lanes!(self.path, L => factors.to_odd_coset::<L>(values));
            }
            _ => unreachable!("the values were checked"),
        }
    }

    /// The quotient of checked values.
    pub(super) fn quotient(
        &self,
        quotient: Quotient,
        mut a: Values<F>,
        mut b: Values<F>,
    ) -> Scalars {
        let mut c = self.product(&a, &b);
        rayon::join(
            || self.to_odd_coset(&mut a),
            || rayon::join(|| self.to_odd_coset(&mut b), || self.to_odd_coset(&mut c)),
        );
        self.multiply_subtract(&mut a, &b, &c);
        drop((b, c));
        // On the odd coset the vanishing polynomial is -2 everywhere.
        let divisor = -F::from(2u64).inverse().expect("the field's characteristic is odd");
        Scalars::new(match (&mut a.0, &self.factors, quotient) {
            (Form::Words(a), Factors::Words(factors), quotient) => {
                if quotient == Quotient::Coefficients {
                    factors.to_coefficients(a);
                    a.par_iter_mut().for_each(|a| *a *= divisor);
                }
                a.par_iter().map(number).collect()
            }
            (Form::Lanes(a), Factors::Lanes(_), Quotient::OddCoset) => {
                self.numbers(a, &TO_NUMBER_FACTOR)
            }
            (Form::Lanes(a), Factors::Lanes(factors), Quotient::Coefficients) => {
                with_lanes!(self.path, L => factors.to_coefficients::<L>(a));
                // The divisor's form in limbs, times limbs, would give limbs; over R' it gives numbers.
                let over = F::limb_factor() * F::from(2u64).pow([256]);
                let factor = limbs(divisor * over.inverse().expect("a power of two is not zero"));
                let mut numbers = self.numbers(a, &factor);
                ntt::reverse_bits(&mut numbers);
                numbers
            }
            _ => unreachable!("the values were checked"),
        })
    }

    fn product(&self, a: &Values<F>, b: &Values<F>) -> Values<F> {
        Values(match (&a.0, &b.0) {
            (Form::Words(a), Form::Words(b)) => {
                Form::Words(a.par_iter().zip(b).map(|(&a, &b)| a * b).collect())
            }
            (Form::Lanes(a), Form::Lanes(b)) => {
                Form::Lanes(with_lanes!(self.path, L => wide_ntt::multiply::<F, L>(a, b)))
            }
            _ => unreachable!("the values were checked"),
        })
    }

    /// `a ∘ b - c`, into `a`.
    fn multiply_subtract(&self, a: &mut Values<F>, b: &Values<F>, c: &Values<F>) {
        match (&mut a.0, &b.0, &c.0) {
            (Form::Words(a), Form::Words(b), Form::Words(c)) => {
                a.par_iter_mut().zip(b).zip(c).for_each(|((a, &b), &c)| *a = *a * b - c);
            }
            (Form::Lanes(a), Form::Lanes(b), Form::Lanes(c)) => {
                with_lanes!(self.path, L => wide_ntt::multiply_subtract::<F, L>(a, b, c));
            }
            _ => unreachable!("the values were checked"),
        }
    }
}

/// The canonical integer.
fn number<F: PrimeField>(value: &F) -> Scalar {
    let mut words = Scalar::default();
    words.copy_from_slice(value.into_bigint().as_ref());
    words
}
