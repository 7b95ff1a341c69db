//! Writes a proving key as a stream.

use std::{io::Write, marker::PhantomData};

use ark_ff::Field;
use athanor_kernels::{Curve, Group, SCALAR_WORDS, Words};
use rayon::prelude::*;

use super::{
    Coefficient, Contribution, Contributions, Factor, G1Query, Header, HeaderPoints, KIND, Query,
    ZkeyError, matrices, reader::COEFFICIENT_BYTES, section,
};
use crate::formats::{
    binfile::BinFileWriter,
    field::{self, Role},
};

/// Number of points per chunk: encoded, then written.
const CHUNK: usize = 1 << 14;

/// Writes a proving key that snarkjs reads.
///
/// The caller writes every section once, in any order: [`ic`](Self::ic),
/// [`coefficients`](Self::coefficients), for each [`Query`] [`begin`](Self::begin) and then its
/// points, and [`contributions`](Self::contributions). The stream need not be seekable.
///
/// # Panics
///
/// If a section is written twice, omitted, or has a different number of items than the header
/// requires.
#[derive(Debug)]
pub struct ZkeyWriter<C: Curve, W: Write> {
    pub(super) file: BinFileWriter<W>,
    header: Header,
    words: Vec<u64>,
    curve: PhantomData<C>,
}

impl<C: Curve, W: Write> ZkeyWriter<C, W> {
    /// Starts a key. `note`, cut to [`MAX_NOTE`](super::MAX_NOTE) bytes, describes the key; it is
    /// written to a section that other tools skip.
    pub fn new(
        out: W,
        header: &Header,
        points: &HeaderPoints<C>,
        note: Option<&str>,
    ) -> Result<Self, ZkeyError> {
        assert_eq!(header.curve, C::ID, "the header is for this curve");
        header.check()?;
        let sections = 10 + u32::from(note.is_some());
        let file = BinFileWriter::new(out, KIND, 1, sections)?;
        let mut writer = Self { file, header: *header, words: Vec::new(), curve: PhantomData };
        writer.file.begin(section::PROTOCOL, 4)?;
        writer.file.write(&1u32.to_le_bytes())?;

        let q = field::prime_bytes(C::ID, Role::Coordinates);
        let r = field::prime_bytes(C::ID, Role::Scalars);
        let points_bytes = 3 * (Self::bytes(Query::G1(G1Query::A)) + Self::bytes(Query::B2));
        writer.file.begin(section::HEADER, (q.len() + r.len() + 12) as u64 + points_bytes)?;
        writer.file.write(&q)?;
        writer.file.write(&r)?;
        for number in [header.wires, header.public, header.domain_size] {
            writer.file.write(&number.to_le_bytes())?;
        }
        writer.g1(&[points.alpha_g1, points.beta_g1])?;
        writer.g2(&[points.beta_g2, points.gamma_g2])?;
        writer.g1(&[points.delta_g1])?;
        writer.g2(&[points.delta_g2])?;
        if let Some(note) = note {
            let note = &note[..note.floor_char_boundary(super::MAX_NOTE)];
            writer.file.begin(section::NOTE, note.len() as u64)?;
            writer.file.write(note.as_bytes())?;
        }
        Ok(writer)
    }

    /// Bytes of a point in a section of points.
    fn bytes(query: Query) -> u64 {
        let words = match query {
            Query::G1(_) => C::G1Config::POINT_WORDS,
            Query::B2 => C::G2Config::POINT_WORDS,
        };
        8 * words as u64
    }

    /// Writes IC: the point of the constant one, then of each public signal.
    pub fn ic(&mut self, points: &[C::G1Affine]) -> Result<(), ZkeyError> {
        let bytes = (u64::from(self.header.public) + 1) * Self::bytes(Query::G1(G1Query::A));
        self.file.begin(section::IC, bytes)?;
        self.g1(points)
    }

    /// Writes the matrices' entries. They must include the rows of public signals (see the
    /// [module](super)). Some other readers require ascending rows.
    pub fn coefficients(
        &mut self,
        entries: impl IntoIterator<Item = Coefficient<C::Fr>>,
    ) -> Result<(), ZkeyError> {
        let count = self.header.coefficients;
        let scale = matrices::one_over_r::<C::Fr>().inverse().expect("R is not zero");
        self.file.begin(section::COEFFICIENTS, 4 + u64::from(count) * COEFFICIENT_BYTES)?;
        self.file.write(&count.to_le_bytes())?;
        for Coefficient { factor, row, wire, value } in entries {
            let factor = match factor {
                Factor::A => 0u32,
                Factor::B => 1,
            };
            for number in [factor, row, wire] {
                self.file.write(&number.to_le_bytes())?;
            }
            let mut words = [0; SCALAR_WORDS];
            (value * scale).write_words(&mut words);
            self.file.write_words(&words)?;
        }
        Ok(())
    }

    /// Begins a section of points; [`g1`](Self::g1) or [`g2`](Self::g2) then writes its points.
    pub fn begin(&mut self, query: Query) -> Result<(), ZkeyError> {
        let bytes = self.header.points(query) as u64 * Self::bytes(query);
        Ok(self.file.begin(query.section(), bytes)?)
    }

    /// Writes points of G1 into the current section; may be called repeatedly.
    pub fn g1(&mut self, points: &[C::G1Affine]) -> Result<(), ZkeyError> {
        self.points::<C::G1Config>(points)
    }

    /// Writes points of G2 into the current section; may be called repeatedly.
    pub fn g2(&mut self, points: &[C::G2Affine]) -> Result<(), ZkeyError> {
        self.points::<C::G2Config>(points)
    }

    fn points<G: Group>(
        &mut self,
        points: &[ark_ec::models::short_weierstrass::Affine<G>],
    ) -> Result<(), ZkeyError> {
        for points in points.chunks(CHUNK) {
            self.words.resize(points.len() * G::POINT_WORDS, 0);
            self.words
                .par_chunks_exact_mut(G::POINT_WORDS)
                .zip(points)
                .with_min_len(256)
                .for_each(|(words, point)| G::write_point(point, words));
            self.file.write_words(&self.words)?;
        }
        Ok(())
    }

    /// Writes the contributions. For a development key: no contributions and an arbitrary hash, which
    /// only a ceremony's verifier reads (snarkjs computes it from a file of powers of tau).
    pub fn contributions(&mut self, history: &Contributions<C>) -> Result<(), ZkeyError> {
        let params: Vec<_> = history.contributions.iter().map(Contribution::params).collect();
        let fixed = 3 * Self::bytes(Query::G1(G1Query::A)) + Self::bytes(Query::B2) + 64 + 8;
        let each = params.iter().map(|params| fixed + params.len() as u64);
        self.file.begin(section::CONTRIBUTIONS, 64 + 4 + each.sum::<u64>())?;
        self.file.write(&history.circuit_hash)?;
        self.file.write(&(params.len() as u32).to_le_bytes())?;
        for (contribution, params) in history.contributions.iter().zip(&params) {
            let Contribution { delta_after, s, sx, spx, transcript, kind, .. } = contribution;
            self.g1(&[*delta_after, *s, *sx])?;
            self.g2(&[*spx])?;
            self.file.write(transcript)?;
            self.file.write(&kind.to_le_bytes())?;
            self.file.write(&(params.len() as u32).to_le_bytes())?;
            self.file.write(params)?;
        }
        Ok(())
    }

    /// Ends the file. Flushes the stream and returns it.
    pub fn finish(self) -> Result<W, ZkeyError> {
        Ok(self.file.finish()?)
    }
}
