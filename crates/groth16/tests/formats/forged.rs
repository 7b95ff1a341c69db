//! Files with a valid outline and forged contents.

use std::io::Cursor;

use ark_ec::{AffineRepr, models::short_weierstrass::Affine, pairing::Pairing};
use ark_ff::{BigInteger, PrimeField};
use athanor_groth16::formats::{
    BinFileError, PrimeError, R1csError, WtnsError, ZkeyError,
    r1cs::{self, R1csFile, write_r1cs},
    wtns::read_wtns,
    zkey::ZkeyFile,
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Group};

use crate::support::{Parts, data, outside_the_subgroup, read_whole_r1cs, read_whole_zkey, stored};

const HUGE: [u8; 4] = [0xff; 4];

fn zkey_error<C: Curve>(bytes: Vec<u8>) -> ZkeyError {
    read_whole_zkey::<C>(Cursor::new(bytes)).unwrap_err()
}

fn wtns_error(bytes: Vec<u8>) -> WtnsError {
    read_wtns(Cursor::new(bytes)).unwrap_err()
}

fn r1cs_error<C: Curve>(bytes: Vec<u8>) -> R1csError {
    read_whole_r1cs::<C>(Cursor::new(bytes)).unwrap_err()
}

fn modulus<F: PrimeField>() -> Vec<u8> {
    F::MODULUS.to_bytes_le()
}

/// Bytes of a coordinate in G1.
fn coordinate<C: Curve>() -> usize {
    4 * C::G1Config::POINT_WORDS
}

/// Offsets of the header's numbers of wires, public signals and points of the domain.
fn counts<C: Curve>() -> usize {
    4 + coordinate::<C>() + 4 + 32
}

#[test]
fn keys_of_other_proof_systems_are_named() {
    let parts = Parts::of(&data::<Bn254>("final.zkey"));
    for (number, words) in [(2u8, "PLONK"), (10, "FFLONK"), (7, "number 7")] {
        let error = zkey_error::<Bn254>(parts.patched(1, 0, &[number]));
        assert!(matches!(&error, ZkeyError::Protocol { name } if name.contains(words)), "{error}");
    }
}

#[test]
fn files_of_the_other_curve_are_named() {
    let error = zkey_error::<Bls12_381>(data::<Bn254>("final.zkey"));
    let (bn, bls) = (CurveId::Bn254, CurveId::Bls12_381);
    assert!(
        matches!(error, ZkeyError::WrongCurve { expected, found } if (expected, found) == (bls, bn))
    );
    let error = r1cs_error::<Bn254>(data::<Bls12_381>("circuit.r1cs"));
    assert!(
        matches!(error, R1csError::WrongCurve { expected, found } if (expected, found) == (bn, bls))
    );
}

#[test]
fn unknown_primes_are_shown_and_primes_of_two_curves_refused() {
    let mut parts = Parts::of(&data::<Bn254>("final.zkey"));
    let bad_q = zkey_error::<Bn254>(parts.patched(2, 4, &[0x46]));
    assert!(
        bad_q
            .to_string()
            .contains("0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd46")
    );
    let bad_r = zkey_error::<Bn254>(parts.patched(2, 40, &[0]));
    assert!(matches!(bad_r, ZkeyError::Prime(PrimeError::Unknown { .. })), "{bad_r}");
    let width = zkey_error::<Bn254>(parts.patched(2, 0, &HUGE));
    assert!(
        matches!(width, ZkeyError::Prime(PrimeError::Width { found: u32::MAX, .. })),
        "{width}"
    );
    let r = modulus::<<Bls12_381 as Curve>::Fr>();
    let mixed = zkey_error::<Bn254>(parts.patched(2, 40, &r));
    assert!(matches!(mixed, ZkeyError::MixedCurves { .. }), "{mixed}");
    parts = Parts::of(&data::<Bn254>("witness.wtns"));
    let error = wtns_error(parts.patched(1, 4, &[0]));
    assert!(matches!(error, WtnsError::Prime(PrimeError::Unknown { .. })), "{error}");
    // The prime of coordinates is not a prime of scalars.
    let q = modulus::<<Bn254 as Pairing>::BaseField>();
    let error = wtns_error(parts.patched(1, 4, &q));
    assert!(matches!(error, WtnsError::Prime(PrimeError::Unknown { .. })), "{error}");
    parts = Parts::of(&data::<Bn254>("circuit.r1cs"));
    let error = r1cs_error::<Bn254>(parts.patched(1, 4, &[0]));
    assert!(matches!(error, R1csError::Prime(PrimeError::Unknown { .. })), "{error}");
}

fn impossible_counts<C: Curve>() {
    let parts = Parts::of(&data::<C>("final.zkey"));
    let (wires, public, domain) = (counts::<C>(), counts::<C>() + 4, counts::<C>() + 8);
    let header = |at, bytes: [u8; 4]| zkey_error::<C>(parts.patched(2, at, &bytes));
    for (at, value, words) in [
        (domain, 7u32, "not a power of two"),
        (domain, 0, "not a power of two"),
        (domain, u32::MAX, "not a power of two"),
        (domain, 2, "too small"),
        (public, 6, "more public signals"),
        (public, u32::MAX, "more public signals"),
        (wires, 3, "more public signals"),
        (wires, 0, "more public signals"),
    ] {
        let error = header(at, value.to_le_bytes());
        assert!(matches!(error, ZkeyError::Header { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    for (at, value) in [(domain, 1 << 31), (domain, 16), (wires, u32::MAX), (wires, 7)] {
        let error = header(at, u32::to_le_bytes(value));
        let length = matches!(error, ZkeyError::Container(BinFileError::SectionLength { .. }));
        assert!(length, "{error}");
    }
    let error = zkey_error::<C>(parts.patched(4, 0, &HUGE));
    assert!(matches!(error, ZkeyError::Container(BinFileError::SectionLength { id: 4, .. })));
}

#[test]
fn headers_that_no_key_can_have_are_refused_before_anything_is_allocated() {
    impossible_counts::<Bn254>();
    impossible_counts::<Bls12_381>();
}

/// Puts a point in a section of the key, at a byte.
fn with_point<G: Group>(parts: &Parts, (id, at): (u32, usize), point: &Affine<G>) -> Vec<u8> {
    parts.patched(id, at, &stored::<G>(point))
}

fn bad_points_in_keys<C: Curve>() {
    let parts = Parts::of(&data::<C>("final.zkey"));
    let (g1, points) = (2 * coordinate::<C>(), counts::<C>() + 12);
    let g2 = 2 * g1;
    // Header: α1 β1 β2 γ2 δ1 δ2; then one point of each section.
    let in_g1 = [(2, points), (2, points + g1), (2, points + 2 * g1 + 2 * g2)];
    let in_g2 = [(2, points + 2 * g1), (2, points + 2 * g1 + g2), (2, points + 3 * g1 + 2 * g2)];
    let sections_g1 = [(3, g1), (5, g1), (6, 0), (8, g1), (9, 7 * g1)];
    let history_g1 = [(10, 68), (10, 68 + g1), (10, 68 + 2 * g1)];
    let everywhere_g1 = in_g1.iter().chain(&sections_g1).chain(&history_g1);
    let others_g2 = [(7, 2 * g2), (10, 68 + 3 * g1)];
    let everywhere_g2 = in_g2.iter().chain(&others_g2);

    for &place in everywhere_g1.clone().chain(everywhere_g2.clone()) {
        // A coordinate at or above the modulus, then a point that is not on the curve.
        for bytes in [vec![0xff; coordinate::<C>()], vec![1]] {
            let mut bytes = bytes;
            let mut patched = parts.clone();
            let (id, at) = place;
            let section = &mut patched.section(id)[at..at + bytes.len()];
            bytes.iter_mut().zip(&*section).for_each(|(new, old)| {
                *new = if *new == 1 { old ^ 1 } else { *new };
            });
            section.copy_from_slice(&bytes);
            let error = zkey_error::<C>(patched.bytes());
            assert!(matches!(error, ZkeyError::NotOnCurve { .. }), "{place:?}: {error}");
        }
    }
    let stray = outside_the_subgroup::<C::G2Config>();
    for &place in everywhere_g2 {
        let error = zkey_error::<C>(with_point(&parts, place, &stray));
        assert!(matches!(error, ZkeyError::NotInSubgroup { .. }), "{place:?}: {error}");
    }
    if C::ID == CurveId::Bls12_381 {
        let stray = outside_the_subgroup::<C::G1Config>();
        for &place in everywhere_g1 {
            let error = zkey_error::<C>(with_point(&parts, place, &stray));
            assert!(matches!(error, ZkeyError::NotInSubgroup { .. }), "{place:?}: {error}");
        }
    }
    for place in in_g1 {
        let error = zkey_error::<C>(with_point(&parts, place, &C::G1Affine::zero()));
        assert!(matches!(error, ZkeyError::Infinity { .. }), "{place:?}: {error}");
    }
    for place in in_g2 {
        let error = zkey_error::<C>(with_point(&parts, place, &C::G2Affine::zero()));
        assert!(matches!(error, ZkeyError::Infinity { .. }), "{place:?}: {error}");
    }
    // Sections of points may have infinity: a wire that a matrix does not use.
    for place in [(5, g1), (6, 0), (8, 0)] {
        let bytes = with_point(&parts, place, &C::G1Affine::zero());
        read_whole_zkey::<C>(Cursor::new(bytes)).unwrap();
    }
}

#[test]
fn bad_points_anywhere_in_a_key_are_refused_by_their_kind() {
    bad_points_in_keys::<Bn254>();
    bad_points_in_keys::<Bls12_381>();
}

#[test]
fn coefficients_out_of_range_are_refused_with_their_number() {
    let parts = Parts::of(&data::<Bn254>("final.zkey"));
    // The third entry: matrix, row, wire, value.
    let entry = 4 + 2 * 44;
    for (at, value) in [(0, 2u32), (0, u32::MAX), (4, 8), (4, u32::MAX), (8, 6), (8, u32::MAX)] {
        let error = zkey_error::<Bn254>(parts.patched(4, entry + at, &value.to_le_bytes()));
        let refused =
            matches!(error, ZkeyError::Coefficient { index: 2, value: v, .. } if v == value);
        assert!(refused, "{error}");
    }
    let r = modulus::<<Bn254 as Curve>::Fr>();
    let error = zkey_error::<Bn254>(parts.patched(4, entry + 12, &r));
    assert!(matches!(error, ZkeyError::CoefficientNotCanonical { index: 2 }), "{error}");
}

#[test]
fn matrices_are_the_same_for_entries_in_any_order() {
    let mut parts = Parts::of(&data::<Bn254>("final.zkey"));
    let matrices = |bytes: Vec<u8>| {
        let file = ZkeyFile::open(Cursor::new(bytes)).unwrap();
        let (a, b) = file.read_as::<Bn254>().unwrap().matrices().unwrap();
        let parts = [a.parts().unwrap(), b.parts().unwrap()];
        parts.map(|parts| {
            [
                parts.row_ends.bytes().to_vec(),
                parts.entries.bytes().to_vec(),
                parts.dictionary.bytes().to_vec(),
            ]
        })
    };
    let in_order = matrices(parts.bytes());
    assert!(!in_order[0][1].is_empty() && !in_order[1][1].is_empty());
    // Rows are permuted; the entries within a row keep their order.
    let mut entries: Vec<_> = parts.section(4)[4..].chunks(44).map(<[u8]>::to_vec).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry[4]));
    parts.section(4)[4..].copy_from_slice(&entries.concat());
    let reversed = matrices(parts.bytes());
    for (matrix, other) in in_order.iter().zip(&reversed) {
        assert_eq!(matrix[..2], other[..2]);
    }
}

#[test]
fn contributions_that_lie_about_their_lengths_are_refused() {
    let parts = Parts::of(&data::<Bn254>("final.zkey"));
    let error = zkey_error::<Bn254>(parts.patched(10, 64, &HUGE));
    assert!(matches!(error, ZkeyError::Container(BinFileError::SectionEnds { .. })), "{error}");
    // After three points of G1, one of G2, the transcript and the kind.
    let params = 68 + 3 * 64 + 128 + 64 + 4;
    let error = zkey_error::<Bn254>(parts.patched(10, params, &HUGE));
    assert!(matches!(error, ZkeyError::Container(BinFileError::SectionEnds { .. })), "{error}");
    for (at, byte) in [(4, 9), (4, 0), (5, 200), (6, 0xff)] {
        let error = zkey_error::<Bn254>(parts.patched(10, params + at, &[byte]));
        assert!(matches!(error, ZkeyError::Contribution { index: 0, .. }), "{error}");
    }
}

#[test]
fn witnesses_must_be_canonical_and_begin_with_one() {
    fn check<C: Curve>() {
        let parts = Parts::of(&data::<C>("witness.wtns"));
        let r = modulus::<C::Fr>();
        for wire in [0, 1, 5] {
            for bad in [r.clone(), vec![0xff; 32]] {
                let error = wtns_error(parts.patched(2, 32 * wire, &bad));
                let refused = matches!(error, WtnsError::NotCanonical { wire: w, .. } if w == wire);
                assert!(refused, "{error}");
            }
        }
        let mut below = r;
        below[0] -= 1;
        read_wtns(Cursor::new(parts.patched(2, 32, &below))).unwrap();
        for first in [0, 2] {
            let error = wtns_error(parts.patched(2, 0, &[first]));
            assert!(matches!(error, WtnsError::FirstNotOne), "{error}");
        }
        let error = wtns_error(parts.patched(2, 31, &[1]));
        assert!(matches!(error, WtnsError::FirstNotOne), "{error}");
    }
    check::<Bn254>();
    check::<Bls12_381>();
}

#[test]
fn a_witness_of_no_wires_or_of_four_billion_is_refused() {
    let mut parts = Parts::of(&data::<Bn254>("witness.wtns"));
    let error = wtns_error(parts.patched(1, 36, &HUGE));
    assert!(matches!(error, WtnsError::Container(BinFileError::SectionLength { id: 2, .. })));
    parts.section(1)[36..].fill(0);
    parts.section(2).clear();
    assert!(matches!(wtns_error(parts.bytes()), WtnsError::FirstNotOne));
}

#[test]
fn constraints_out_of_range_are_refused_with_their_number() {
    let parts = Parts::of(&data::<Bn254>("circuit.r1cs"));
    // The first row: number of terms, wire, coefficient.
    let error = r1cs_error::<Bn254>(parts.patched(2, 4, &6u32.to_le_bytes()));
    let refused = matches!(error, R1csError::WireOutOfRange { constraint: 0, wire: 6, wires: 6 });
    assert!(refused, "{error}");
    let error = r1cs_error::<Bn254>(parts.patched(2, 8, &modulus::<<Bn254 as Curve>::Fr>()));
    assert!(matches!(error, R1csError::NotCanonical { constraint: 0 }), "{error}");
    let error = r1cs_error::<Bn254>(parts.patched(2, 0, &HUGE));
    assert!(matches!(error, R1csError::Container(BinFileError::SectionEnds { .. })), "{error}");
}

#[test]
fn headers_that_no_circuit_can_have_are_refused() {
    let parts = Parts::of(&data::<Bn254>("circuit.r1cs"));
    // Wires, outputs, public and private inputs, labels (8 bytes), constraints.
    for at in [40, 44, 48] {
        let error = r1cs_error::<Bn254>(parts.patched(1, at, &HUGE));
        assert!(matches!(error, R1csError::Header { .. }), "{error}");
    }
    let error = r1cs_error::<Bn254>(parts.patched(1, 36, &HUGE));
    assert!(matches!(error, R1csError::Container(BinFileError::SectionLength { id: 3, .. })));
    let error = r1cs_error::<Bn254>(parts.patched(1, 60, &HUGE));
    assert!(matches!(error, R1csError::Container(BinFileError::SectionLength { id: 2, .. })));
    for constraints in [1u8, 3] {
        let error = r1cs_error::<Bn254>(parts.patched(1, 60, &[constraints]));
        assert!(matches!(error, R1csError::Container(_)), "{error}");
    }
}

#[test]
fn custom_gates_are_refused_by_name_and_empty_lists_of_them_are_not() {
    let mut parts = Parts::of(&data::<Bn254>("circuit.r1cs"));
    parts.sections.push((4, vec![0; 4]));
    parts.sections.push((5, vec![0; 4]));
    read_whole_r1cs::<Bn254>(Cursor::new(parts.bytes())).unwrap();
    *parts.section(4) = [&[1, 0, 0, 0][..], b"CMul\0\0\0\0\0"].concat();
    let error = r1cs_error::<Bn254>(parts.bytes());
    assert!(matches!(&error, R1csError::CustomGates { name } if name == "CMul"), "{error}");
    *parts.section(4) = [&[1, 0, 0, 0][..], &[b'x'; 1000]].concat();
    let error = r1cs_error::<Bn254>(parts.bytes());
    assert!(matches!(&error, R1csError::CustomGates { name } if name.len() == 64), "{error}");
}

#[test]
fn a_header_that_does_not_describe_the_system_is_not_written() {
    let mut file = R1csFile::open(Cursor::new(data::<Bn254>("circuit.r1cs"))).unwrap();
    let (header, r1cs) = (*file.header(), file.constraints::<Bn254>().unwrap());
    let labels = file.labels().unwrap();
    let refused = |header: r1cs::Header, labels: &[u64]| {
        let error = write_r1cs::<Bn254>(Vec::new(), &header, &r1cs, labels).unwrap_err();
        assert!(matches!(error, R1csError::Header { .. }), "{error}");
    };
    refused(r1cs::Header { wires: 7, ..header }, &labels);
    refused(r1cs::Header { outputs: 1, ..header }, &labels);
    refused(r1cs::Header { constraints: 1, ..header }, &labels);
    refused(r1cs::Header { curve: CurveId::Bls12_381, ..header }, &labels);
    refused(header, &labels[1..]);
}
