//! Reference programs and files for tests, from npm: snarkjs, circom2, solc, semaphore, circomlib; and
//! emulation of newer processors ([`again_on_ifma`]).
//!
//! The programs are downloaded once, in pinned versions, into `.cache/npm` of the repository, which git
//! ignores; they are not part of Athanor. If Node is absent or the download fails, a test is skipped
//! with a line on standard error. With `ATHANOR_REQUIRE_NODE=1`, as in CI, it fails instead.
//!
//! ```no_run
//! # fn test() {
//! let Some(snarkjs) = athanor_testkit::snarkjs("our proofs verify in snarkjs") else { return };
//! snarkjs.run(std::path::Path::new("."), &["groth16", "verify", "vk.json", "pub.json", "p.json"]);
//! # }
//! ```

mod circuits;
mod ifma;
mod npm;
mod tool;

use std::path::PathBuf;

pub use circuits::{Compiled, compiled, poseidon_chain, sha256};
pub use ifma::again_on_ifma;
pub use tool::Tool;

/// `snarkjs` (GPL-3.0), the reference for Circom proofs.
pub fn snarkjs(test: &str) -> Option<Tool> {
    let dir = npm::installed(test, "snarkjs", "0.7.6")?;
    Some(Tool::new(dir.join("node_modules/snarkjs/build/cli.cjs")))
}

/// `circom2` (GPL-3.0): the Circom 2 compiler as wasm. It reads and writes only below its working
/// directory.
pub fn circom2(test: &str) -> Option<Tool> {
    let dir = npm::installed(test, "circom2", "0.2.23")?;
    Some(Tool::new(dir.join("node_modules/circom2/cli.js")))
}

/// Small powers of tau made by snarkjs, for a curve by snarkjs's name: a directory
/// with `plain.ptau` (one contribution) and `prepared.ptau` (the same, with Lagrange sections).
pub fn powers_of_tau(test: &str, curve: &str, power: u32) -> Option<PathBuf> {
    let snarkjs = snarkjs(test)?;
    let name = format!("powers-{curve}-{power}");
    npm::kept(test, &format!("powers of tau for {curve}"), &name, |dir| {
        let power = power.to_string();
        for args in [
            &["powersoftau", "new", curve, &power, "zero.ptau"][..],
            &["powersoftau", "contribute", "zero.ptau", "plain.ptau", "--name=one", "-e=test"],
            &["powersoftau", "prepare", "phase2", "plain.ptau", "prepared.ptau"],
        ] {
            let output = snarkjs.output(dir, args);
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stdout).into_owned());
            }
        }
        Ok(())
    })
}

/// `solc` (GPL-3.0) as JavaScript: reads the Solidity compiler's standard JSON from standard input and
/// writes the result to standard output.
pub fn solc(test: &str) -> Option<Tool> {
    let dir = npm::kept(test, "solc", "solc-0.8.30-wrapped", |dir| {
        npm::install(dir, "solc", "0.8.30")?;
        std::fs::write(dir.join("run.js"), SOLC).map_err(|error| error.to_string())
    })?;
    Some(Tool::new(dir.join("run.js")))
}

/// A wrapper of its library, since its command line requires files.
const SOLC: &str = "const solc = require('solc');
const input = require('fs').readFileSync(0, 'utf8');
process.stdout.write(solc.compile(input));
";

/// Files of one depth of `@zk-kit/semaphore-artifacts` (MIT): a third-party circuit with the key of its
/// public ceremony.
#[derive(Clone, Debug)]
pub struct Semaphore {
    /// Depth of the Merkle tree.
    pub depth: usize,
    /// The witness calculator.
    pub wasm: PathBuf,
    /// The proving key.
    pub zkey: PathBuf,
    /// The verification key, as snarkjs exports it.
    pub vkey: PathBuf,
}

/// Depths that [`semaphore`] supports; the package has all from 1 to 32, which take 109 MB.
pub const SEMAPHORE_DEPTHS: [usize; 4] = [1, 10, 20, 32];

/// The semaphore circuit of a depth in [`SEMAPHORE_DEPTHS`].
pub fn semaphore(test: &str, depth: usize) -> Option<Semaphore> {
    assert!(SEMAPHORE_DEPTHS.contains(&depth), "depth {depth} is not in SEMAPHORE_DEPTHS");
    let wanted: Vec<String> = SEMAPHORE_DEPTHS
        .iter()
        .flat_map(|depth| ["wasm", "zkey", "json"].map(|ext| format!("semaphore-{depth}.{ext}")))
        .collect();
    let dir = npm::extracted(test, "@zk-kit/semaphore-artifacts", "4.13.0", &wanted)?;
    let file = |ext| dir.join("package").join(format!("semaphore-{depth}.{ext}"));
    Some(Semaphore { depth, wasm: file("wasm"), zkey: file("zkey"), vkey: file("json") })
}
