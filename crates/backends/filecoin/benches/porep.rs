//! One of ten partitions (2 KiB, a domain of 2^21), against bellperson's prover, in CPU seconds.
//!
//! `cargo bench -p athanor-filecoin --features stock --bench porep -- [ROUNDS]`. Parameters are made
//! on the first run. Every proof is compared byte for byte with bellperson's.
#![allow(clippy::print_stdout, reason = "a bench prints")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/reference.rs"]
mod reference;

use std::{fs::File, io::BufReader};

use ark_bls12_381::Fr;
use athanor_groth16::{
    NativeKey, ProvingKey, Witness,
    formats::bellman::{self, BellmanReader, Trust},
};
use athanor_kernels::{Bls12_381, Path, counters::counters, cpu::CpuOn};
use common::cpu_seconds;

/// Runs work and returns its result and CPU time.
fn cost<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = cpu_seconds();
    (work(), cpu_seconds() - began)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    if std::env::args().any(|argument| argument == "verifier_child") {
        return common::be_the_verifier();
    }
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(3);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load {}, threads {}", load.trim(), rayon::current_num_threads());
    let porep = common::porep(10);
    let (c1, params) = (common::c1(&porep), common::parameters(&porep));
    let constraints = common::constraints(&porep);
    let vanilla = porep.vanilla(c1.clone()).unwrap();
    let mapped = reference::mapped(&params);
    let paths = Path::ALL.into_iter().filter_map(|path| Some((path, CpuOn::path(path)?)));
    let keys: Vec<_> = paths
        .map(|(path, device)| {
            let mut reader =
                BellmanReader::open(BufReader::new(File::open(&params).unwrap())).unwrap();
            let matrices = (constraints.a.clone(), constraints.b.clone());
            let native =
                NativeKey::from_bellman(&device, &mut reader, matrices, Trust::Vouched, [0; 32]);
            (path, ProvingKey::load(device, native.unwrap()).unwrap(), Vec::new())
        })
        .collect();
    let (mut stock, mut witnesses, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    let mut keys = keys;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    // The first round compares bytes and is not counted.
    for round in 0..=rounds {
        let partition = round % 10;
        let circuit = reference::circuit(&c1, 10, partition);
        let (expected, cpu) = cost(|| reference::prove(circuit, &mapped, 101, 102));
        stock.push(cpu);
        checks.push(cost(|| vanilla.check(partition as u32).unwrap()).1);
        let (witness, cpu): (Witness<Bls12_381>, f64) = cost(|| {
            let wires = constraints.sizes.wires();
            pool.install(|| vanilla.witness(partition as u32, wires).unwrap())
        });
        witnesses.push(cpu);
        for (path, key, costs) in &mut keys {
            let before = counters(*path);
            let witness = witness.clone();
            if round == 0 {
                let (r, s) = (Fr::from(101u64), Fr::from(102u64));
                let proof = pool.install(|| key.prove_with_randomness(witness, r, s).unwrap());
                assert_eq!(bellman::proof_bytes(&proof)[..], expected, "{path}");
            } else {
                let (made, cpu) = cost(|| pool.install(|| key.prove_unverified(witness).unwrap()));
                costs.push((cpu, made.stages));
            }
            let after = counters(*path);
            assert_eq!(after.evaluations - before.evaluations, 2, "{path} served");
        }
    }
    // Reads and one-time work of the first round are not counted either.
    for costs in [&mut stock, &mut witnesses, &mut checks] {
        costs.remove(0);
    }
    let (check, witness, stock) = (median(checks), median(witnesses), median(stock));
    println!("medians of {rounds} rounds, cpu seconds a partition; bytes equal bellperson's");
    println!("  bellperson 0.27 create_proof {stock:8.2}   (1)");
    println!("  vanilla check {check:.3}, witness {witness:.3}");
    for (path, _, costs) in &keys {
        let prove = median(costs.iter().map(|(cpu, _)| *cpu).collect());
        let whole = check + witness + prove;
        println!("  {path:<10} prove {prove:7.2}   whole {whole:7.2}   (1/{:.2})", stock / whole);
        // One thread ran the stages one after the other, so shares of time are shares of cost.
        let all = |stages: &athanor_groth16::Stages| {
            let named = stages.named();
            named
                .into_iter()
                .filter(|(name, _)| !["prove", "check"].contains(name))
                .collect::<Vec<_>>()
        };
        let count = all(&costs[0].1).len();
        for at in 0..count {
            let shares = costs.iter().map(|(cpu, stages)| {
                let stages = all(stages);
                let sum: f64 = stages.iter().map(|(_, time)| time.as_secs_f64()).sum();
                cpu * stages[at].1.as_secs_f64() / sum
            });
            println!("    {:<10} {:7.2}", all(&costs[0].1)[at].0, median(shares.collect()));
        }
    }
}
