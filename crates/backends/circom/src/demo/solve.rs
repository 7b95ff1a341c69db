//! Computes a witness from the constraints.
//!
//! In a circuit that only adds, multiplies and hashes, each constraint determines one new wire, which
//! occurs linearly. Propagation from the inputs therefore finds every wire, for any numbering of the
//! wires, without a table from names to wires. This does not replace a witness calculator: a bit
//! decomposition or a division has wires that no single constraint determines.

use ark_ff::{Field, Zero};
use athanor_groth16::R1cs;
use zeroize::Zeroizing;

use super::poseidon::Fr;

/// Why constraints and inputs do not determine a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// A constraint does not hold.
    #[error("constraint {constraint} does not hold: the inputs contradict the circuit")]
    Unsatisfied {
        /// Index of the constraint, from 0.
        constraint: usize,
    },
    /// No constraint determines a wire.
    #[error("wire {wire} is not determined by the inputs, one constraint at a time")]
    Open {
        /// The first such wire.
        wire: usize,
    },
    /// An input is for a wire that does not exist.
    #[error("the input is for wire {wire}, but the constraint system has {wires} wires")]
    NoSuchWire {
        /// Index of the wire.
        wire: usize,
        /// Number of wires.
        wires: usize,
    },
}

/// Computes the value of every wire from the given ones. Wire 0 is 1 and need not be given.
pub fn solve(
    r1cs: &R1cs<Fr>,
    given: impl IntoIterator<Item = (usize, Fr)>,
) -> Result<Zeroizing<Vec<Fr>>, SolveError> {
    let mut search = Search::new(r1cs);
    search.set(0, Fr::ONE);
    for (wire, value) in given {
        if wire >= r1cs.wires {
            return Err(SolveError::NoSuchWire { wire, wires: r1cs.wires });
        }
        search.set(wire, value);
    }
    while let Some(constraint) = search.ready.pop() {
        if let Some((wire, value)) = search.determine(constraint) {
            search.set(wire, value);
        }
    }
    if let Some(wire) = search.known.iter().position(|known| !known) {
        return Err(SolveError::Open { wire });
    }
    check(r1cs, &search.values)?;
    Ok(search.values)
}

/// Checks every constraint.
pub fn check(r1cs: &R1cs<Fr>, values: &[Fr]) -> Result<(), SolveError> {
    let sum = |row: &[(u32, Fr)]| -> Fr { row.iter().map(|(w, k)| values[*w as usize] * k).sum() };
    let mut rows = r1cs.a.iter().zip(r1cs.b.iter()).zip(r1cs.c.iter());
    match rows.position(|((a, b), c)| sum(a) * sum(b) != sum(c)) {
        Some(constraint) => Err(SolveError::Unsatisfied { constraint }),
        None => Ok(()),
    }
}

struct Search<'a> {
    r1cs: &'a R1cs<Fr>,
    values: Zeroizing<Vec<Fr>>,
    known: Vec<bool>,
    /// The constraints in which each wire occurs.
    uses: Vec<Vec<usize>>,
    /// Number of unknown wires of each constraint.
    open: Vec<usize>,
    /// Constraints with one unknown wire.
    ready: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(r1cs: &'a R1cs<Fr>) -> Self {
        let mut uses = vec![Vec::new(); r1cs.wires];
        let mut open = Vec::with_capacity(r1cs.constraints());
        for constraint in 0..r1cs.constraints() {
            let mut wires: Vec<usize> = rows(r1cs, constraint)
                .into_iter()
                .flat_map(|row| row.iter().map(|(wire, _)| *wire as usize))
                .collect();
            wires.sort_unstable();
            wires.dedup();
            open.push(wires.len());
            for wire in wires {
                uses[wire].push(constraint);
            }
        }
        let values = Zeroizing::new(vec![Fr::zero(); r1cs.wires]);
        Self { r1cs, values, known: vec![false; r1cs.wires], uses, open, ready: Vec::new() }
    }

    fn set(&mut self, wire: usize, value: Fr) {
        if std::mem::replace(&mut self.known[wire], true) {
            return; // Already known; the check at the end compares the values.
        }
        self.values[wire] = value;
        for &constraint in &self.uses[wire] {
            self.open[constraint] -= 1;
            if self.open[constraint] == 1 {
                self.ready.push(constraint);
            }
        }
    }

    /// The unknown wire of a constraint and its value, if it occurs linearly:
    /// `(a + a'x)(b + b'x) = c + c'x` with `a'b' = 0`.
    fn determine(&self, constraint: usize) -> Option<(usize, Fr)> {
        let mut open = None;
        let [(a, da), (b, db), (c, dc)] = rows(self.r1cs, constraint).map(|row| {
            let (mut sum, mut slope) = (Fr::zero(), Fr::zero());
            for (wire, coefficient) in row {
                let wire = *wire as usize;
                if self.known[wire] {
                    sum += self.values[wire] * coefficient;
                } else {
                    open = Some(wire);
                    slope += coefficient;
                }
            }
            (sum, slope)
        });
        if !(da * db).is_zero() {
            return None;
        }
        Some((open?, (c - a * b) * (a * db + b * da - dc).inverse()?))
    }
}

fn rows(r1cs: &R1cs<Fr>, constraint: usize) -> [&[(u32, Fr)]; 3] {
    [&r1cs.a, &r1cs.b, &r1cs.c].map(|matrix| matrix.row(constraint))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = &'a [(u32, i64)];

    fn system(wires: usize, constraints: &[[Row; 3]]) -> R1cs<Fr> {
        let mut r1cs = R1cs {
            wires,
            public: 0,
            a: Default::default(),
            b: Default::default(),
            c: Default::default(),
        };
        for [a, b, c] in constraints {
            r1cs.a.push(a.iter().map(|&(wire, k)| (wire, Fr::from(k))));
            r1cs.b.push(b.iter().map(|&(wire, k)| (wire, Fr::from(k))));
            r1cs.c.push(c.iter().map(|&(wire, k)| (wire, Fr::from(k))));
        }
        r1cs
    }

    fn fr(value: i64) -> Fr {
        Fr::from(value)
    }

    #[test]
    fn wires_are_found_in_any_order_and_on_any_side() {
        // w2 = w1², 2·w3·w2 = 36 (a division); w4 = w3 + 1 is the first constraint.
        let r1cs = system(
            5,
            &[
                [&[(4, 1)], &[(0, 1)], &[(3, 1), (0, 1)]],
                [&[(3, 2)], &[(2, 1)], &[(0, 36)]],
                [&[(1, 1)], &[(1, 1)], &[(2, 1)]],
            ],
        );
        let values = solve(&r1cs, [(1, fr(3))]).unwrap();
        assert_eq!(*values, [1, 3, 9, 2, 3].map(fr));
    }

    #[test]
    fn a_contradiction_names_its_constraint() {
        let square: [Row; 3] = [&[(1, 1)], &[(1, 1)], &[(2, 1)]];
        let sum: [Row; 3] = [&[(1, 1), (2, 1)], &[(0, 1)], &[(0, 12)]];
        let r1cs = system(3, &[square, sum]);
        solve(&r1cs, [(1, fr(3))]).unwrap();
        for given in [vec![(1, fr(4))], vec![(1, fr(3)), (2, fr(8))]] {
            assert!(matches!(solve(&r1cs, given), Err(SolveError::Unsatisfied { .. })));
        }
    }

    #[test]
    fn what_one_constraint_does_not_determine_stays_open() {
        let square: [Row; 3] = [&[(1, 1)], &[(1, 1)], &[(0, 9)]];
        assert_eq!(solve(&system(2, &[square]), []), Err(SolveError::Open { wire: 1 }));
        let any: [Row; 3] = [&[(1, 1)], &[], &[]];
        assert_eq!(solve(&system(2, &[any]), []), Err(SolveError::Open { wire: 1 }));
        let error = SolveError::NoSuchWire { wire: 2, wires: 2 };
        assert_eq!(solve(&system(2, &[any]), [(2, fr(0))]), Err(error));
    }
}
