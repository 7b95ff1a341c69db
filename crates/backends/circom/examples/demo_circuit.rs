//! Writes the generated part of the demo's circuit and compiles it. Run it after a change to
//! `circuits/*.circom`; it needs Node.

use std::{error::Error, fs, path::Path};

use athanor_circom::demo::Poseidon;

fn main() -> Result<(), Box<dyn Error>> {
    let circuits =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../circuits").canonicalize()?;
    fs::write(circuits.join("poseidon_constants.circom"), Poseidon::get().to_circom())?;
    let circom = athanor_testkit::circom2("demo_circuit").ok_or("needs Node")?;
    circom.run(&circuits, &["merkle.circom", "--r1cs", "--O1"]);
    Ok(())
}
