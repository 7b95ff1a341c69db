//! Athanor beside other libraries: the same inputs, interleaved in one process.
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
    /// Transfers through the transaction executor: a Block-STM.
    Fastpath(fastpath::Args),
    /// Whole proofs, from witness to proof: ark-groth16.
    Groth16(groth16::Args),
    /// Multi-scalar multiplications and transforms: arkworks, blst, halo2curves.
    Kernels(kernels::Args),
    /// Many proofs of one key: ark-groth16.
    Verify(verify::Args),
    /// Witnesses from circom's modules: the same module as it was written, and node.
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
