//! Witnesses for commands: read ready, or computed from an input; and what a bad one breaks.

use std::{
    fs,
    io::{BufReader, Read},
    path::Path,
};

use athanor_circom::{
    Inputs, Limits, ModuleCache, ModuleError, RunError, WitnessCalculator,
    WitnessError as CalculatorError,
};
use athanor_groth16::{
    R1cs, Witness,
    formats::{BinFileError, R1csError, SymError, WtnsError, r1cs::R1csFile, sym, wtns::read_wtns},
};
use athanor_kernels::{Curve, CurveId, Scalars};

use crate::{
    failure::{Failure, Kind},
    keys,
    output::warn,
};

/// Reads a `.wtns`.
pub fn read<C: Curve>(path: &Path) -> Result<Witness<C>, Failure> {
    let witness = read_wtns(keys::open(path)?).map_err(|error| bad_wtns(path, error))?;
    checked(path, witness.curve, witness.values)
}

/// Runs a circuit's witness generator on an input; names in errors come from `sym`, if given.
pub fn compute<C: Curve>(
    wasm: &Path,
    input: &Path,
    sym: Option<&Path>,
) -> Result<Witness<C>, Failure> {
    let limits = Limits::default();
    let module = read_bytes(wasm, limits.wasm_bytes, Kind::WitnessGenerator)?;
    let cache = ModuleCache::open(keys::cache_directory("wasm")?);
    let cache = cache.inspect_err(|error| warn(&format!("modules are not cached: {error}"))).ok();
    let calculator = WitnessCalculator::new(&module, cache.as_ref(), &limits)
        .map_err(|error| bad_module(wasm, error))?;
    if let Some(error) = calculator.cache_error() {
        warn(&format!("the compiled module is not cached: {error}"));
    }
    let text = zeroize::Zeroizing::new(read_bytes(input, limits.input_bytes, Kind::BadInput)?);
    let inputs = Inputs::parse(&text, calculator.curve(), &limits)
        .map_err(|error| Failure::at(Kind::BadInput, input, error))?;
    let values = match calculator.calculate(&inputs, None) {
        // Names are read only when there is something to say with them.
        Err(CalculatorError::Missing { .. }) if sym.is_some() => {
            let names = input_names(sym.expect("it was just looked at"))?;
            calculator.calculate(&inputs, Some(&names))
        }
        values => values,
    };
    let values = values.map_err(|error| {
        let at_fault = match &error {
            CalculatorError::Run(_) | CalculatorError::Value { .. } => wasm,
            _ => input,
        };
        Failure::at(kind_of(&error), at_fault, error)
    })?;
    checked(wasm, calculator.curve(), values)
}

/// Says which constraint a witness breaks, after its proof turned out invalid.
pub fn name_the_constraint<C: Curve>(
    witness: &Witness<C>,
    r1cs: &Path,
    sym: Option<&Path>,
) -> Failure {
    let found = (|| -> Result<Failure, Failure> {
        let constraints = read_constraints::<C>(r1cs)?;
        if constraints.wires != witness.scalars().len() {
            let (wires, values) = (constraints.wires, witness.scalars().len());
            let message = format!("has {wires} wires, the witness {values}: not the same circuit");
            return Err(Failure::at(Kind::BadConstraints, r1cs, message));
        }
        let Some(index) = constraints.first_unsatisfied(witness.scalars()) else {
            let message = "the witness satisfies the constraints given with --r1cs, yet its proof \
                           does not verify: the key belongs to another version of the circuit";
            return Ok(Failure::new(Kind::Unsatisfied, message));
        };
        let signals = signals_of(&constraints, index, sym)?;
        let message = format!("the witness breaks constraint {index}, over {signals}");
        Ok(Failure::new(Kind::Unsatisfied, message))
    })();
    found.unwrap_or_else(|failure| failure)
}

/// Most signals that an error lists.
const LISTED: usize = 12;

fn signals_of<F>(
    constraints: &R1cs<F>,
    index: usize,
    sym: Option<&Path>,
) -> Result<String, Failure> {
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
pub fn read_constraints<C: Curve>(path: &Path) -> Result<R1cs<C::Fr>, Failure> {
    let read = R1csFile::open(keys::open(path)?).and_then(|mut file| file.constraints::<C>());
    read.map_err(|error| bad_r1cs(path, error))
}

/// The curve over whose scalar field a `.r1cs` is.
pub fn curve_of_constraints(path: &Path) -> Result<CurveId, Failure> {
    let file = R1csFile::open(keys::open(path)?).map_err(|error| bad_r1cs(path, error))?;
    Ok(file.header().curve)
}

fn bad_r1cs(path: &Path, error: R1csError) -> Failure {
    let kind = match &error {
        R1csError::Container(BinFileError::Io { .. }) => Kind::Unreadable,
        _ => Kind::BadConstraints,
    };
    Failure::at(kind, path, error)
}

/// The names in the main component, which its inputs are among.
fn input_names(path: &Path) -> Result<Vec<String>, Failure> {
    sym::read_sym(BufReader::new(keys::open(path)?))
        .map(|symbol| symbol.map(|symbol| symbol.name))
        .collect::<Result<_, _>>()
        .map_err(|error| bad_sym(path, error))
}

fn checked<C: Curve>(path: &Path, curve: CurveId, values: Scalars) -> Result<Witness<C>, Failure> {
    if curve != C::ID {
        let message = format!("is for {curve}, but the key is for {}", C::ID);
        return Err(Failure::at(Kind::Unsupported, path, message));
    }
    Witness::new(values).map_err(|error| Failure::at(Kind::BadWitnessValue, path, error))
}

fn read_bytes(path: &Path, limit: usize, too_large: Kind) -> Result<Vec<u8>, Failure> {
    let file = keys::open(path)?;
    let size = fs::File::metadata(&file).map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(limit) + 1);
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::at(Kind::Unreadable, path, error))?;
    if bytes.len() > limit {
        return Err(Failure::at(too_large, path, format_args!("is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// A witness file that is not what it should be.
pub(crate) fn bad_wtns(path: &Path, error: WtnsError) -> Failure {
    let kind = match &error {
        WtnsError::Container(BinFileError::Io { .. }) => Kind::Unreadable,
        WtnsError::Prime(_) => Kind::Unsupported,
        WtnsError::NotCanonical { .. } | WtnsError::FirstNotOne => Kind::BadWitnessValue,
        WtnsError::OutOfMemory { .. } => Kind::OutOfMemory,
        _ => Kind::BadWitnessFile,
    };
    Failure::at(kind, path, error)
}

fn bad_sym(path: &Path, error: SymError) -> Failure {
    let kind = match &error {
        SymError::Io { .. } => Kind::Unreadable,
        _ => Kind::BadConstraints,
    };
    Failure::at(kind, path, error)
}

fn bad_module(path: &Path, error: ModuleError) -> Failure {
    let kind = match &error {
        ModuleError::Field { .. } | ModuleError::Version { .. } => Kind::Unsupported,
        ModuleError::Runtime(_) => Kind::Internal,
        _ => Kind::WitnessGenerator,
    };
    Failure::at(kind, path, error)
}

fn kind_of(error: &CalculatorError) -> Kind {
    match error {
        CalculatorError::Curve { .. } => Kind::Unsupported,
        CalculatorError::UnknownSignal { .. }
        | CalculatorError::Count { .. }
        | CalculatorError::Missing { .. } => Kind::BadInput,
        CalculatorError::Unsatisfied { .. } => Kind::Unsatisfied,
        CalculatorError::Run(RunError::Thread { .. }) | CalculatorError::OutOfMemory { .. } => {
            Kind::OutOfMemory
        }
        CalculatorError::Run(_) | CalculatorError::Value { .. } => Kind::WitnessGenerator,
    }
}
