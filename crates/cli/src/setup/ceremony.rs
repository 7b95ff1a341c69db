//! `athanor setup new | contribute | beacon | verify`: ceremonies in snarkjs's file formats.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use athanor_circom::circuit::witness;
use athanor_groth16::{
    ceremony::{self, CeremonyError, Contributor, Hash, Verified, hash_words},
    formats::{
        BinFileError, PtauError, ZkeyError,
        json::write_verifying_key,
        ptau::PtauFile,
        zkey::{ZkeyFile, ZkeyReader},
    },
};
use athanor_kernels::{Bls12_381, Bn254, Curve, CurveId};
use clap::{Args, ValueHint};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    args::Common,
    failure::{Failure, Kind},
    keys,
    output::{Files, Progress, answer, peak_memory, timed, warn},
};

/// `athanor setup new`.
#[derive(Debug, Args)]
pub struct SetupNew {
    /// Constraints (.r1cs, as Circom writes them)
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: PathBuf,
    /// Powers of tau (.ptau)
    #[arg(long, value_name = "T", value_hint = ValueHint::FilePath)]
    pub ptau: PathBuf,
    /// Output file for the initial key
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor setup contribute`.
#[derive(Debug, Args)]
pub struct SetupContribute {
    /// Key with the contributions so far
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Output file for the key with your contribution
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
    /// Your name, for the list of contributions
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// File with additional randomness; it is mixed with the system's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub entropy: Option<PathBuf>,
    /// Output file for the verifying key [default: not written]
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub vkey: Option<PathBuf>,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor setup beacon`.
#[derive(Debug, Args)]
pub struct SetupBeacon {
    /// Key with the contributions so far
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Output file for the key with the beacon
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub out: PathBuf,
    /// Public random value in hexadecimal, unpredictable until after the last contribution
    #[arg(long, value_name = "HEX")]
    pub beacon: String,
    /// Binary logarithm of the number of hash iterations
    #[arg(long, value_name = "LOG", default_value_t = ceremony::MIN_BEACON_LOG,
        value_parser = clap::value_parser!(u8).range(10..=32))]
    pub iterations: u8,
    /// Name, for the list of contributions
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Output file for the verifying key [default: not written]
    #[arg(long, value_name = "V.json", value_hint = ValueHint::FilePath)]
    pub vkey: Option<PathBuf>,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// `athanor setup verify`.
#[derive(Debug, Args)]
pub struct SetupVerify {
    /// Constraints (.r1cs, as Circom writes them)
    #[arg(long, value_name = "R", value_hint = ValueHint::FilePath)]
    pub r1cs: PathBuf,
    /// Powers of tau (.ptau) from which the initial key was made
    #[arg(long, value_name = "T", value_hint = ValueHint::FilePath)]
    pub ptau: PathBuf,
    /// Proving key to verify
    #[arg(long, value_name = "K", value_hint = ValueHint::FilePath)]
    pub zkey: PathBuf,
    /// Threads and output.
    #[command(flatten)]
    pub common: Common,
}

/// Largest file of additional randomness.
const MAX_ENTROPY: u64 = 1 << 20;

/// Makes the initial key of a circuit.
pub(crate) fn new(args: &SetupNew) -> Result<(), Failure> {
    let pool = args.common.pool()?;
    pool.install(|| match witness::curve_of_constraints(&args.r1cs)? {
        CurveId::Bn254 => make_initial::<Bn254>(args),
        CurveId::Bls12_381 => make_initial::<Bls12_381>(args),
    })
}

fn make_initial<C: Curve>(args: &SetupNew) -> Result<(), Failure> {
    let progress = Progress::new(args.common.json);
    let mut files = Files::default();
    let (hash, time) = timed(|| -> Result<Hash, Failure> {
        streamed(&mut files, &args.zkey, |out| initial::<C>(&args.r1cs, &args.ptau, out))
    });
    let hash = hash?;
    files.commit()?;
    progress.stage("setup new", time, &args.zkey.display().to_string());
    warn("nobody has contributed to this key yet: until somebody does, ANYONE CAN FORGE PROOFS");
    if args.common.json {
        let answered = json!({
            "command": "setup new",
            "curve": C::ID.to_string(),
            "circuit_hash": hex(hash),
            "seconds": time.as_secs_f64(),
            "peak_memory_bytes": peak_memory(),
            "zkey": args.zkey,
        });
        answer(&answered.to_string());
    } else {
        answer(&format!("circuit hash: {}", hash_words(&hash)));
    }
    Ok(())
}

fn initial<C: Curve>(r1cs: &Path, ptau: &Path, out: impl Write) -> Result<Hash, Failure> {
    let constraints = witness::read_constraints::<C>(r1cs)?;
    let powers = PtauFile::open(keys::open(ptau)?).and_then(PtauFile::read_as::<C>);
    let mut powers = powers.map_err(|error| bad_ptau(ptau, error))?;
    ceremony::initial_key(&constraints, &mut powers, out).map_err(|error| match error {
        CeremonyError::Ptau(error) => bad_ptau(ptau, error),
        error @ (CeremonyError::Malformed(_) | CeremonyError::Domain(_)) => {
            Failure::at(Kind::BadConstraints, r1cs, error)
        }
        error => failed(r1cs, error),
    })
}

/// Adds a participant's contribution.
pub(crate) fn contribute(args: &SetupContribute) -> Result<(), Failure> {
    let entropy = match &args.entropy {
        Some(path) => Zeroizing::new(read_entropy(path)?),
        None => Zeroizing::default(),
    };
    let contributor = Contributor::Person { name: args.name.as_deref(), entropy: &entropy };
    let step = Step {
        command: "setup contribute",
        zkey: &args.zkey,
        out: &args.out,
        vkey: args.vkey.as_deref(),
        common: args.common,
    };
    step.run(contributor)
}

fn read_entropy(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut file = io::Read::take(keys::open(path)?, MAX_ENTROPY);
    io::Read::read_to_end(&mut file, &mut bytes)
        .map_err(|error| Failure::at(Kind::Unreadable, path, error))?;
    Ok(bytes)
}

/// Adds a beacon.
pub(crate) fn beacon(args: &SetupBeacon) -> Result<(), Failure> {
    let digits = args.beacon.strip_prefix("0x").unwrap_or(&args.beacon);
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let plain =
        digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let value: Option<Vec<u8>> =
        if plain { (0..digits.len()).step_by(2).map(byte).collect() } else { None };
    let value = value.ok_or_else(|| {
        Failure::new(
            Kind::BadCeremony,
            "the beacon is not hexadecimal with an even number of digits",
        )
    })?;
    let (name, iterations_log) = (args.name.as_deref(), args.iterations);
    let step = Step {
        command: "setup beacon",
        zkey: &args.zkey,
        out: &args.out,
        vkey: args.vkey.as_deref(),
        common: args.common,
    };
    step.run(Contributor::Beacon { name, value: &value, iterations_log })
}

/// A contribution by a participant or a beacon.
struct Step<'a> {
    command: &'a str,
    zkey: &'a Path,
    out: &'a Path,
    vkey: Option<&'a Path>,
    common: Common,
}

impl Step<'_> {
    fn run(&self, contributor: Contributor<'_>) -> Result<(), Failure> {
        let pool = self.common.pool()?;
        pool.install(|| match keys::curve_of(self.zkey)? {
            CurveId::Bn254 => self.add::<Bn254>(contributor),
            CurveId::Bls12_381 => self.add::<Bls12_381>(contributor),
        })
    }

    fn add<C: Curve>(&self, contributor: Contributor<'_>) -> Result<(), Failure> {
        let progress = Progress::new(self.common.json);
        let mut zkey = open::<C>(self.zkey)?;
        let mut files = Files::default();
        let (hash, time) = timed(|| {
            streamed(&mut files, self.out, |out| {
                ceremony::contribute(&mut zkey, out, contributor)
                    .map_err(|error| failed(self.zkey, error))
            })
        });
        let hash = hash?;
        if let Some(path) = self.vkey {
            // The key as written, with the new δ.
            let mut made = open_file::<C>(self.out, files.last().try_clone())?;
            let key = made.verifying_key().map_err(|error| keys::bad_zkey(self.out, error))?;
            files.add(path, write_verifying_key::<C>(&key).as_bytes())?;
        }
        files.commit()?;
        progress.stage(self.command, time, &self.out.display().to_string());
        if self.common.json {
            let answered = json!({
                "command": self.command,
                "curve": C::ID.to_string(),
                "contribution_hash": hex(hash),
                "seconds": time.as_secs_f64(),
                "peak_memory_bytes": peak_memory(),
                "zkey": self.out,
            });
            answer(&answered.to_string());
        } else {
            answer(&format!("contribution hash: {}", hash_words(&hash)));
        }
        Ok(())
    }
}

/// Verifies a key's contributions and that it comes from the circuit and the powers of tau.
pub(crate) fn verify(args: &SetupVerify) -> Result<(), Failure> {
    let pool = args.common.pool()?;
    pool.install(|| match keys::curve_of(&args.zkey)? {
        CurveId::Bn254 => check::<Bn254>(args),
        CurveId::Bls12_381 => check::<Bls12_381>(args),
    })
}

fn check<C: Curve>(args: &SetupVerify) -> Result<(), Failure> {
    let progress = Progress::new(args.common.json);
    let mut zkey = open::<C>(&args.zkey)?;
    let scratch = tempfile::tempfile().map_err(|error| Failure::new(Kind::Unwritable, error))?;
    let (made, time) = timed(|| {
        let mut out = BufWriter::with_capacity(1 << 20, &scratch);
        initial::<C>(&args.r1cs, &args.ptau, &mut out)?;
        out.flush().map_err(|error| Failure::new(Kind::Unwritable, error))
    });
    made?;
    progress.stage("initial key", time, "recomputed, for comparison");
    let mut initial = open_file::<C>(&args.zkey, Ok(scratch))?;
    let (verified, time) = timed(|| ceremony::verify(&mut zkey, &mut initial));
    let verified = verified.map_err(|error| failed(&args.zkey, error))?;
    progress.stage("verify", time, &args.zkey.display().to_string());
    answer_for(args, &verified);
    Ok(())
}

fn answer_for<C: Curve>(args: &SetupVerify, verified: &Verified<C>) {
    let Verified { circuit_hash, contributions } = verified;
    if contributions.is_empty() {
        warn("nobody has contributed to this key: ANYONE CAN FORGE PROOFS for it");
    }
    if args.common.json {
        let made = contributions.iter().map(|(made, hash)| {
            json!({
                "name": made.name,
                "beacon": made.beacon.as_deref().map(hex),
                "iterations_log": made.iterations_log,
                "hash": hex(hash),
            })
        });
        let answered = json!({
            "command": "setup verify",
            "verified": true,
            "curve": C::ID.to_string(),
            "circuit_hash": hex(circuit_hash),
            "contributions": made.collect::<Vec<_>>(),
        });
        answer(&answered.to_string());
        return;
    }
    answer(&format!("circuit hash: {}", hash_words(circuit_hash)));
    for (number, (made, hash)) in contributions.iter().enumerate() {
        // A name is untrusted text: control characters are escaped before they reach the terminal.
        let name = made.name.as_deref().unwrap_or("").escape_debug();
        let kind = if made.kind == 1 { "beacon" } else { "contribution" };
        answer(&format!("{kind} {} \"{name}\": {}", number + 1, hash_words(hash)));
    }
    answer("the key comes from this circuit and these powers of tau");
}

/// Writes a file through a stream. If both fail, returns the command's failure, not the stream's.
fn streamed<T>(
    files: &mut Files,
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut result = None;
    files.fill(path, |file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        result = Some(write(&mut out));
        out.flush()
    })?;
    result.expect("filling a file runs what fills it")
}

fn open<C: Curve>(path: &Path) -> Result<ZkeyReader<C, File>, Failure> {
    open_file(path, Ok(keys::open(path)?))
}

fn open_file<C: Curve>(
    path: &Path,
    file: io::Result<File>,
) -> Result<ZkeyReader<C, File>, Failure> {
    let file = file.map_err(|error| Failure::at(Kind::Unreadable, path, error))?;
    let key = ZkeyFile::open(file).and_then(ZkeyFile::read_as::<C>);
    key.map_err(|error| keys::bad_zkey(path, error))
}

fn failed(path: &Path, error: CeremonyError) -> Failure {
    match error {
        CeremonyError::Zkey(ZkeyError::Container(BinFileError::Io { source, .. })) => {
            Failure::at(Kind::Unwritable, path, source)
        }
        CeremonyError::Zkey(error) => keys::bad_zkey(path, error),
        CeremonyError::Randomness(error) => Failure::new(Kind::Internal, error),
        error => Failure::at(Kind::BadCeremony, path, error),
    }
}

pub(crate) fn bad_ptau(path: &Path, error: PtauError) -> Failure {
    let kind = match &error {
        PtauError::Container(BinFileError::Io { .. }) => Kind::Unreadable,
        PtauError::Prime(_) | PtauError::WrongCurve { .. } => Kind::Unsupported,
        _ => Kind::BadCeremony,
    };
    Failure::at(kind, path, error)
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
