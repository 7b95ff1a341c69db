//! Converted keys on disk: a key is checked and converted once, then loaded in its memory layout.
//!
//! A [digested file](crate::digested) whose header lists the sections. The header also names the digest of the
//! key that was converted, so a file that belongs to another key is noticed and the key is converted again.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use ark_ff::BigInt;
use athanor_kernels::{
    Bases, Curve, Domain, Group, Matrix, MatrixParts, Quotient, SCALAR_WORDS, ScalarsOf, Slab,
    SlabError, Words,
};
use serde::{Deserialize, Serialize};

use crate::{
    NativeKey, Origin, VerifyingKey,
    digested::{self, LINE},
};

const MAGIC: &[u8; 16] = b"athanor key 0001";

/// Why a converted key or a key's outline cannot be used. Each of these ends when it is made again from the
/// original key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("cannot {action} {path} in the key cache: {source}")]
    Io {
        /// The operation that failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a converted key, has a different version, or is damaged.
    #[error("{path} in the key cache is unusable: {fault}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The fault.
        fault: String,
    },
    /// The key does not fit into memory.
    #[error(transparent)]
    Memory(#[from] SlabError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    layout: String,
    curve: String,
    origin: Origin,
    /// BLAKE3 of the original key, whose points were all checked by the conversion.
    source: String,
    odd_coset: bool,
    log_size: u32,
    eta: [u64; SCALAR_WORDS],
    wires: usize,
    /// Index of the scalar of each query's first point, for queries without a list of scalars.
    first_scalars: [usize; 5],
    sections: Vec<Section>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    name: String,
    /// Offset from the end of the header; a multiple of the cache line.
    start: usize,
    bytes: usize,
}

/// The names of the point sections, each followed by that of its list of scalars.
const QUERIES: [(&str, &str); 5] = [
    ("a", "a-scalars"),
    ("b-g1", "b-g1-scalars"),
    ("b-g2", "b-g2-scalars"),
    ("l", "l-scalars"),
    ("h", "h-scalars"),
];
const MATRICES: [[&str; 3]; 2] = [
    ["matrix-a-rows", "matrix-a-entries", "matrix-a-dictionary"],
    ["matrix-b-rows", "matrix-b-entries", "matrix-b-dictionary"],
];

/// The digest that identifies a key: BLAKE3 of the whole file, computed in the caller's rayon pool.
pub fn digest_of(reader: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 4 << 20];
    loop {
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.read(&mut buffer[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            return Ok(*hasher.finalize().as_bytes());
        }
        hasher.update_rayon(&buffer[..filled]);
    }
}

impl<C: Curve> NativeKey<C> {
    /// Writes the key to a temporary file and renames it.
    pub fn store(&self, path: &Path) -> Result<(), KeyFileError> {
        let damaged = |fault: String| KeyFileError::Damaged { path: path.to_owned(), fault };
        let sections = self.sections().map_err(|error| damaged(error.to_string()))?;
        let header = self.header(&sections);
        let header = serde_json::to_vec(&header).map_err(|error| damaged(error.to_string()))?;
        let sections: Vec<&[u8]> = sections.iter().map(|(_, section)| section.bytes()).collect();
        digested::write(path, MAGIC, &header, &sections)
    }

    /// Reads a stored key and checks its digest. The conversion has checked its points.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let damaged =
            |fault: &str| KeyFileError::Damaged { path: path.to_owned(), fault: fault.to_owned() };
        let (header, sections) = digested::read(path, MAGIC)?;
        let header: Header =
            serde_json::from_slice(header.bytes()).map_err(|error| damaged(&error.to_string()))?;
        if header.curve != C::ID.to_string() {
            return Err(damaged("it is for a different curve"));
        }
        Self::from_sections(header, &sections).map_err(|fault| damaged(&fault))
    }

    fn header(&self, sections: &[(&'static str, Slab)]) -> Header {
        let mut start = 0;
        let listed = sections.iter().map(|(name, slab)| {
            let section = Section { name: (*name).to_owned(), start, bytes: slab.len() };
            start += slab.len().next_multiple_of(LINE);
            section
        });
        Header {
            sections: listed.collect(),
            layout: self.layout.clone(),
            curve: C::ID.to_string(),
            origin: self.origin,
            source: hex(&self.source),
            odd_coset: self.quotient == Quotient::OddCoset,
            log_size: self.domain.log_size(),
            eta: words_of(&self.domain.eta()),
            wires: self.wires(),
            first_scalars: self.queries().map(|query| match query.scalars {
                ScalarsOf::From(first) => first,
                ScalarsOf::Listed(_) => 0,
            }),
        }
    }

    fn queries(&self) -> [&Bases; 5] {
        [&self.a_query, &self.b_g1_query, &self.b_g2_query, &self.l_query, &self.h_query]
    }

    fn sections(&self) -> Result<Vec<(&'static str, Slab)>, athanor_kernels::MatrixError> {
        let mut sections = vec![("verifying", self.verifying_words()?)];
        for (names, matrix) in MATRICES.iter().zip([&self.a, &self.b]) {
            let MatrixParts { row_ends, entries, dictionary } = matrix.parts()?;
            sections.extend(names.iter().copied().zip([row_ends, entries, dictionary]));
        }
        for ((points, scalars), query) in QUERIES.iter().zip(self.queries()) {
            sections.push((points, query.points.clone()));
            if let ScalarsOf::Listed(list) = &query.scalars {
                sections.push((scalars, list.clone()));
            }
        }
        Ok(sections)
    }

    /// The points outside the queries, in the uncompressed stored form.
    fn verifying_words(&self) -> Result<Slab, SlabError> {
        let key = &self.verifying;
        let mut words = Vec::new();
        for point in [&key.alpha_g1, &self.beta_g1, &self.delta_g1].into_iter().chain(&key.ic) {
            let start = words.len();
            words.resize(start + C::G1Config::POINT_WORDS, 0);
            C::G1Config::write_point(point, &mut words[start..]);
        }
        for point in [&key.beta_g2, &key.gamma_g2, &key.delta_g2] {
            let start = words.len();
            words.resize(start + C::G2Config::POINT_WORDS, 0);
            C::G2Config::write_point(point, &mut words[start..]);
        }
        Slab::from_words(&words)
    }

    fn from_sections(header: Header, sections: &Slab) -> Result<Self, String> {
        let find = |name: &str| -> Result<Option<Slab>, String> {
            let Some(section) = header.sections.iter().find(|section| section.name == name) else {
                return Ok(None);
            };
            let end =
                section.start.checked_add(section.bytes).ok_or("a section's end overflows")?;
            let slab = sections.slice(section.start..end);
            slab.map(Some).map_err(|error| error.to_string())
        };
        let need = |name: &str| find(name)?.ok_or(format!("it has no section {name}"));
        let (verifying, beta_g1, delta_g1) = read_verifying::<C>(need("verifying")?.words())
            .ok_or("its verifying key is not on the curve")?;
        let matrix = |[row_ends, entries, dictionary]: [&str; 3]| {
            let (row_ends, entries) = (need(row_ends)?, need(entries)?);
            let parts = MatrixParts { row_ends, entries, dictionary: need(dictionary)? };
            Matrix::from_parts(header.wires, parts).map_err(|error| error.to_string())
        };
        let query = |index: usize| -> Result<Bases, String> {
            let (points, scalars) = QUERIES[index];
            let scalars = match find(scalars)? {
                Some(list) => ScalarsOf::Listed(list),
                None => ScalarsOf::From(header.first_scalars[index]),
            };
            Ok(Bases { points: need(points)?, scalars })
        };
        let eta = C::Fr::read_words(&header.eta).ok_or("its root of unity is not in the field")?;
        let domain = Domain::with_root(header.log_size, eta).map_err(|error| error.to_string())?;
        Ok(Self {
            source: unhex(&header.source).ok_or("its source digest is malformed")?,
            origin: header.origin,
            quotient: if header.odd_coset { Quotient::OddCoset } else { Quotient::Coefficients },
            domain,
            verifying,
            beta_g1,
            delta_g1,
            a: matrix(MATRICES[0])?,
            b: matrix(MATRICES[1])?,
            a_query: query(0)?,
            b_g1_query: query(1)?,
            b_g2_query: query(2)?,
            l_query: query(3)?,
            h_query: query(4)?,
            layout: header.layout,
        })
    }
}

type VerifyingParts<C> = (
    VerifyingKey<C>,
    <C as ark_ec::pairing::Pairing>::G1Affine,
    <C as ark_ec::pairing::Pairing>::G1Affine,
);

fn read_verifying<C: Curve>(words: &[u64]) -> Option<VerifyingParts<C>> {
    let (g1, g2) =
        words.split_at_checked(words.len().checked_sub(3 * C::G2Config::POINT_WORDS)?)?;
    let g1: Option<Vec<_>> =
        g1.chunks(C::G1Config::POINT_WORDS).map(read_exact::<C::G1Config>).collect();
    let g2: Option<Vec<_>> =
        g2.chunks(C::G2Config::POINT_WORDS).map(read_exact::<C::G2Config>).collect();
    let (g1, g2) = (g1?, g2?);
    let ([alpha_g1, beta_g1, delta_g1], ic) = g1.split_first_chunk()?;
    let [beta_g2, gamma_g2, delta_g2] = g2[..].try_into().ok()?;
    let (alpha_g1, ic) = (*alpha_g1, ic.to_vec());
    let key = VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, ic };
    Some((key, *beta_g1, *delta_g1))
}

fn read_exact<P: Group>(words: &[u64]) -> Option<ark_ec::models::short_weierstrass::Affine<P>> {
    (words.len() == P::POINT_WORDS).then(|| P::read_point(words)).flatten()
}

fn words_of<F: Words>(value: &F) -> [u64; SCALAR_WORDS] {
    let mut words = BigInt::<SCALAR_WORDS>::default().0;
    value.write_words(&mut words);
    words
}

pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use athanor_kernels::{Bls12_381, Bn254, cpu::Cpu};

    use super::*;
    use crate::{ProvingKey, Witness, development_setup, synthetic::bits};

    fn native<C: Curve>() -> (NativeKey<C>, Witness<C>)
    where
        Cpu: athanor_kernels::Device<C>,
    {
        let example = bits::<C>(60, 1);
        let key = development_setup::<C>(&example.r1cs, Quotient::OddCoset).unwrap();
        (key.to_native(&Cpu).unwrap(), Witness::new(example.witness).unwrap())
    }

    fn a_stored_key_proves<C: Curve>()
    where
        Cpu: athanor_kernels::Device<C>,
    {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let (key, witness) = native::<C>();
        key.store(&path).unwrap();
        let again = NativeKey::<C>::open(&path).unwrap();
        assert_eq!(again.verifying, key.verifying);
        ProvingKey::load(Cpu, again).unwrap().prove(witness).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing left behind");
    }

    #[test]
    fn a_stored_key_proves_on_both_curves() {
        a_stored_key_proves::<Bn254>();
        a_stored_key_proves::<Bls12_381>();
    }

    #[test]
    fn every_damaged_byte_and_every_missing_one_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        native::<Bn254>().0.store(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            NativeKey::<Bn254>::open(&path).is_err()
        };
        let steps = || (0..bytes.len()).step_by(97).chain(0..64);
        for position in steps() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 4;
            assert!(refused(&damaged), "byte {position}");
        }
        for length in steps() {
            assert!(refused(&bytes[..length]), "cut at {length}");
        }
        std::fs::write(&path, &bytes).unwrap();
        assert!(NativeKey::<Bls12_381>::open(&path).is_err(), "another curve");
    }
}
