//! The initial key of a circuit: sums of powers of tau in the Lagrange basis, with `γ = δ = 1`.
//!
//! Sections are computed, hashed and written one after the other. Only the powers for the next
//! section are in memory, so making a key takes little more memory than reading it.

use std::io::{Read, Seek, Write};

use ark_ec::{
    AffineRepr, CurveGroup,
    models::short_weierstrass::{Affine, Projective},
};
use ark_ff::{AdditiveGroup, BigInt, BitIteratorBE, PrimeField};
use athanor_kernels::{Curve, Domain, Group};
use rayon::prelude::*;

use super::{CeremonyError, Hash, transcript::Transcript};
use crate::{
    R1cs, Rows,
    formats::{
        ZkeyError,
        ptau::{PtauReader, Series},
        zkey::{
            Coefficient, Contributions, Factor, G1Query, Header, HeaderPoints, Query, ZkeyWriter,
        },
    },
};

/// Number of wires per chunk: their points are computed, then written.
const CHUNK: usize = 1 << 14;
/// Number of points of H that snarkjs hashes per chunk.
const HASHED: usize = 1 << 14;

/// Writes the initial key, as a stream, and returns its hash. The file equals snarkjs's byte for
/// byte. It has no contribution, so anyone can forge proofs for it.
///
/// If the circuit uses all powers of a file, and more than 2^14, snarkjs hashes a point that the
/// file does not have. Use a larger file of powers if snarkjs must verify the key.
pub fn initial_key<C: Curve, R: Read + Seek>(
    r1cs: &R1cs<C::Fr>,
    ptau: &mut PtauReader<C, R>,
    out: impl Write,
) -> Result<Hash, CeremonyError> {
    let statement = r1cs.public + 1;
    if statement > r1cs.wires {
        return Err(CeremonyError::Malformed("it has more public signals than wires"));
    }
    let rows = r1cs.constraints() + statement;
    // snarkjs's smallest domain has two points.
    let log_size = rows.next_power_of_two().ilog2().max(1);
    Domain::<C::Fr>::snarkjs(log_size)?;
    ptau.reaches(log_size)?;
    let size = 1usize << log_size;
    let count = |number: usize| {
        u32::try_from(number)
            .map_err(|_| CeremonyError::Malformed("it has more than 2^32 - 1 wires or entries"))
    };
    let header = Header {
        curve: C::ID,
        wires: count(r1cs.wires)?,
        public: count(r1cs.public)?,
        domain_size: count(size)?,
        coefficients: count(r1cs.a.entries() + r1cs.b.entries() + statement)?,
    };
    let (one_g1, one_g2) = (C::G1Affine::generator(), C::G2Affine::generator());
    let points = HeaderPoints {
        alpha_g1: ptau.g1(Series::AlphaTau, 0, 1)?[0],
        beta_g1: ptau.g1(Series::BetaTau, 0, 1)?[0],
        beta_g2: ptau.beta_g2()?,
        gamma_g2: one_g2,
        delta_g1: one_g1,
        delta_g2: one_g2,
    };
    let mut hash = Transcript::new();
    hash.points(&[points.alpha_g1, points.beta_g1]);
    hash.points(&[points.beta_g2, points.gamma_g2]);
    hash.points(&[points.delta_g1]);
    hash.points(&[points.delta_g2]);
    let mut key = ZkeyWriter::<C, _>::new(out, &header, &points, None)?;
    key.coefficients(coefficients(r1cs))?;

    let a = Columns::of(&r1cs.a, r1cs.wires)?;
    let b = Columns::of(&r1cs.b, r1cs.wires)?;
    let tau = ptau.lagrange_g1(Series::Tau, log_size)?;
    {
        let c = Columns::of(&r1cs.c, r1cs.wires)?;
        let alpha_tau = ptau.lagrange_g1(Series::AlphaTau, log_size)?;
        let beta_tau = ptau.lagrange_g1(Series::BetaTau, log_size)?;
        let combined = |wire: usize| {
            let bound = public_row(r1cs, wire).map(|row| beta_tau[row]);
            bound.map_or(C::G1::ZERO, Into::into)
                + a.sum(wire, &beta_tau)
                + b.sum(wire, &alpha_tau)
                + c.sum(wire, &tau)
        };
        let ic: Vec<C::G1> = (0..statement).into_par_iter().map(combined).collect();
        let ic = C::G1::normalize_batch(&ic);
        hash.count(ic.len());
        hash.points(&ic);
        key.ic(&ic)?;
        h_points(ptau, log_size, &mut key, &mut hash)?;
        key.begin(Query::G1(G1Query::C))?;
        let write = |points: &[_]| key.g1(points);
        stream(statement..r1cs.wires, &combined, &mut hash, write)?;
    }
    key.begin(Query::G1(G1Query::A))?;
    let left = |wire: usize| {
        let bound = public_row(r1cs, wire).map(|row| tau[row]);
        bound.map_or(C::G1::ZERO, Into::into) + a.sum(wire, &tau)
    };
    stream(0..r1cs.wires, &left, &mut hash, |points| key.g1(points))?;
    key.begin(Query::G1(G1Query::B1))?;
    let right = |wire: usize| b.sum(wire, &tau);
    stream(0..r1cs.wires, &right, &mut hash, |points| key.g1(points))?;
    drop(tau);
    let tau = ptau.lagrange_g2(log_size)?;
    key.begin(Query::B2)?;
    let right = |wire: usize| b.sum(wire, &tau);
    stream(0..r1cs.wires, &right, &mut hash, |points| key.g2(points))?;

    let circuit_hash = hash.end();
    key.contributions(&Contributions { circuit_hash, contributions: Vec::new() })?;
    key.finish()?;
    Ok(circuit_hash)
}

/// The row that binds a public wire or the constant wire.
fn public_row<F>(r1cs: &R1cs<F>, wire: usize) -> Option<usize> {
    (wire <= r1cs.public).then(|| r1cs.constraints() + wire)
}

/// The entries of A and B, row by row, then those of the rows that bind public signals.
fn coefficients<F: PrimeField<BigInt = BigInt<4>>>(
    r1cs: &R1cs<F>,
) -> impl Iterator<Item = Coefficient<F>> {
    let rows = (0..r1cs.constraints()).flat_map(|row| {
        let entries = [(Factor::A, &r1cs.a), (Factor::B, &r1cs.b)];
        entries.into_iter().flat_map(move |(factor, rows)| {
            let entries = rows.row(row).iter();
            entries.map(move |&(wire, value)| Coefficient { factor, row: row as u32, wire, value })
        })
    });
    let bound = (0..=r1cs.public).map(|wire| Coefficient {
        factor: Factor::A,
        row: (r1cs.constraints() + wire) as u32,
        wire: wire as u32,
        value: F::ONE,
    });
    rows.chain(bound)
}

/// Computes the points of some wires, hashes and writes them.
fn stream<G: Group>(
    wires: std::ops::Range<usize>,
    point: &(impl Fn(usize) -> Projective<G> + Sync),
    hash: &mut Transcript,
    mut write: impl FnMut(&[Affine<G>]) -> Result<(), ZkeyError>,
) -> Result<(), CeremonyError> {
    hash.count(wires.len());
    for start in wires.clone().step_by(CHUNK) {
        let chunk = start..wires.end.min(start + CHUNK);
        let points: Vec<Projective<G>> =
            chunk.into_par_iter().with_min_len(16).map(point).collect();
        let points = Projective::normalize_batch(&points);
        hash.points(&points);
        write(&points)?;
    }
    Ok(())
}

/// H: the odd points of the Lagrange basis of twice the size. They are a transform of
/// `τ^(n+i) - τ^i`, which is what snarkjs hashes.
fn h_points<C: Curve, R: Read + Seek, W: Write>(
    ptau: &mut PtauReader<C, R>,
    log_size: u32,
    key: &mut ZkeyWriter<C, W>,
    hash: &mut Transcript,
) -> Result<(), CeremonyError> {
    let size = 1usize << log_size;
    key.begin(Query::G1(G1Query::H))?;
    for points in ptau.lagrange_g1(Series::Tau, log_size + 1)?.chunks(2 * CHUNK) {
        let odd: Vec<C::G1Affine> = points.iter().skip(1).step_by(2).copied().collect();
        key.g1(&odd)?;
    }
    hash.count(size - 1);
    // snarkjs hashes whole chunks: with two or more chunks, one point beyond the last.
    let mut hashed = if size > HASHED { size } else { size - 1 };
    if size > HASHED && ptau.header().power == log_size {
        hashed -= 1;
    }
    for first in (0..hashed).step_by(CHUNK) {
        let count = CHUNK.min(hashed - first);
        let low = ptau.g1(Series::Tau, first, count)?;
        let high = ptau.g1(Series::Tau, first + size, count)?;
        let differences: Vec<C::G1> =
            high.par_iter().zip(&low).map(|(high, low)| *high - *low).collect();
        hash.points(&C::G1::normalize_batch(&differences));
    }
    Ok(())
}

/// A sparse matrix by columns.
struct Columns<'a, F> {
    /// End (exclusive) of each column in `places`.
    ends: Vec<u32>,
    /// Row and entry, column by column.
    places: Vec<(u32, u32)>,
    rows: &'a Rows<F>,
}

impl<'a, F: PrimeField<BigInt = BigInt<4>>> Columns<'a, F> {
    fn of(rows: &'a Rows<F>, columns: usize) -> Result<Self, CeremonyError> {
        let mut ends = vec![0u32; columns + 1];
        for &(column, _) in rows.iter().flatten() {
            let end = ends.get_mut(column as usize + 1);
            *end.ok_or(CeremonyError::Malformed("a row refers to a wire that does not exist"))? +=
                1;
        }
        for column in 0..columns {
            ends[column + 1] += ends[column];
        }
        // Filling advances each column's start to its end.
        let mut places = vec![(0, 0); rows.entries()];
        let mut entry = 0;
        for (row, entries) in rows.iter().enumerate() {
            for &(column, _) in entries {
                let place = &mut ends[column as usize];
                places[*place as usize] = (row as u32, entry);
                *place += 1;
                entry += 1;
            }
        }
        ends.pop();
        Ok(Self { ends, places, rows })
    }

    /// The sum of a column's coefficients, each times the point of its row.
    fn sum<G: Group<ScalarField = F>>(&self, column: usize, points: &[Affine<G>]) -> Projective<G> {
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        let places = &self.places[start as usize..self.ends[column] as usize];
        let mut sum = Projective::ZERO;
        for &(row, entry) in places {
            let point = &points[row as usize];
            let (_, factor) = self.rows.entry(entry as usize);
            let minus = -factor;
            if factor.is_one() {
                sum += point;
            } else if minus.is_one() {
                sum -= point;
            } else {
                // The sign that gives the shorter scalar: most coefficients are small.
                let (number, negative) = (factor.into_bigint(), minus.into_bigint());
                if number <= negative {
                    sum += multiple(point, number);
                } else {
                    sum -= multiple(point, negative);
                }
            }
        }
        sum
    }
}

fn multiple<G: Group>(point: &Affine<G>, number: BigInt<4>) -> Projective<G> {
    let short = number.0[1..] == [0; 3];
    if short {
        let mut sum = Projective::ZERO;
        for bit in BitIteratorBE::without_leading_zeros(number.0) {
            sum.double_in_place();
            if bit {
                sum += point;
            }
        }
        sum
    } else {
        point.mul_bigint(number)
    }
}
