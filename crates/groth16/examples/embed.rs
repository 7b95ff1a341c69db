//! Proves with a snarkjs key from a Rust program, and verifies one proof and a batch.
//!
//! ```sh
//! cargo run --release --example embed -- key.zkey witness.wtns
//! ```
//!
//! Without arguments it uses the small key of this crate's tests.
#![allow(clippy::print_stdout, reason = "it shows what it did")]

use std::{error::Error, fs::File, path::PathBuf};

use athanor_groth16::{
    Claim, NativeKey, ProvingKey, Verifier, Witness, digest_of,
    formats::{json, wtns::read_wtns, zkey::ZkeyFile},
};
use athanor_kernels::{Bn254, cpu::Cpu};

fn main() -> Result<(), Box<dyn Error>> {
    let tests = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bn128"));
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let zkey = arguments.next().unwrap_or_else(|| tests.join("final.zkey"));
    let wtns = arguments.next().unwrap_or_else(|| tests.join("witness.wtns"));

    // Once per key: every point is checked and converted. `store` and `open` keep the result in a
    // file, so that the next start only reads it.
    let digest = digest_of(&mut File::open(&zkey)?)?;
    let mut file = ZkeyFile::open(File::open(&zkey)?)?.read_as::<Bn254>()?;
    let native = NativeKey::from_zkey(&Cpu, &mut file, digest)?;
    // Resident on a device. It can be shared between threads; calls may run concurrently.
    let key = ProvingKey::load(Cpu, native)?;
    let verifier = Verifier::new(key.verifying_key())?;

    // Once per proof. All parallel work runs in the caller's rayon pool.
    let mut proofs = Vec::new();
    for _ in 0..4 {
        let witness = Witness::<Bn254>::new(read_wtns(File::open(&wtns)?)?.values)?;
        let public = witness.public(key.verifying_key().public_signals()).to_vec();
        let proved = key.prove(witness)?;
        println!("proved in {:?}", proved.stages.prove);
        proofs.push((public, proved.proof));
    }

    // The proof in snarkjs's JSON.
    let (public, proof) = &proofs[0];
    println!("{}\n{}", json::write_proof(proof), json::write_public::<Bn254>(public));

    // One proof; and a batch, at about a third of the cost per proof.
    verifier.verify(public, proof)?;
    let claims: Vec<_> = proofs.iter().map(|(public, proof)| Claim { public, proof }).collect();
    verifier.verify_batch(&claims)?;
    println!("{} proofs are valid", claims.len());
    Ok(())
}
