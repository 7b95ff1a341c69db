//! Makes local parameters for tests and demos: complete ones, whose trapdoors this process knew.
//!
//! The stock setup takes ten times as long: it multiplies each point separately and inverts once per
//! point for the affine form.

use std::{
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

use ark_bls12_381::Fr;
use athanor_groth16::{
    R1cs, Rows, development_setup_on, digest_of,
    formats::bellman::{self, BellmanReader},
};
use athanor_kernels::{Bls12_381, Domain, Matrix, Quotient};
use storage_proofs_core::parameter_cache::verifying_key_id;

use super::{Standing, file_name};
use crate::{Constraints, Fault, Porep};

/// Files of the new parameters.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The parameter file, in the stock layout under its stock name.
    pub params: PathBuf,
    /// The verifying key, in the stock layout under its stock name.
    pub verifying_key: PathBuf,
    /// The file that marks them as not for production.
    pub standing: PathBuf,
    /// BLAKE3 of the parameter file.
    pub digest: [u8; 32],
    /// Bytes of the parameter file.
    pub bytes: u64,
}

/// Makes parameters and writes them under the names of the stock stack.
pub fn generate(
    porep: &Porep,
    constraints: &Constraints,
    directory: &Path,
) -> Result<Generated, Fault> {
    let params = directory.join(file_name(porep)?);
    let unwritable = |error| Fault::at("unwritable", &params, error);
    std::fs::create_dir_all(directory).map_err(unwritable)?;
    let r1cs = r1cs(constraints);
    let domain = Domain::new(constraints.sizes.log_domain()).map_err(Fault::internal)?;
    let key = development_setup_on::<Bls12_381>(&r1cs, Quotient::Coefficients, domain);
    drop(r1cs);
    let key = key.map_err(Fault::internal)?;
    let staged = tempfile::NamedTempFile::new_in(directory).map_err(unwritable)?;
    bellman::write(&key, BufWriter::with_capacity(1 << 20, staged.as_file()))
        .map_err(unwritable)?;
    drop(key);
    let mut file = File::open(staged.path()).map_err(unwritable)?;
    let digest = digest_of(&mut file).map_err(unwritable)?;
    let bytes = file.metadata().map_err(unwritable)?.len();
    // The warning file is written before the parameters.
    let standing = Standing::path_for(&params);
    let text = serde_json::to_vec_pretty(&Standing::local(porep, &digest));
    std::fs::write(&standing, text.map_err(Fault::internal)?).map_err(unwritable)?;
    staged.persist(&params).map_err(|error| unwritable(error.error))?;
    let verifying_key = directory.join(verifying_key_id(&porep.identifier()?));
    let reader = BellmanReader::open(file)?;
    std::fs::write(&verifying_key, reader.verifying_key_bytes()).map_err(unwritable)?;
    Ok(Generated { params, verifying_key, standing, digest, bytes })
}

/// The constraints in the setup's form, which appends the rows that bind the statement itself.
fn r1cs(constraints: &Constraints) -> R1cs<Fr> {
    let count = constraints.sizes.constraints;
    let rows = |matrix: &Matrix<Fr>| {
        let mut rows = Rows::default();
        let mut entries = matrix.iter().peekable();
        for row in 0..count {
            let here = std::iter::from_fn(|| entries.next_if(|(at, _, _)| *at == row));
            rows.push(here.map(|(_, wire, factor)| (wire as u32, factor)));
        }
        rows
    };
    R1cs {
        wires: constraints.sizes.wires().all(),
        public: constraints.sizes.inputs - 1,
        a: rows(&constraints.a),
        b: rows(&constraints.b),
        c: rows(&constraints.c),
    }
}
