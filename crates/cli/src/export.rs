//! `athanor export`: verifying keys, Solidity calldata and Solidity verifiers.

use std::path::{Path, PathBuf};

use athanor_groth16::{
    Verifier, VerifyingKey,
    evm::{Call, ContractError, solidity},
    formats::{json, zkey::ZkeyFile},
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId};
use clap::{Args, Subcommand, ValueHint};

use crate::{
    failure::{Failure, Kind},
    keys,
    output::{Files, answer},
    verify::{MAX_JSON, bad_json},
};

/// `athanor export`.
#[derive(Debug, Subcommand)]
pub enum Export {
    /// Write the verifying key of a proving key
    Vkey(ExportVkey),
    /// Write the arguments of a call to a Solidity verifier
    Calldata(ExportCalldata),
    /// Write a Solidity contract that verifies proofs under a key
    Solidity(ExportSolidity),
}

/// `athanor export vkey`.
#[derive(Debug, Args)]
pub struct ExportVkey {
    /// Proving key
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Output file [default: standard output]
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `athanor export calldata`.
#[derive(Debug, Args)]
pub struct ExportCalldata {
    /// Proof
    #[arg(long, value_name = "P.json", value_hint = ValueHint::FilePath)]
    pub proof: PathBuf,
    /// Public signals
    #[arg(long, value_name = "Q.json", value_hint = ValueHint::FilePath)]
    pub public: PathBuf,
    /// Verifying key; if given, the proof is verified first and an invalid proof is refused
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub vkey: Option<PathBuf>,
    /// Write ABI-encoded transaction data with the selector, instead of lists of arguments
    #[arg(long)]
    pub raw: bool,
    /// Output file [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// `athanor export solidity`.
#[derive(Debug, Args)]
pub struct ExportSolidity {
    /// Verifying key
    #[arg(long, value_name = "V.json", required_unless_present = "zkey", value_hint = ValueHint::FilePath)]
    pub vkey: Option<PathBuf>,
    /// Proving key; its verifying key is used
    #[arg(long, value_name = "K", conflicts_with = "vkey", value_hint = ValueHint::FilePath)]
    pub zkey: Option<PathBuf>,
    /// Name of the contract
    #[arg(long, value_name = "NAME", default_value = "Groth16Verifier")]
    pub name: String,
    /// Output file [default: standard output]
    #[arg(long, value_name = "FILE.sol", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
}

/// Runs one of the exports.
pub(crate) fn run(export: &Export) -> Result<(), Failure> {
    match export {
        Export::Vkey(args) => write(args.out.as_deref(), &vkey(&args.zkey)?),
        Export::Calldata(args) => write(args.out.as_deref(), &calldata(args)?),
        Export::Solidity(args) => write(args.out.as_deref(), &contract(args)?),
    }
}

fn write(out: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = out else {
        answer(text.trim_end());
        return Ok(());
    };
    let mut files = Files::default();
    files.add(path, text.as_bytes())?;
    files.commit()
}

fn read(path: &Path) -> Result<String, Failure> {
    keys::read_text(path, MAX_JSON, Kind::BadProofFile)
}

fn curve_of(path: &Path, text: &str) -> Result<CurveId, Failure> {
    let curve = json::curve_of(text).map_err(|error| bad_json(path, error))?;
    // Proofs of old tools have no curve name; they are over BN254.
    Ok(curve.unwrap_or(CurveId::Bn254))
}

fn vkey(path: &Path) -> Result<String, Failure> {
    match keys::curve_of(path)? {
        CurveId::Bn254 => verifying_key::<Bn254>(path).map(|key| json::write_verifying_key(&key)),
        CurveId::Bls12_381 => {
            verifying_key::<Bls12_381>(path).map(|key| json::write_verifying_key(&key))
        }
    }
}

fn verifying_key<C: Curve>(path: &Path) -> Result<VerifyingKey<C>, Failure> {
    let zkey = ZkeyFile::open(keys::open(path)?).and_then(ZkeyFile::read_as::<C>);
    let key = zkey.and_then(|mut zkey| zkey.verifying_key());
    let key = key.map_err(|error| keys::bad_zkey(path, error))?;
    keys::warn_of_standing(key.standing());
    Ok(key)
}

fn calldata(args: &ExportCalldata) -> Result<String, Failure> {
    let proof = read(&args.proof)?;
    match curve_of(&args.proof, &proof)? {
        CurveId::Bn254 => call::<Bn254>(args, &proof),
        CurveId::Bls12_381 => call::<Bls12_381>(args, &proof),
    }
}

fn call<C: Curve>(args: &ExportCalldata, proof: &str) -> Result<String, Failure> {
    let proof = json::parse_proof::<C>(proof).map_err(|error| bad_json(&args.proof, error))?;
    let signals = json::parse_public::<C>(&read(&args.public)?);
    let signals = signals.map_err(|error| bad_json(&args.public, error))?;
    if let Some(path) = &args.vkey {
        let key = json::parse_verifying_key::<C>(&read(path)?);
        let key = key.map_err(|error| bad_json(path, error))?;
        Verifier::new(&key)?.verify(&signals, &proof)?;
    }
    let call = Call::new(&proof, &signals);
    Ok(if args.raw {
        format!("0x{}\n", crate::setup::ceremony::hex(call.data()))
    } else {
        format!("{}\n", call.json())
    })
}

fn contract(args: &ExportSolidity) -> Result<String, Failure> {
    if let Some(path) = &args.zkey {
        return match keys::curve_of(path)? {
            CurveId::Bn254 => text(args, path, &verifying_key::<Bn254>(path)?),
            CurveId::Bls12_381 => text(args, path, &verifying_key::<Bls12_381>(path)?),
        };
    }
    let path = args.vkey.as_deref().expect("clap requires --vkey or --zkey");
    let json = read(path)?;
    let bad = |error| bad_json(path, error);
    match curve_of(path, &json)? {
        CurveId::Bn254 => {
            text(args, path, &json::parse_verifying_key::<Bn254>(&json).map_err(bad)?)
        }
        CurveId::Bls12_381 => {
            text(args, path, &json::parse_verifying_key::<Bls12_381>(&json).map_err(bad)?)
        }
    }
}

fn text<C: Curve>(
    args: &ExportSolidity,
    path: &Path,
    key: &VerifyingKey<C>,
) -> Result<String, Failure> {
    if args.zkey.is_none() {
        keys::warn_of_standing(key.standing());
    }
    solidity(key, &args.name).map_err(|error| match error {
        ContractError::Key(error) => error.into(),
        error @ ContractError::Name { .. } => Failure::new(Kind::Unsupported, error),
        error => Failure::at(Kind::Unsupported, path, error),
    })
}
