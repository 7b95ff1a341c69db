//! Witnesses: read from a `.wtns` or computed from an input; finds the constraint that a bad one violates.

use std::{
    fs,
    io::{BufReader, Read, Seek},
    path::Path,
};

use athanor_groth16::{
    R1cs, Witness,
    formats::{BinFileError, R1csError, SymError, WtnsError, r1cs::R1csFile, sym, wtns::read_wtns},
};
use athanor_kernels::{Curve, CurveId, Scalars};

use super::keys;
use crate::{
    Fault, FaultKind, FieldCode, Inputs, Limits, ModuleCache, ModuleError, RunError,
    WitnessCalculator, WitnessError as CalculatorError,
};

/// Reads a `.wtns`; `path` is for error messages.
pub fn read<C: Curve>(path: &Path, file: impl Read + Seek) -> Result<Witness<C>, Fault> {
    let witness = read_wtns(file).map_err(|error| bad_wtns(path, error))?;
    checked(path, witness.curve, witness.values)
}

/// A circuit's witness generator, compiled or read from the cache.
pub(crate) fn generator(
    wasm: &Path,
    cache: Option<&ModuleCache>,
    limits: &Limits,
    warn: &dyn Fn(&str),
    expected: impl Fn(&[u8; 32]) -> Result<(), Fault>,
) -> Result<WitnessCalculator, Fault> {
    let module = read_bytes(wasm, limits.wasm_bytes, FaultKind::WitnessGenerator)?;
    expected(blake3::hash(&module).as_bytes())?;
    let calculator =
        WitnessCalculator::new(&module, cache, limits).map_err(|error| bad_module(wasm, error))?;
    if let Some(error) = calculator.cache_error() {
        warn(&format!("the compiled module is not cached: {error}"));
    }
    if let FieldCode::AsWritten(why) = calculator.field_code() {
        warn(&format!(
            "the witness generator uses circom's own field routines, {why}: it is slower"
        ));
    }
    Ok(calculator)
}

/// Runs a witness generator on an input. Signal names in errors are from `sym`, if given.
pub(crate) fn compute<C: Curve>(
    calculator: &WitnessCalculator,
    (wasm, input): (&Path, &Path),
    inputs: &Inputs,
    sym: Option<&Path>,
) -> Result<Witness<C>, Fault> {
    let values = match (calculator.calculate(inputs, None), sym) {
        // Names are read only for an error message.
        (Err(CalculatorError::Missing { .. }), Some(sym)) => {
            let names = input_names(sym)?;
            calculator.calculate(inputs, Some(&names))
        }
        (values, _) => values,
    };
    let values = values.map_err(|error| {
        let at_fault = match &error {
            CalculatorError::Run(_) | CalculatorError::Value { .. } => wasm,
            _ => input,
        };
        Fault::at(kind_of(&error), at_fault, error)
    })?;
    checked(wasm, calculator.curve(), values)
}

/// Whether a witness satisfies the constraints of a `.r1cs`.
pub(crate) fn is_satisfied<C: Curve>(witness: &Witness<C>, r1cs: &Path) -> Result<bool, Fault> {
    let constraints = read_constraints::<C>(r1cs)?;
    let fits = constraints.wires == witness.scalars().len();
    Ok(fits && constraints.first_unsatisfied(witness.scalars()).is_none())
}

/// Finds the constraint that a witness violates, after its proof did not verify.
pub fn name_the_constraint<C: Curve>(
    witness: &Witness<C>,
    r1cs: &Path,
    sym: Option<&Path>,
) -> Fault {
    let found = (|| -> Result<Fault, Fault> {
        let constraints = read_constraints::<C>(r1cs)?;
        if constraints.wires != witness.scalars().len() {
            let (wires, values) = (constraints.wires, witness.scalars().len());
            let message = format!(
                "has {wires} wires, but the witness has {values} values: they belong to different circuits"
            );
            return Err(Fault::at(FaultKind::BadConstraints, r1cs, message));
        }
        let Some(index) = constraints.first_unsatisfied(witness.scalars()) else {
            let message = "the witness satisfies the constraints given with --r1cs, yet its proof \
                           does not verify: the key belongs to another version of the circuit";
            return Ok(Fault::new(FaultKind::Unsatisfied, message));
        };
        let signals = signals_of(&constraints, index, sym)?;
        let message = format!("the witness violates constraint {index}, over {signals}");
        Ok(Fault::new(FaultKind::Unsatisfied, message))
    })();
    found.unwrap_or_else(|fault| fault)
}

/// Maximum number of signals that an error lists.
const LISTED: usize = 12;

fn signals_of<F>(constraints: &R1cs<F>, index: usize, sym: Option<&Path>) -> Result<String, Fault> {
    let rows = [&constraints.a, &constraints.b, &constraints.c];
    let mut wires: Vec<u32> = rows
        .iter()
        .flat_map(|rows| rows.row(index).iter().map(|&(wire, _)| wire))
        .filter(|&wire| wire != 0)
        .collect();
    wires.sort_unstable();
    wires.dedup();
    let names = match sym {
        Some(path) => Some(
            sym::WireNames::of(BufReader::new(keys::open(path)?), &wires)
                .map_err(|error| bad_sym(path, error))?,
        ),
        None => None,
    };
    let name = |wire: &u32| {
        let known = names.as_ref().and_then(|names| names.get(*wire));
        known.map_or_else(|| format!("wire {wire}"), ToOwned::to_owned)
    };
    let listed: Vec<String> = wires.iter().take(LISTED).map(name).collect();
    let more = wires.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Ok(format!("{}{rest}", listed.join(", ")))
}

/// Reads a `.r1cs`.
pub fn read_constraints<C: Curve>(path: &Path) -> Result<R1cs<C::Fr>, Fault> {
    let read = R1csFile::open(keys::open(path)?).and_then(|mut file| file.constraints::<C>());
    read.map_err(|error| bad_r1cs(path, error))
}

/// The curve whose scalar field a `.r1cs` is over.
pub fn curve_of_constraints(path: &Path) -> Result<CurveId, Fault> {
    let file = R1csFile::open(keys::open(path)?).map_err(|error| bad_r1cs(path, error))?;
    Ok(file.header().curve)
}

fn bad_r1cs(path: &Path, error: R1csError) -> Fault {
    let kind = match &error {
        R1csError::Container(BinFileError::Io { .. }) => FaultKind::Unreadable,
        _ => FaultKind::BadConstraints,
    };
    Fault::at(kind, path, error)
}

/// The names of the main component's signals, which include its inputs.
fn input_names(path: &Path) -> Result<Vec<String>, Fault> {
    sym::read_sym(BufReader::new(keys::open(path)?))
        .map(|symbol| symbol.map(|symbol| symbol.name))
        .collect::<Result<_, _>>()
        .map_err(|error| bad_sym(path, error))
}

fn checked<C: Curve>(path: &Path, curve: CurveId, values: Scalars) -> Result<Witness<C>, Fault> {
    if curve != C::ID {
        let message = format!("is for {curve}, but the key is for {}", C::ID);
        return Err(Fault::at(FaultKind::Unsupported, path, message));
    }
    Witness::new(values).map_err(|error| Fault::at(FaultKind::BadWitnessValue, path, error))
}

/// Reads a whole file of at most `limit` bytes.
pub fn read_bytes(path: &Path, limit: usize, too_large: FaultKind) -> Result<Vec<u8>, Fault> {
    let file = keys::open(path)?;
    let size = fs::File::metadata(&file).map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(limit) + 1);
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Fault::at(FaultKind::Unreadable, path, error))?;
    if bytes.len() > limit {
        return Err(Fault::at(
            too_large,
            path,
            format_args!("is larger than the limit of {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// The fault for a malformed witness file.
pub fn bad_wtns(path: &Path, error: WtnsError) -> Fault {
    let kind = match &error {
        WtnsError::Container(BinFileError::Io { .. }) => FaultKind::Unreadable,
        WtnsError::Prime(_) => FaultKind::Unsupported,
        WtnsError::NotCanonical { .. } | WtnsError::FirstNotOne => FaultKind::BadWitnessValue,
        WtnsError::OutOfMemory { .. } => FaultKind::OutOfMemory,
        _ => FaultKind::BadWitnessFile,
    };
    Fault::at(kind, path, error)
}

fn bad_sym(path: &Path, error: SymError) -> Fault {
    let kind = match &error {
        SymError::Io { .. } => FaultKind::Unreadable,
        _ => FaultKind::BadConstraints,
    };
    Fault::at(kind, path, error)
}

fn bad_module(path: &Path, error: ModuleError) -> Fault {
    let kind = match &error {
        ModuleError::Field { .. } | ModuleError::Version { .. } => FaultKind::Unsupported,
        ModuleError::Runtime(_) => FaultKind::Internal,
        _ => FaultKind::WitnessGenerator,
    };
    Fault::at(kind, path, error)
}

fn kind_of(error: &CalculatorError) -> FaultKind {
    match error {
        CalculatorError::Curve { .. } => FaultKind::Unsupported,
        CalculatorError::UnknownSignal { .. }
        | CalculatorError::Count { .. }
        | CalculatorError::Missing { .. } => FaultKind::BadInput,
        CalculatorError::Unsatisfied { .. } => FaultKind::Unsatisfied,
        CalculatorError::Run(RunError::Thread { .. }) | CalculatorError::OutOfMemory { .. } => {
            FaultKind::OutOfMemory
        }
        CalculatorError::Run(_) | CalculatorError::Value { .. } => FaultKind::WitnessGenerator,
    }
}
