//! What is fuzzed: each entry reads the whole of a file of one kind, as either curve's. Whatever the
//! bytes, it ends, without a panic and in memory bounded by them.
//!
//! The targets run these under cargo-fuzz; a test of `athanor-groth16` runs them over the corpus on
//! a stable compiler.

use std::io::Cursor;

use athanor_groth16::formats::{
    PtauError, ZkeyError, json,
    ptau::{PtauFile, Series},
    r1cs::R1csFile,
    sym::WireNames,
    wtns::read_wtns,
    zkey::{G1Query, ZkeyFile},
};
use athanor_kernels::{Bls12_381, Bn254, Curve};

/// A `.zkey`.
pub fn zkey(bytes: &[u8]) {
    fn read<C: Curve>(bytes: &[u8]) -> Result<(), ZkeyError> {
        let mut zkey = ZkeyFile::open(Cursor::new(bytes))?.read_as::<C>()?;
        zkey.note()?;
        zkey.contributions()?;
        zkey.verifying_key()?;
        zkey.matrices()?;
        for query in [G1Query::A, G1Query::B1, G1Query::C, G1Query::H] {
            zkey.g1_points(query, 1 << 10, |_, _| Ok::<_, ZkeyError>(()))?;
        }
        zkey.g2_points(1 << 10, |_, _| Ok::<_, ZkeyError>(()))
    }
    let _ = read::<Bn254>(bytes);
    let _ = read::<Bls12_381>(bytes);
}

/// A `.ptau`.
pub fn ptau(bytes: &[u8]) {
    fn read<C: Curve>(bytes: &[u8]) -> Result<(), PtauError> {
        let mut ptau = PtauFile::open(Cursor::new(bytes))?;
        ptau.contributors()?;
        let power = ptau.header().power;
        let prepared = ptau.prepared();
        let mut ptau = ptau.read_as::<C>()?;
        for series in [Series::Tau, Series::AlphaTau, Series::BetaTau] {
            ptau.g1(series, 0, 1 << power)?;
            if prepared {
                ptau.lagrange_g1(series, power)?;
            }
        }
        ptau.tau_g2(0, 1 << power)?;
        Ok(())
    }
    let _ = read::<Bn254>(bytes);
    let _ = read::<Bls12_381>(bytes);
}

/// A `.r1cs`.
pub fn r1cs(bytes: &[u8]) {
    let Ok(mut r1cs) = R1csFile::open(Cursor::new(bytes)) else { return };
    let _ = r1cs.constraints::<Bn254>();
    let _ = r1cs.constraints::<Bls12_381>();
    let _ = r1cs.labels();
}

/// A `.wtns`.
pub fn wtns(bytes: &[u8]) {
    let _ = read_wtns(Cursor::new(bytes));
}

/// A `.sym`.
pub fn sym(bytes: &[u8]) {
    let _ = WireNames::read(bytes);
}

/// The JSON of a proof, of public signals, of a verifying key.
pub fn json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = json::curve_of(text);
    let _ = json::parse_proof::<Bn254>(text);
    let _ = json::parse_proof::<Bls12_381>(text);
    let _ = json::parse_public::<Bn254>(text);
    let _ = json::parse_verifying_key::<Bn254>(text);
    let _ = json::parse_verifying_key::<Bls12_381>(text);
}
