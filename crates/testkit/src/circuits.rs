//! Circuits with circomlib, compiled once and cached.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{circom2, npm};

/// A compiled circuit.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Its constraints.
    pub r1cs: PathBuf,
    /// Its witness calculator.
    pub wasm: PathBuf,
}

/// SHA-256 of a message of `message_bytes` bytes, from circomlib (GPL-3.0) over BN254: 98 % bits. The
/// private input `in` is the message's bits, most significant first; the public output `out` is
/// the digest's.
pub fn sha256(test: &str, message_bytes: usize) -> Option<Compiled> {
    let bits = 8 * message_bytes;
    let source = format!(
        "pragma circom 2.0.0;\ninclude \"circomlib/circuits/sha256/sha256.circom\";\n\
         component main = Sha256({bits});\n"
    );
    compiled(test, &format!("sha256-{message_bytes}"), &source, "bn128")
}

/// A chain of Poseidon hashes, each of the previous hash and a counter, from circomlib (GPL-3.0), over
/// the field with circom's name `prime`. The constants are those of BN254 in any field, since only the
/// arithmetic matters here. The private input is `in`, the public output `out`.
pub fn poseidon_chain(test: &str, hashes: usize, prime: &str) -> Option<Compiled> {
    let source = format!(
        "pragma circom 2.0.0;\ninclude \"circomlib/circuits/poseidon.circom\";\n\
         template Chain(n) {{\n    signal input in;\n    signal output out;\n    \
         component hash[n];\n    for (var i = 0; i < n; i++) {{\n        \
         hash[i] = Poseidon(2);\n        hash[i].inputs[0] <== i == 0 ? in : hash[i - 1].out;\n        \
         hash[i].inputs[1] <== i;\n    }}\n    out <== hash[n - 1].out;\n}}\n\
         component main = Chain({hashes});\n"
    );
    compiled(test, &format!("poseidon-chain-{hashes}-{prime}"), &source, prime)
}

/// A circuit of the given name and source, which may include circomlib, over the field with circom's
/// name `prime`.
pub fn compiled(test: &str, name: &str, source: &str, prime: &str) -> Option<Compiled> {
    let circom = circom2(test)?;
    let circomlib = npm::installed(test, "circomlib", "2.0.5")?.join("node_modules/circomlib");
    let dir = npm::kept(test, &format!("compiled {name}"), name, |dir| {
        // The compiler can read only files below its working directory.
        copy(&circomlib.join("circuits"), &dir.join("circomlib/circuits"))
            .and_then(|()| fs::write(dir.join("main.circom"), source))
            .map_err(|error| error.to_string())?;
        let output = circom.output(dir, &["main.circom", "--r1cs", "--wasm", "--prime", prime]);
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    })?;
    Some(Compiled { r1cs: dir.join("main.r1cs"), wasm: dir.join("main_js/main.wasm") })
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
