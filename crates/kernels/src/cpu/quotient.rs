//! Evaluations on a domain in the form that a path works on, and the quotient computed from them.

use rayon::prelude::*;
use zeroize::Zeroize;

use super::{evaluate, expect, ntt, vector_ntt};
use crate::{
    DeviceError, Domain, Matrix, Path, Quotient, SCALAR_WORDS, Scalar, Scalars,
    lanes::ntt_field::{NttField, ScalarVector},
    memory::{repeated, wipe, zeroed},
    sparse::montgomery_r,
};

/// Vectors that one task converts to elements through their words.
const VECTORS_PER_READ: usize = 1 << 7;

/// Evaluations divided by R, wiped when dropped because they reveal the witness. The words of the
/// Montgomery form of a value divided by R are the canonical words of the value.
pub struct Values<F: Zeroize>(Form<F>);

enum Form<F> {
    /// Elements one after the other.
    Words(Vec<F>),
    /// In limbs, eight elements to a vector.
    Lanes(Vec<ScalarVector>),
}

impl<F: Zeroize> Drop for Values<F> {
    fn drop(&mut self) {
        match &mut self.0 {
            Form::Words(values) => values.zeroize(),
            Form::Lanes(values) => wipe(values, ScalarVector::ZERO),
        }
    }
}

/// A domain with its twiddles, in the form of a path.
pub struct CpuDomain<F> {
    path: Path,
    domain: Domain<F>,
    twiddles: DomainTwiddles<F>,
}

enum DomainTwiddles<F> {
    Words(ntt::Twiddles<F>),
    Lanes(Box<vector_ntt::VectorDomain<F>>),
}

/// Binds a name to the lane type of a path in an expression.
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

impl<F: NttField> CpuDomain<F> {
    /// The path must be available. Small domains use the portable path.
    pub(crate) fn new(path: Path, domain: Domain<F>) -> Self {
        let path = if domain.size() < vector_ntt::SMALLEST { Path::Portable } else { path };
        let twiddles = match path {
            Path::Portable => DomainTwiddles::Words(ntt::Twiddles::new(domain)),
            _ => DomainTwiddles::Lanes(Box::new(vector_ntt::VectorDomain::new(domain))),
        };
        Self { path, domain, twiddles }
    }

    /// The path of transforms on the domain.
    pub(crate) fn path(&self) -> Path {
        self.path
    }

    pub(super) fn size(&self) -> usize {
        self.domain.size()
    }

    /// Refuses values of another domain or another path.
    pub(super) fn check(&self, values: &Values<F>) -> Result<(), DeviceError> {
        let got = match (&values.0, &self.twiddles) {
            (Form::Words(values), DomainTwiddles::Words(_)) => values.len(),
            (Form::Lanes(values), DomainTwiddles::Lanes(_)) => 8 * values.len(),
            _ => 0,
        };
        expect("values on the domain", self.size(), got)
    }

    /// Converts elements to the path's form.
    pub(crate) fn values(&self, elements: &[F]) -> Values<F> {
        Values(match self.twiddles {
            DomainTwiddles::Words(_) => Form::Words(elements.to_vec()),
            DomainTwiddles::Lanes(_) => {
                let mut values = repeated(ScalarVector::ZERO, elements.len() / 8);
                with_lanes!(self.path, L => vector_ntt::import::<F, L>(elements, &mut values));
                Form::Lanes(values)
            }
        })
    }

    /// Converts values back to elements.
    pub(crate) fn read(&self, values: &Values<F>, elements: &mut [F]) {
        match &values.0 {
            Form::Words(values) => elements.copy_from_slice(values),
            Form::Lanes(values) => {
                let tasks = elements
                    .par_chunks_mut(8 * VECTORS_PER_READ)
                    .zip(values.par_chunks(VECTORS_PER_READ));
                tasks.for_each_init(Vec::new, |words: &mut Vec<Scalar>, (elements, values)| {
                    words.resize(elements.len(), [0; SCALAR_WORDS]);
                    with_lanes!(self.path, L => vector_ntt::export::<F, L>(values, F::ONE, words));
                    for (element, words) in elements.iter_mut().zip(&*words) {
                        *element = F::read_words_unchecked(words);
                    }
                    wipe(words, [0; SCALAR_WORDS]);
                });
            }
        }
    }

    /// A matrix times scalars.
    pub(super) fn evaluate(&self, matrix: &Matrix<F>, scalars: &[Scalar]) -> Values<F> {
        let rows_per_task = evaluate::ROWS_PER_TASK;
        Values(match &self.twiddles {
            DomainTwiddles::Words(_) => {
                let mut values = vec![F::ZERO; self.size()];
                values.par_chunks_mut(rows_per_task).enumerate().for_each(|(at, values)| {
                    evaluate::rows(matrix, scalars, at * rows_per_task, values);
                });
                Form::Words(values)
            }
            DomainTwiddles::Lanes(_) => {
                let mut values = repeated(ScalarVector::ZERO, self.size() / 8);
                let rows = values.par_chunks_mut(rows_per_task / 8).enumerate();
                rows.filter(|(at, _)| at * rows_per_task < matrix.rows()).for_each_init(
                    || vec![F::ZERO; rows_per_task],
                    |sums, (at, values)| {
                        let sums = &mut sums[..8 * values.len()];
                        sums.fill(F::ZERO);
                        evaluate::rows(matrix, scalars, at * rows_per_task, sums);
                        with_lanes!(self.path, L => vector_ntt::import_serial::<F, L>(sums, values));
                        sums.iter_mut().for_each(Zeroize::zeroize);
                    },
                );
                Form::Lanes(values)
            }
        })
    }

    /// From evaluations on the domain to evaluations on its odd coset, both in natural order: two
    /// transforms and the coset shift, most of the work of a quotient.
    pub(crate) fn to_odd_coset(&self, values: &mut Values<F>) {
        match (&mut values.0, &self.twiddles) {
            (Form::Words(values), DomainTwiddles::Words(twiddles)) => twiddles.to_odd_coset(values),
            (Form::Lanes(values), DomainTwiddles::Lanes(twiddles)) => {
                with_lanes!(self.path, L => twiddles.to_odd_coset::<L>(values));
            }
            _ => unreachable!("the values were checked"),
        }
    }

    /// From evaluations on the domain to coefficients times its size, in bit-reversed order.
    fn to_coefficients(&self, values: &mut Values<F>) {
        match (&mut values.0, &self.twiddles) {
            (Form::Words(values), DomainTwiddles::Words(twiddles)) => {
                twiddles.to_coefficients(values)
            }
            (Form::Lanes(values), DomainTwiddles::Lanes(twiddles)) => {
                with_lanes!(self.path, L => twiddles.to_coefficients::<L>(values));
            }
            _ => unreachable!("the values were checked"),
        }
    }

    /// From evaluations on the odd coset to coefficients times the size of the domain, in
    /// bit-reversed order.
    fn off_odd_coset(&self, values: &mut Values<F>) {
        match (&mut values.0, &self.twiddles) {
            (Form::Words(values), DomainTwiddles::Words(twiddles)) => {
                twiddles.off_odd_coset(values)
            }
            (Form::Lanes(values), DomainTwiddles::Lanes(twiddles)) => {
                with_lanes!(self.path, L => twiddles.off_odd_coset::<L>(values));
            }
            _ => unreachable!("the values were checked"),
        }
    }

    /// The quotient of values that were checked.
    ///
    /// On the odd coset the vanishing polynomial is -2 everywhere, so `a ∘ b - c` there is -2 times
    /// the quotient. Coefficients take one transform less: modulo `X^n + 1`, -2 times the quotient
    /// is the product of `a` and `b` minus `c`, and `c` is known by its coefficients without a
    /// forward transform.
    pub(super) fn quotient(
        &self,
        quotient: Quotient,
        mut a: Values<F>,
        mut b: Values<F>,
    ) -> Scalars {
        let mut c = self.product(&a, &b);
        let to_coset = |values: &mut Values<F>| self.to_odd_coset(values);
        let ((), ((), ())) = rayon::join(
            || to_coset(&mut a),
            || {
                rayon::join(
                    || to_coset(&mut b),
                    || match quotient {
                        Quotient::OddCoset => to_coset(&mut c),
                        Quotient::Coefficients => self.to_coefficients(&mut c),
                    },
                )
            },
        );
        Scalars::new(match quotient {
            Quotient::OddCoset => self.remainder(&mut a, &b, &c),
            Quotient::Coefficients => {
                self.multiply(&mut a, &b);
                drop(b);
                self.off_odd_coset(&mut a);
                let over = -F::from(2u64) * F::from(self.size() as u64);
                self.difference(&a, &c, ntt::inverse(over))
            }
        })
    }

    /// `a ∘ b`.
    fn product(&self, a: &Values<F>, b: &Values<F>) -> Values<F> {
        Values(match (&a.0, &b.0) {
            (Form::Words(a), Form::Words(b)) => {
                Form::Words(a.par_iter().zip(b).map(|(&a, &b)| a * b).collect())
            }
            (Form::Lanes(a), Form::Lanes(b)) => {
                Form::Lanes(with_lanes!(self.path, L => vector_ntt::product::<F, L>(a, b)))
            }
            _ => unreachable!("the values were checked"),
        })
    }

    /// `a ∘ b`, in place of `a`.
    fn multiply(&self, a: &mut Values<F>, b: &Values<F>) {
        match (&mut a.0, &b.0) {
            (Form::Words(a), Form::Words(b)) => a.par_iter_mut().zip(b).for_each(|(a, &b)| *a *= b),
            (Form::Lanes(a), Form::Lanes(b)) => {
                with_lanes!(self.path, L => vector_ntt::multiply::<F, L>(a, b));
            }
            _ => unreachable!("the values were checked"),
        }
    }

    /// The canonical words of `a ∘ b - c`; `a` is overwritten with intermediate values.
    fn remainder(&self, a: &mut Values<F>, b: &Values<F>, c: &Values<F>) -> Vec<Scalar> {
        match (&mut a.0, &b.0, &c.0) {
            (Form::Words(a), Form::Words(b), Form::Words(c)) => {
                let terms = a.par_iter().zip(b).zip(c);
                let r = montgomery_r();
                terms.map(|((&a, &b), &c)| canonical(a * b - c, r)).collect()
            }
            (Form::Lanes(a), Form::Lanes(b), Form::Lanes(c)) => {
                let mut numbers = zeroed::<Scalar>(self.size());
                let scale = vector_ntt::limb_montgomery_r();
                with_lanes!(self.path, L => {
                    vector_ntt::export_remainder::<F, L>(a, b, c, scale, &mut numbers);
                });
                numbers
            }
            _ => unreachable!("the values were checked"),
        }
    }

    /// The canonical words of `(a - b) · scale` in natural order, from values in bit-reversed
    /// order.
    fn difference(&self, a: &Values<F>, b: &Values<F>, scale: F) -> Vec<Scalar> {
        let mut numbers = match (&a.0, &b.0) {
            (Form::Words(a), Form::Words(b)) => {
                let scale = scale * montgomery_r::<F>();
                a.par_iter().zip(b).map(|(&a, &b)| canonical(a - b, scale)).collect()
            }
            (Form::Lanes(a), Form::Lanes(b)) => {
                let mut numbers = zeroed::<Scalar>(self.size());
                let scale = scale * vector_ntt::limb_montgomery_r::<F>();
                with_lanes!(self.path, L => {
                    vector_ntt::export_difference::<F, L>(a, b, scale, &mut numbers);
                });
                numbers
            }
            _ => unreachable!("the values were checked"),
        };
        ntt::reverse_bits(&mut numbers);
        numbers
    }
}

/// The canonical words of a product of values that are divided by R. `scale` is R times any other
/// factor.
fn canonical<F: NttField>(value: F, scale: F) -> Scalar {
    let mut words = Scalar::default();
    (value * scale).write_words(&mut words);
    words
}
