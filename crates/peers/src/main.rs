//! Compares Athanor with other libraries: the same inputs, interleaved in one process.
//!
//! Each subcommand is a module with its arguments and a `run`.

mod fastpath;
mod groth16;
mod kernels;
mod verify;
mod witness;

use clap::Parser;

#[derive(Parser)]
#[command(version, about = "Compares Athanor with other libraries, interleaved in one process")]
enum Command {
    /// Transfers through the transaction executor, against a Block-STM
    Fastpath(fastpath::Args),
    /// Complete proofs, from witness to proof, against ark-groth16
    Groth16(groth16::Args),
    /// Multi-scalar multiplications and transforms, against arkworks, blst and halo2curves
    Kernels(kernels::Args),
    /// Verification of many proofs under one key, against ark-groth16
    Verify(verify::Args),
    /// Witnesses from circom's modules, against the unmodified module and Node
    Witness(witness::Args),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Fastpath(args) => fastpath::run(args),
        Command::Groth16(args) => groth16::run(args),
        Command::Kernels(args) => kernels::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Witness(args) => witness::run(args),
    }
}
