//! Athanor beside other libraries: the same inputs, interleaved in one process.
//!
//! Each subcommand is a module with its arguments and a `run`.

mod kernels;

use clap::Parser;

#[derive(Parser)]
#[command(version, about = "Compares Athanor with other libraries, interleaved in one process")]
enum Command {
    /// Multi-scalar multiplications and transforms: arkworks, blst, halo2curves.
    Kernels(kernels::Args),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Kernels(args) => kernels::run(args),
    }
}
