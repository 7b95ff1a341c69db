//! Ceremonies with snarkjs: both tools make the same initial key, byte for byte, and each can continue
//! the other's ceremony.

use std::{fs, io::Cursor, path::Path};

use athanor_groth16::{
    ceremony::{CeremonyError, Contributor, contribute, initial_key, verify},
    formats::{PtauError, ptau::PtauFile, r1cs::R1csFile, zkey::ZkeyFile},
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId};

use crate::{
    node::Snarkjs,
    support::{Parts, Zkey, data},
};

/// Powers of tau of power 5 by snarkjs, prepared and not, cached between runs.
struct Powers {
    plain: Vec<u8>,
    prepared: Vec<u8>,
}

fn powers<C: Curve>(test: &str) -> Option<Powers> {
    let curve = match C::ID {
        CurveId::Bn254 => "bn128",
        CurveId::Bls12_381 => "bls12381",
    };
    let dir = athanor_testkit::powers_of_tau(test, curve, 5)?;
    let read = |name: &str| fs::read(Path::new(&dir).join(name)).unwrap();
    Some(Powers { plain: read("plain.ptau"), prepared: read("prepared.ptau") })
}

fn initial<C: Curve>(ptau: &[u8]) -> Vec<u8> {
    let mut r1cs = R1csFile::open(Cursor::new(data::<C>("circuit.r1cs"))).unwrap();
    let r1cs = r1cs.constraints::<C>().unwrap();
    let mut ptau = PtauFile::open(Cursor::new(ptau)).unwrap().read_as::<C>().unwrap();
    let mut key = Vec::new();
    initial_key(&r1cs, &mut ptau, &mut key).unwrap();
    key
}

fn read<C: Curve>(key: &[u8]) -> Zkey<C> {
    ZkeyFile::open(Cursor::new(key.to_vec())).unwrap().read_as::<C>().unwrap()
}

fn contributed<C: Curve>(key: &[u8], by: Contributor<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    contribute(&mut read::<C>(key), &mut out, by).unwrap();
    out
}

const PERSON: Contributor<'_> = Contributor::Person { name: Some("ours"), entropy: b"some" };

fn alternate<C: Curve>(test: &str) {
    let (Some(snarkjs), Some(powers)) = (Snarkjs::find(test), powers::<C>(test)) else { return };
    snarkjs.write("c.r1cs", data::<C>("circuit.r1cs"));
    snarkjs.write("p.ptau", &powers.prepared);
    snarkjs.must("groth16 setup c.r1cs p.ptau theirs.zkey");
    let theirs = snarkjs.bytes("theirs.zkey");
    let ours = initial::<C>(&powers.prepared);
    assert!(ours == theirs, "the initial key is snarkjs's to the byte");
    assert!(initial::<C>(&powers.plain) == ours, "with and without prepared powers");

    // Contributions by us, snarkjs, us; then a beacon by each tool.
    let first = contributed::<C>(&ours, PERSON);
    snarkjs.write("1.zkey", &first);
    snarkjs.must("zkey verify c.r1cs p.ptau 1.zkey");
    snarkjs.must("zkey contribute 1.zkey 2.zkey --name=theirs -e=test");
    let third = contributed::<C>(&snarkjs.bytes("2.zkey"), PERSON);
    snarkjs.write("3.zkey", &third);
    snarkjs.must("zkey beacon 3.zkey 4.zkey 0102030405 10 -n=beacon");
    let value = [9, 8, 7];
    let beacon = Contributor::Beacon { name: None, value: &value, iterations_log: 11 };
    let last = contributed::<C>(&snarkjs.bytes("4.zkey"), beacon);
    snarkjs.write("5.zkey", &last);
    let said = snarkjs.must("zkey verify c.r1cs p.ptau 5.zkey");
    assert!(said.contains("ZKey Ok!"), "{said}");
    for key in [&first, &third, &last] {
        verify(&mut read::<C>(key), &mut read::<C>(&ours)).unwrap();
    }
    let verified = verify(&mut read::<C>(&last), &mut read::<C>(&ours)).unwrap();
    let names: Vec<_> =
        verified.contributions.iter().map(|(made, _)| made.name.as_deref()).collect();
    let expected = [Some("ours"), Some("theirs"), Some("ours"), Some("beacon"), None];
    assert_eq!(names, expected);
    // The hashes are those that snarkjs prints.
    for (_, hash) in &verified.contributions {
        let words = athanor_groth16::ceremony::hash_words(hash);
        assert!(said.contains(words.split(' ').next().unwrap()), "{said}");
    }
    // The key proves.
    snarkjs.write("w.wtns", data::<C>("witness.wtns"));
    snarkjs.must("zkey export verificationkey 5.zkey v.json");
    snarkjs.must("groth16 prove 5.zkey w.wtns proof.json public.json");
    snarkjs.must("groth16 verify v.json public.json proof.json");
}

#[test]
fn a_ceremony_that_alternates_between_both_tools_verifies_in_both_on_bn254() {
    alternate::<Bn254>("a_ceremony_that_alternates_between_both_tools_verifies_in_both_on_bn254");
}

#[test]
fn a_ceremony_that_alternates_between_both_tools_verifies_in_both_on_bls12_381() {
    let test = "a_ceremony_that_alternates_between_both_tools_verifies_in_both_on_bls12_381";
    alternate::<Bls12_381>(test);
}

/// The key with some bytes of a section inverted.
fn flipped(key: &[u8], id: u32, at: usize) -> Vec<u8> {
    let mut parts = Parts::of(key);
    let byte = parts.section(id)[at] ^ 1;
    parts.patched(id, at, &[byte])
}

#[test]
fn a_key_with_any_part_changed_does_not_verify() {
    let test = "a_key_with_any_part_changed_does_not_verify";
    let Some(powers) = powers::<Bn254>(test) else { return };
    let first = initial::<Bn254>(&powers.prepared);
    let good = contributed::<Bn254>(&contributed::<Bn254>(&first, PERSON), PERSON);
    let verdict = |key: &[u8]| -> Result<(), String> {
        let file = ZkeyFile::open(Cursor::new(key.to_vec())).map_err(|error| error.to_string())?;
        let mut key = file.read_as::<Bn254>().map_err(|error| error.to_string())?;
        verify(&mut key, &mut read::<Bn254>(&first)).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(verdict(&good), Ok(()));
    let mut parts = Parts::of(&good);
    // Replaces every point of L and H by a different point on the curve.
    for id in [8, 9] {
        let section = parts.section(id).clone();
        let (one, two) = (section[..64].to_vec(), section[64..128].to_vec());
        assert_ne!(one, two);
        let swapped = parts.patched(id, 0, &[two, one].concat());
        let error = verdict(&swapped).unwrap_err();
        assert!(error.contains(if id == 8 { "points of L" } else { "points of H" }), "{error}");
    }
    // Changes bytes anywhere: the result is an invalid point, or a different key.
    // Names are not authenticated; they are at the end of each contribution.
    let is_name = |id: u32, at: usize| {
        let each = 5 * 64 + 64 + 8 + 6;
        id == 10 && at >= 68 && (at - 68) % each >= each - 6
    };
    for (id, length) in Parts::of(&good).sections.iter().map(|(id, bytes)| (*id, bytes.len())) {
        for at in (0..length).step_by(41).filter(|&at| !is_name(id, at)) {
            assert!(verdict(&flipped(&good, id, at)).is_err(), "section {id}, byte {at}");
        }
    }
    // A truncated history, and one in a different order.
    let history = parts.section(10).clone();
    let mut none = history[..64].to_vec();
    none.extend(0u32.to_le_bytes());
    *parts.section(10) = none;
    assert!(verdict(&parts.bytes()).unwrap_err().contains("δ is not"), "a history cut");
    let each = (history.len() - 68) / 2;
    let [one, two] = [68, 68 + each].map(|at| history[at..at + each].to_vec());
    *parts.section(10) = [&history[..68], &two, &one].concat();
    assert!(verdict(&parts.bytes()).unwrap_err().contains("contribution 1"), "another order");
}

#[test]
fn a_key_for_development_and_one_without_history_take_no_contribution() {
    let mut key = read::<Bn254>(&crate::support::rewritten::<Bn254>(
        &data::<Bn254>("initial.zkey"),
        Some("a key for development"),
    ));
    let error = contribute(&mut key, Vec::new(), PERSON).unwrap_err();
    assert!(matches!(error, CeremonyError::Development), "{error}");
    let mut key = read::<Bn254>(&data::<Bn254>("initial.zkey"));
    for (value, iterations_log) in [(&[][..], 10), (&[1; 256], 10), (&[1], 9), (&[1], 33)] {
        let beacon = Contributor::Beacon { name: None, value, iterations_log };
        let error = contribute(&mut key, Vec::new(), beacon).unwrap_err();
        assert!(matches!(error, CeremonyError::Beacon(_)), "{error}");
    }
}

#[test]
fn powers_that_are_too_few_of_another_curve_or_forged_are_refused() {
    let test = "powers_that_are_too_few_of_another_curve_or_forged_are_refused";
    let Some(powers) = powers::<Bn254>(test) else { return };
    let open = |bytes: &[u8]| PtauFile::open(Cursor::new(bytes.to_vec()));
    let mut good = open(&powers.prepared).unwrap();
    assert!(good.prepared() && !open(&powers.plain).unwrap().prepared());
    assert_eq!(good.contributors().unwrap()[0].name.as_deref(), Some("one"));
    let powers_of = open(&powers.plain).unwrap().read_as::<Bn254>().unwrap();
    assert!(matches!(powers_of.reaches(6), Err(PtauError::TooSmall { power: 5, needed: 6 })));
    let error = open(&powers.plain).unwrap().read_as::<Bls12_381>().unwrap_err();
    assert!(matches!(error, PtauError::WrongCurve { .. }), "{error}");

    let parts = Parts::of(&powers.prepared);
    let power_at = 4 + 32;
    for power in [0u32, 4, 6, 29, u32::MAX] {
        assert!(open(&parts.patched(1, power_at, &power.to_le_bytes())).is_err(), "power {power}");
    }
    let mut half = parts.clone();
    half.sections.retain(|(id, _)| *id != 13);
    assert!(matches!(open(&half.bytes()), Err(PtauError::HalfPrepared)));
    let begin = |bytes: Vec<u8>| open(&bytes).unwrap().read_as::<Bn254>().unwrap_err().to_string();
    let mut other = parts.clone();
    let tau = other.section(2)[64..128].to_vec();
    assert!(begin(parts.patched(2, 0, &tau)).contains("not the generator"));
    assert!(begin(parts.patched(2, 64, &[0; 64])).contains("τ is zero"));
    assert!(begin(parts.patched(2, 64, &[1; 64])).contains("not on the curve"));
    let stray = crate::support::outside_the_subgroup::<<Bn254 as Curve>::G2Config>();
    let stray = crate::support::stored(&stray);
    assert!(begin(parts.patched(3, 128, &stray)).contains("outside the subgroup"));
}
