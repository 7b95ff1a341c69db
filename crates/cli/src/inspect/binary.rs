//! The binary formats.

use std::{collections::HashSet, fs::File, path::Path};

use athanor_groth16::{
    ceremony::{contribution_hash, hash_words},
    formats::{
        BinFileError, R1csError, ZkeyError,
        ptau::PtauFile,
        r1cs::R1csFile,
        wtns::read_wtns,
        zkey::{Factor, G1Query, Query, ZkeyFile},
    },
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId, Words};
use serde_json::{Value, json};

use super::Facts;
use crate::{
    failure::{Failure, Kind},
    keys,
    setup::ceremony::{bad_ptau, hex},
};

pub(super) fn zkey(path: &Path, file: File) -> Result<Facts, Failure> {
    let bad = |error| keys::bad_zkey(path, error);
    let file = ZkeyFile::open(file).map_err(bad)?;
    match file.curve() {
        CurveId::Bn254 => zkey_of::<Bn254>(file),
        CurveId::Bls12_381 => zkey_of::<Bls12_381>(file),
    }
    .map_err(bad)
}

fn zkey_of<C: Curve>(file: ZkeyFile<File>) -> Result<Facts, ZkeyError> {
    let mut zkey = file.read_as::<C>()?;
    let header = *zkey.header();
    let mut facts = Facts::new("proving key (.zkey)");
    facts.add("curve", header.curve.to_string());
    facts.add("protocol", "groth16");
    facts.add("public_signals", header.public);
    facts.add("wires", header.wires);
    facts.add("domain_size", header.domain_size);
    let key = zkey.verifying_key()?;

    let mut statistics = Statistics::new();
    let mut entries = [0u64; 2];
    let mut last_row = 0;
    for entry in zkey.coefficients()? {
        let entry = entry?;
        entries[usize::from(entry.factor == Factor::B)] += 1;
        last_row = last_row.max(entry.row);
        statistics.count(&entry.value);
    }
    // The last rows of A bind the public signals.
    facts.add("constraints", (last_row + 1).saturating_sub(header.public + 1));
    let mut coefficients = json!({ "in_a": entries[0], "in_b": entries[1] });
    statistics.tell(&mut coefficients);
    facts.add("coefficients", coefficients);

    let mut infinity = serde_json::Map::new();
    for (name, query) in [
        ("a", Query::G1(G1Query::A)),
        ("b_in_g1", Query::G1(G1Query::B1)),
        ("b_in_g2", Query::B2),
        ("l", Query::G1(G1Query::C)),
        ("h", Query::G1(G1Query::H)),
    ] {
        let words = match query {
            Query::B2 => <C::G2Config as athanor_kernels::Group>::POINT_WORDS,
            Query::G1(_) => <C::G1Config as athanor_kernels::Group>::POINT_WORDS,
        };
        let mut count = 0;
        zkey.point_words(query, 1 << 14, |_, points| {
            let zero = |point: &&[u64]| point.iter().all(|&word| word == 0);
            count += points.chunks_exact(words).filter(zero).count();
            Ok::<_, ZkeyError>(())
        })?;
        infinity.insert(name.into(), count.into());
    }
    facts.add("points_at_infinity", infinity);

    let note = zkey.note()?;
    let history = zkey.contributions()?;
    let contributions = history.as_ref().map_or(0, |history| history.contributions.len());
    let development = note.is_some();
    if let Some(history) = history.filter(|_| !development) {
        facts.add("circuit_hash", hex(history.circuit_hash));
        let listed = history.contributions.iter().map(|made| {
            json!({
                "name": made.name,
                "kind": if made.kind == 1 { "beacon" } else { "person" },
                "beacon": made.beacon.as_deref().map(hex),
                "iterations_log": made.iterations_log,
                "hash": hash_words(&contribution_hash(made)),
            })
        });
        facts.add("contributions", listed.collect::<Vec<Value>>());
    }
    facts.add("note", note);
    facts.add("standing", keys::standing_name(key.standing()));
    facts.add(
        "use",
        if development {
            "proves, for development only: the person who made it could forge proofs"
        } else if key.delta_g2 == key.gamma_g2 {
            "proves, but ANYONE CAN FORGE PROOFS: contribute to it first"
        } else if contributions == 0 {
            "proves; the file does not say who contributed"
        } else {
            "proves; verify its history with `athanor setup verify`"
        },
    );
    facts.add("checked", "outline, header, IC, coefficients and history; not the queries' points");
    Ok(facts)
}

pub(super) fn ptau(path: &Path, file: File) -> Result<Facts, Failure> {
    let bad = |error| bad_ptau(path, error);
    let mut file = PtauFile::open(file).map_err(bad)?;
    let header = *file.header();
    let contributors = file.contributors().map_err(bad)?;
    let prepared = file.prepared();
    match header.curve {
        CurveId::Bn254 => file.read_as::<Bn254>().map(drop),
        CurveId::Bls12_381 => file.read_as::<Bls12_381>().map(drop),
    }
    .map_err(bad)?;
    let mut facts = Facts::new("powers of tau (.ptau)");
    facts.add("curve", header.curve.to_string());
    facts.add("power", header.power);
    facts.add("ceremony_power", header.ceremony_power);
    facts.add("most_rows", 1u64 << header.power);
    facts.add("prepared_for_circuits", prepared);
    let listed = contributors.iter().map(|made| {
        json!({
            "name": made.name,
            "kind": if made.kind == 1 { "beacon" } else { "person" },
            "next_challenge": hash_words(&made.next_challenge),
        })
    });
    facts.add("contributions", listed.collect::<Vec<Value>>());
    facts.add(
        "use",
        match (contributors.is_empty(), prepared) {
            (true, _) => "nobody has contributed: anyone can forge proofs for keys made from it",
            (false, true) => "makes keys with `athanor setup new`",
            (false, false) => {
                "makes keys with `athanor setup new`, slower than a prepared file (prepare phase2)"
            }
        },
    );
    facts.add("checked", "outline and first powers; not whether they are powers of one secret");
    Ok(facts)
}

pub(super) fn r1cs(path: &Path, file: File) -> Result<Facts, Failure> {
    let bad = |error: R1csError| {
        let kind = match &error {
            R1csError::Container(BinFileError::Io { .. }) => Kind::Unreadable,
            _ => Kind::BadConstraints,
        };
        Failure::at(kind, path, error)
    };
    let file = R1csFile::open(file).map_err(bad)?;
    match file.header().curve {
        CurveId::Bn254 => r1cs_of::<Bn254>(file),
        CurveId::Bls12_381 => r1cs_of::<Bls12_381>(file),
    }
    .map_err(bad)
}

fn r1cs_of<C: Curve>(mut file: R1csFile<File>) -> Result<Facts, R1csError> {
    let header = *file.header();
    let mut facts = Facts::new("constraints (.r1cs)");
    facts.add("curve", header.curve.to_string());
    facts.add("constraints", header.constraints);
    facts.add("wires", header.wires);
    facts.add("public_outputs", header.outputs);
    facts.add("public_inputs", header.public_inputs);
    facts.add("private_inputs", header.private_inputs);
    facts.add("labels", header.labels);
    let system = file.constraints::<C>()?;
    let mut statistics = Statistics::new();
    let matrices = [&system.a, &system.b, &system.c];
    matrices.iter().flat_map(|rows| rows.iter()).flatten().for_each(|(_, value)| {
        statistics.count(value);
    });
    let [a, b, c] = matrices.map(|rows| rows.entries());
    let mut coefficients = json!({ "in_a": a, "in_b": b, "in_c": c });
    statistics.tell(&mut coefficients);
    facts.add("coefficients", coefficients);
    let rows = u64::from(header.constraints) + system.public as u64 + 1;
    let power = rows.next_power_of_two().ilog2().max(1);
    facts.add("powers_of_tau_needed", power);
    facts.add(
        "use",
        "makes keys with `athanor setup`, and names what a witness breaks in `athanor prove`",
    );
    facts.add("checked", "whole file: wires are in range, coefficients are below the group order");
    Ok(facts)
}

pub(super) fn wtns(path: &Path, file: File) -> Result<Facts, Failure> {
    let witness =
        read_wtns(file).map_err(|error| athanor_circom::circuit::witness::bad_wtns(path, error))?;
    let mut facts = Facts::new("witness (.wtns)");
    facts.add("curve", witness.curve.to_string());
    facts.add("wires", witness.values.len());
    facts.add(
        "use",
        "proves with `athanor prove --wtns`; it holds the private inputs: keep it secret",
    );
    facts.add("checked", "whole file: values are below the group order");
    Ok(facts)
}

/// Statistics of coefficients; a prover is faster where they are ±1.
struct Statistics {
    total: u64,
    units: u64,
    distinct: HashSet<Vec<u64>>,
}

impl Statistics {
    /// Largest number of distinct values that are counted.
    const MOST: usize = 1 << 20;

    fn new() -> Self {
        Self { total: 0, units: 0, distinct: HashSet::new() }
    }

    fn count<F: Words>(&mut self, value: &F) {
        self.total += 1;
        if value.is_one() || (-*value).is_one() {
            self.units += 1;
        }
        if self.distinct.len() <= Self::MOST {
            let mut words = vec![0; F::WORDS];
            value.write_words(&mut words);
            self.distinct.insert(words);
        }
    }

    fn tell(&self, facts: &mut Value) {
        let share = self.units as f64 / (self.total.max(1)) as f64;
        facts["plus_or_minus_one_share"] = ((share * 1e4).round() / 1e4).into();
        facts["distinct"] = match self.distinct.len() {
            many if many > Self::MOST => format!("more than {}", Self::MOST).into(),
            few => few.into(),
        };
    }
}
