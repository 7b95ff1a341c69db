//! Compiles the wire format with a compiler written in Rust, so that the build needs no `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (file, folder) = ("proto/athanor.proto", "proto");
    println!("cargo::rerun-if-changed={file}");
    let descriptors = protox::compile([file], [folder])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    // The file descriptor set, for reflection.
    std::fs::write(out.join("athanor.bin"), protox::prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
