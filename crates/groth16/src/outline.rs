//! The part of a key that a service needs before it loads the key, in a small file beside the converted key.

use std::{
    io::{Read, Seek},
    path::Path,
};

use ark_ec::pairing::PairingOutput;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize, SerializationError};
use athanor_kernels::Curve;
use serde::{Deserialize, Serialize};

use crate::{
    KeyFileError, Verifier, VerifyError, VerifyingKey, digested,
    formats::{
        json,
        zkey::{Header, ZkeyError, ZkeyReader},
    },
    keyfile::{hex, unhex},
};

const MAGIC: &[u8; 16] = b"athanor outline1";

/// The header of a `.zkey`, its verifying key, and the prepared pairings of that key.
///
/// Reading an outline from a `.zkey` checks the subgroup of its points and computes a pairing.
/// [`KeyOutline::store`] keeps the result, so that [`KeyOutline::open`] needs neither.
#[derive(Clone, Debug)]
pub struct KeyOutline<C: Curve> {
    /// The header.
    pub header: Header,
    /// The verifying key.
    pub verifying_key: VerifyingKey<C>,
    /// BLAKE3 of the verifying key as snarkjs writes it.
    pub verifying_key_digest: [u8; 32],
    /// The verifier.
    pub verifier: Verifier<C>,
}

/// Why a `.zkey` has no outline.
#[derive(Debug, thiserror::Error)]
pub enum OutlineError {
    /// The file is malformed.
    #[error(transparent)]
    Zkey(#[from] ZkeyError),
    /// Its verifying key has an invalid point.
    #[error(transparent)]
    VerifyingKey(#[from] VerifyError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHeader {
    curve: String,
    /// BLAKE3 of the `.zkey`.
    source: String,
    wires: u32,
    public: u32,
    domain_size: u32,
    coefficients: u32,
    verifying_key_digest: String,
}

/// The points and prepared pairings, in arkworks' uncompressed form.
#[derive(CanonicalSerialize, CanonicalDeserialize)]
struct Points<C: Curve> {
    alpha_g1: C::G1Affine,
    beta_g2: C::G2Affine,
    gamma_g2: C::G2Affine,
    delta_g2: C::G2Affine,
    ic: Vec<C::G1Affine>,
    alpha_beta: PairingOutput<C>,
    minus_gamma: C::G2Prepared,
    minus_delta: C::G2Prepared,
}

impl<C: Curve> KeyOutline<C> {
    /// Reads the outline of a `.zkey` and checks its verifying key.
    ///
    /// # Errors
    /// If the file is not a valid `.zkey`, or its verifying key has an invalid point.
    pub fn from_zkey<R: Read + Seek>(zkey: &mut ZkeyReader<C, R>) -> Result<Self, OutlineError> {
        let verifying_key = zkey.verifying_key()?;
        let verifier = Verifier::of_zkey(&verifying_key)?;
        let text = json::write_verifying_key_of(&verifying_key, &verifier);
        Ok(Self {
            header: *zkey.header(),
            verifying_key,
            verifying_key_digest: *blake3::hash(text.as_bytes()).as_bytes(),
            verifier,
        })
    }

    /// Writes the outline. `source` is the digest of the `.zkey`; see [`digest_of`](crate::digest_of).
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn store(&self, path: &Path, source: &[u8; 32]) -> Result<(), KeyFileError> {
        let damaged = |fault: String| KeyFileError::Damaged { path: path.to_owned(), fault };
        let Header { curve, wires, public, domain_size, coefficients } = self.header;
        let header = FileHeader {
            curve: curve.to_string(),
            source: hex(source),
            wires,
            public,
            domain_size,
            coefficients,
            verifying_key_digest: hex(&self.verifying_key_digest),
        };
        let header = serde_json::to_vec(&header).map_err(|error| damaged(error.to_string()))?;
        let mut points = Vec::new();
        self.points()
            .serialize_uncompressed(&mut points)
            .map_err(|error| damaged(error.to_string()))?;
        digested::write(path, MAGIC, &header, &[&points])
    }

    /// Reads an outline that was stored for the `.zkey` with digest `source`, and checks the file's digest. The points
    /// were checked when the outline was made.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, or belongs to another key or curve.
    pub fn open(path: &Path, source: &[u8; 32]) -> Result<Self, KeyFileError> {
        let damaged =
            |fault: &str| KeyFileError::Damaged { path: path.to_owned(), fault: fault.to_owned() };
        let (header, points) = digested::read(path, MAGIC)?;
        let header: FileHeader =
            serde_json::from_slice(header.bytes()).map_err(|error| damaged(&error.to_string()))?;
        if header.curve != C::ID.to_string() {
            return Err(damaged("it is for a different curve"));
        }
        if header.source != hex(source) {
            return Err(damaged("it belongs to a different key"));
        }
        let digest = unhex(&header.verifying_key_digest);
        let digest = digest.ok_or_else(|| damaged("its verifying key has no digest"))?;
        let FileHeader { wires, public, domain_size, coefficients, .. } = header;
        let header = Header { curve: C::ID, wires, public, domain_size, coefficients };
        let points = Points::<C>::deserialize_uncompressed_unchecked(points.bytes());
        let points = points.map_err(|error: SerializationError| damaged(&error.to_string()))?;
        Ok(Self::of(header, digest, points))
    }

    fn points(&self) -> Points<C> {
        let (key, verifier) = (&self.verifying_key, &self.verifier);
        Points {
            alpha_g1: key.alpha_g1,
            beta_g2: key.beta_g2,
            gamma_g2: key.gamma_g2,
            delta_g2: key.delta_g2,
            ic: key.ic.clone(),
            alpha_beta: verifier.alpha_beta,
            minus_gamma: verifier.minus_gamma.clone(),
            minus_delta: verifier.minus_delta.clone(),
        }
    }

    fn of(header: Header, verifying_key_digest: [u8; 32], points: Points<C>) -> Self {
        let Points { alpha_g1, beta_g2, gamma_g2, delta_g2, ic, .. } = points;
        let Points { alpha_beta, minus_gamma, minus_delta, .. } = points;
        let verifier = Verifier { ic: ic.clone(), alpha_beta, minus_gamma, minus_delta };
        let verifying_key = VerifyingKey { alpha_g1, beta_g2, gamma_g2, delta_g2, ic };
        Self { header, verifying_key, verifying_key_digest, verifier }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use athanor_kernels::{Bls12_381, Bn254, Device, Quotient, cpu::Cpu};

    use super::*;
    use crate::{
        ProvingKey, Witness, development_setup, formats::zkey::ZkeyFile, synthetic::dense,
    };

    /// The outline of a small key, the digest of its `.zkey`, and a proof with its public signals.
    fn example<C: Curve>()
    -> (KeyOutline<C>, [u8; 32], crate::Proof<C>, Vec<athanor_kernels::Scalar>)
    where
        Cpu: Device<C>,
    {
        let example = dense::<C>(10, 3);
        let raw = development_setup::<C>(&example.r1cs, Quotient::OddCoset).unwrap();
        let mut zkey = Cursor::new(Vec::new());
        raw.write_zkey(&mut zkey, "for a test").unwrap();
        let digest = *blake3::hash(zkey.get_ref()).as_bytes();
        let mut zkey = ZkeyFile::open(zkey).unwrap().read_as::<C>().unwrap();
        let key = ProvingKey::load(Cpu, raw.to_native(&Cpu).unwrap()).unwrap();
        let witness = Witness::new(example.witness).unwrap();
        let public = witness.public(1).to_vec();
        let proof = key.prove(witness).unwrap().proof;
        (KeyOutline::from_zkey(&mut zkey).unwrap(), digest, proof, public)
    }

    fn a_stored_outline_verifies_as_the_key_does<C: Curve>()
    where
        Cpu: Device<C>,
    {
        let (outline, digest, proof, mut public) = example::<C>();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outline");
        outline.store(&path, &digest).unwrap();
        let again = KeyOutline::<C>::open(&path, &digest).unwrap();
        assert_eq!(again.header, outline.header);
        assert_eq!(again.verifying_key, outline.verifying_key);
        assert_eq!(again.verifying_key_digest, outline.verifying_key_digest);
        assert_eq!(again.verifier.verify(&public, &proof), Ok(()));
        public[0][0] ^= 1;
        assert_eq!(again.verifier.verify(&public, &proof), Err(VerifyError::Invalid));
    }

    #[test]
    fn a_stored_outline_verifies_as_the_key_does_on_both_curves() {
        a_stored_outline_verifies_as_the_key_does::<Bn254>();
        a_stored_outline_verifies_as_the_key_does::<Bls12_381>();
    }

    #[test]
    fn an_outline_that_is_damaged_or_of_another_key_is_refused() {
        let (outline, digest, ..) = example::<Bn254>();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outline");
        outline.store(&path, &digest).unwrap();
        let opened = KeyOutline::<Bn254>::open;
        assert!(opened(&path, &[7; 32]).unwrap_err().to_string().contains("a different key"));
        assert!(KeyOutline::<Bls12_381>::open(&path, &digest).is_err(), "another curve");
        let bytes = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            opened(&path, &digest).is_err()
        };
        for position in (0..64).chain((64..bytes.len()).step_by(211)) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 4;
            assert!(refused(&damaged), "byte {position}");
            assert!(refused(&bytes[..position]), "cut at {position}");
        }
        assert!(!refused(&bytes));
    }
}
