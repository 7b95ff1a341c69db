//! Witness computation with the wasm that Circom 2 compiles from a circuit.

use std::collections::HashSet;

use athanor_kernels::{CurveId, Scalar, Scalars};
use wasmtime::{ExternType, Module, ValType};

use crate::{
    CacheError, Inputs, Limits, ModuleCache, ModuleError, RunError, WitnessError,
    cache::Key,
    native::{AsWritten, FieldCode, READER, Rewritten},
    number,
    sandbox::{self, Dialect, FIELD_WORDS, IMPORTS, Run, Sandbox},
    signal::{input_key, shown, signal_hash},
};

/// A circuit's compiled wasm. Each witness is computed in a separate instance, so calls may run
/// concurrently.
pub struct WitnessCalculator {
    sandbox: Sandbox,
    curve: CurveId,
    inputs: u32,
    values: u32,
    origin: Origin,
    field_code: FieldCode,
    cache_error: Option<CacheError>,
}

/// Origin of the compiled module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was compiled by this call.
    Compiled,
    /// It was read from the cache.
    Cached,
}

/// Number of witness values per bulk read: one page.
const READ_AT_ONCE: usize = 2048;

/// Required exports of a module, with the numbers of `i32` parameters and results.
const EXPORTS: [(&str, usize, usize); 9] = [
    ("getVersion", 0, 1),
    ("getFieldNumLen32", 0, 1),
    ("getRawPrime", 0, 0),
    ("getSharedRWMemoryStart", 0, 1),
    ("getInputSize", 0, 1),
    ("getInputSignalSize", 2, 1),
    ("setInputSignal", 3, 0),
    ("getWitnessSize", 0, 1),
    ("getWitness", 1, 0),
];

impl WitnessCalculator {
    /// Compiles a module or reads it from the cache, and reads the circuit's field and sizes from it.
    /// Replaces the field routines by faster ones if possible; see [`field_code`](Self::field_code).
    pub fn new(
        wasm: &[u8],
        cache: Option<&ModuleCache>,
        limits: &Limits,
    ) -> Result<Self, ModuleError> {
        Self::open(wasm, cache, limits, true)
    }

    /// As [`new`](Self::new), with the module's own field routines, for comparison.
    pub fn as_written(
        wasm: &[u8],
        cache: Option<&ModuleCache>,
        limits: &Limits,
    ) -> Result<Self, ModuleError> {
        Self::open(wasm, cache, limits, false)
    }

    fn open(
        wasm: &[u8],
        cache: Option<&ModuleCache>,
        limits: &Limits,
        native: bool,
    ) -> Result<Self, ModuleError> {
        if wasm.len() > limits.wasm_bytes {
            let (bytes, limit) = (wasm.len(), limits.wasm_bytes);
            return Err(ModuleError::TooLarge { bytes, limit });
        }
        if !wasm.starts_with(b"\0asm") {
            return Err(ModuleError::NotWasm);
        }
        let Compiled { module, origin, field_code, cache_error } =
            compile(wasm, cache, limits, native)?;
        check_interface(&module)?;
        let sandbox = Sandbox::new(module, limits)?;
        let About { curve, inputs, values } = sandbox.run(about)?;
        Ok(Self { sandbox, curve, inputs, values, origin, field_code, cache_error })
    }

    /// The curve whose scalar field the circuit is over.
    pub fn curve(&self) -> CurveId {
        self.curve
    }

    /// Number of input values over all input signals.
    pub fn input_values(&self) -> u32 {
        self.inputs
    }

    /// Number of values of a witness, including the leading one.
    pub fn witness_values(&self) -> u32 {
        self.values
    }

    /// Origin of the compiled module.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether the field routines are replaced, or why not.
    pub fn field_code(&self) -> FieldCode {
        self.field_code
    }

    /// The error of the cache when the module was read or stored, if any.
    pub fn cache_error(&self) -> Option<&CacheError> {
        self.cache_error.as_ref()
    }

    /// Computes the witness, one canonical value for each wire, the first of them 1.
    ///
    /// `names`: the signal names of the circuit's `.sym` (`main.path[0]` and so on), if available, so
    /// that an error can list missing signals.
    ///
    /// The wasm determines the values. This function does not check that they satisfy the
    /// constraints; the prover does.
    pub fn calculate(
        &self,
        inputs: &Inputs,
        names: Option<&[String]>,
    ) -> Result<Scalars, WitnessError> {
        if inputs.curve() != self.curve {
            return Err(WitnessError::Curve { input: inputs.curve(), circuit: self.curve });
        }
        self.field_code.count();
        self.sandbox.run(|run| {
            // A circuit without inputs computes here; others compute when the last input is set.
            run.call::<_, ()>("init", 0i32).map_err(computing)?;
            self.check_sizes(run, inputs, names.unwrap_or_default())?;
            set_inputs(run, inputs).map_err(computing)?;
            self.read_witness(run)
        })
    }

    /// Checks all sizes before it sets the first value: the module starts its computation when the
    /// last value is set.
    fn check_sizes(
        &self,
        run: &mut Run,
        inputs: &Inputs,
        names: &[String],
    ) -> Result<(), WitnessError> {
        let mut given = 0usize;
        for signal in inputs.signals() {
            let count = signal.values.len();
            let expected = signal_size(run, &signal.name)?;
            if expected < 0 || (expected == 0 && count > 0) {
                // Modules of some versions return 0 for an unknown name.
                let hash = signal_hash(&signal.name);
                return Err(WitnessError::UnknownSignal { signal: shown(&signal.name), hash });
            }
            if count != expected as usize {
                let (signal, expected) = (shown(&signal.name), expected as u32);
                return Err(WitnessError::Count { signal, expected, given: count });
            }
            given += count;
        }
        if given < self.inputs as usize {
            let missing = missing_inputs(run, inputs, names)?;
            return Err(WitnessError::Missing { given, expected: self.inputs, missing });
        }
        Ok(())
    }

    fn read_witness(&self, run: &mut Run) -> Result<Scalars, WitnessError> {
        let modulus = number::modulus(self.curve);
        let mut witness = Witness::with_capacity(self.values as usize)?;
        let mut keep = |value: Scalar| {
            let index = witness.0.len();
            let broken = |what| WitnessError::Value { index, what };
            if !number::is_canonical(&value, &modulus) {
                return Err(broken("not below the field's order"));
            }
            if index == 0 && value != [1, 0, 0, 0] {
                return Err(broken("not 1"));
            }
            witness.0.push(value);
            Ok(())
        };
        // Reads in bulk if the module has the added function and its memory can grow.
        let buffer = match self.field_code {
            FieldCode::Native { .. } => run.grow(READ_AT_ONCE * size_of::<Scalar>()),
            FieldCode::AsWritten(_) => None,
        };
        if let Some(buffer) = buffer {
            let read = run.function::<(i32, i32, i32), ()>(READER)?;
            let mut next = 0;
            while next < self.values {
                let count = (self.values - next).min(READ_AT_ONCE as u32);
                run.invoke(&read, (next as i32, count as i32, buffer as u32 as i32))?;
                for at in 0..count as usize {
                    keep(run.element(buffer + at * size_of::<Scalar>())?)?;
                }
                next += count;
            }
        } else {
            let get = run.function::<i32, ()>("getWitness")?;
            for index in 0..self.values {
                run.invoke(&get, index as i32)?;
                keep(run.read_element()?)?;
            }
        }
        Ok(witness.finish())
    }
}

impl std::fmt::Debug for WitnessCalculator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitnessCalculator")
            .field("curve", &self.curve)
            .field("inputs", &self.inputs)
            .field("values", &self.values)
            .field("origin", &self.origin)
            .field("field_code", &self.field_code)
            .finish_non_exhaustive()
    }
}

/// A compiled module.
struct Compiled {
    module: Module,
    origin: Origin,
    field_code: FieldCode,
    cache_error: Option<CacheError>,
}

/// Reads the module from the cache, or compiles and stores it. An error of the cache is recorded
/// and does not fail the call.
fn compile(
    wasm: &[u8],
    cache: Option<&ModuleCache>,
    limits: &Limits,
    native: bool,
) -> Result<Compiled, ModuleError> {
    let circom = sandbox::engine(Dialect::Circom)?;
    let mut cache_error = None;
    let rewritten = if native { Rewritten::of(wasm) } else { Err(AsWritten::Chosen) };
    let why = match rewritten {
        Ok(rewritten) => {
            let engine = &sandbox::engine(Dialect::Native)?;
            let entry = cache.map(|cache| Entry::of(cache, engine, rewritten.wasm()));
            let field_code = rewritten.field_code();
            // Modules in the cache were compared before they were stored.
            if let Some(module) = entry.as_ref().and_then(|entry| entry.load(&mut cache_error)) {
                return Ok(Compiled { module, origin: Origin::Cached, field_code, cache_error });
            }
            // Checks the original against what circom emits; the replaced routines need more features.
            match Module::validate(&circom, wasm)
                .map_err(|_| AsWritten::Untried)
                .and_then(|()| rewritten.check(engine, limits))
            {
                Err(why) => why,
                Ok(()) => match Module::from_binary(engine, rewritten.wasm()) {
                    // The error for the original module is more specific.
                    Err(_) => AsWritten::Untried,
                    Ok(module) => {
                        let origin = Origin::Compiled;
                        entry.inspect(|entry| entry.store(&module, &mut cache_error));
                        return Ok(Compiled { module, origin, field_code, cache_error });
                    }
                },
            }
        }
        Err(why) => why,
    };
    let field_code = FieldCode::AsWritten(why);
    let entry = cache.map(|cache| Entry::of(cache, &circom, wasm));
    if let Some(module) = entry.as_ref().and_then(|entry| entry.load(&mut cache_error)) {
        return Ok(Compiled { module, origin: Origin::Cached, field_code, cache_error });
    }
    let module = Module::from_binary(&circom, wasm)
        .map_err(|error| ModuleError::Invalid { why: format!("{error:#}") })?;
    entry.inspect(|entry| entry.store(&module, &mut cache_error));
    Ok(Compiled { module, origin: Origin::Compiled, field_code, cache_error })
}

/// A cache with the key of a module.
struct Entry<'a> {
    cache: &'a ModuleCache,
    engine: &'a wasmtime::Engine,
    key: Key,
}

impl<'a> Entry<'a> {
    fn of(cache: &'a ModuleCache, engine: &'a wasmtime::Engine, wasm: &[u8]) -> Self {
        Self { cache, engine, key: Key::of(engine, wasm) }
    }

    fn load(&self, failure: &mut Option<CacheError>) -> Option<Module> {
        let loaded = self.cache.load(self.engine, self.key);
        loaded.unwrap_or_else(|error| {
            failure.get_or_insert(error);
            None
        })
    }

    fn store(&self, module: &Module, failure: &mut Option<CacheError>) {
        if let Err(error) = self.cache.store(self.key, module) {
            failure.get_or_insert(error);
        }
    }
}

/// Checks names and types of imports and exports, so that later look-ups cannot fail.
fn check_interface(module: &Module) -> Result<(), ModuleError> {
    let all_i32 = |mut types: Box<dyn Iterator<Item = ValType> + '_>| {
        types.all(|kind| matches!(kind, ValType::I32))
    };
    for import in module.imports() {
        if import.module() != "runtime" || !IMPORTS.contains(&import.name()) {
            let (module, name) = (shown(import.module()), shown(import.name()));
            return Err(ModuleError::Import { module, name });
        }
        let takes = usize::from(["exceptionHandler", "printDebug"].contains(&import.name()));
        let right = import.ty().func().is_some_and(|function| {
            function.params().len() == takes
                && function.results().len() == 0
                && all_i32(Box::new(function.params()))
        });
        if !right {
            let (module, name) = (shown(import.module()), shown(import.name()));
            return Err(ModuleError::Import { module, name });
        }
    }
    for (name, takes, gives) in EXPORTS.into_iter().chain([("init", 1, 0)]) {
        let right = match module.get_export(name) {
            Some(ExternType::Func(function)) => {
                function.params().len() == takes
                    && function.results().len() == gives
                    && all_i32(Box::new(function.params()))
                    && all_i32(Box::new(function.results()))
            }
            _ => false,
        };
        if !right {
            return Err(ModuleError::Export { name });
        }
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(_)) => Ok(()),
        _ => Err(ModuleError::Export { name: "memory" }),
    }
}

/// The error for a failure of the circuit's computation.
fn computing(error: RunError) -> WitnessError {
    match error {
        RunError::Exception { code: 4, trace, .. } => WitnessError::Unsatisfied { trace },
        other => other.into(),
    }
}

/// Properties of the circuit that the module reports.
struct About {
    curve: CurveId,
    inputs: u32,
    values: u32,
}

impl From<RunError> for ModuleError {
    fn from(error: RunError) -> Self {
        ModuleError::Start(error)
    }
}

fn about(run: &mut Run) -> Result<About, ModuleError> {
    let version: i32 = run.call("getVersion", ())?;
    if version != 2 {
        return Err(ModuleError::Version { version });
    }
    let words: i32 = run.call("getFieldNumLen32", ())?;
    if words != FIELD_WORDS as i32 {
        return Err(ModuleError::Field { prime: format!("of {words} 32-bit words") });
    }
    run.call::<_, ()>("getRawPrime", ())?;
    let prime = run.read_element()?;
    let curve =
        number::curve_of(&prime).ok_or_else(|| ModuleError::Field { prime: hex(&prime) })?;
    let inputs: i32 = run.call("getInputSize", ())?;
    let values: i32 = run.call("getWitnessSize", ())?;
    let (inputs, values) = (inputs as u32, values as u32);
    // A module stores each signal as a field element, so a witness cannot be larger than its
    // memory, which is bounded.
    let memory = run.memory_size();
    let most = memory / 32;
    for (what, claimed, least) in [("inputs", inputs, 0), ("witness values", values, 1)] {
        if claimed as usize > most || claimed < least {
            return Err(ModuleError::Size { what, claimed, memory });
        }
    }
    Ok(About { curve, inputs, values })
}

fn hex(words: &Scalar) -> String {
    words.iter().rev().fold("0x".to_owned(), |text, word| text + &format!("{word:016x}"))
}

/// The halves of a hash, as parameters of the module's functions.
fn halves(hash: u64) -> (i32, i32) {
    ((hash >> 32) as i32, hash as i32)
}

/// Number of values of the input with this name; not positive if there is no such input.
fn signal_size(run: &mut Run, name: &str) -> Result<i32, RunError> {
    run.call("getInputSignalSize", halves(signal_hash(name)))
}

fn set_inputs(run: &mut Run, inputs: &Inputs) -> Result<(), RunError> {
    let set = run.function::<(i32, i32, i32), ()>("setInputSignal")?;
    for signal in inputs.signals() {
        let (high, low) = halves(signal_hash(&signal.name));
        for (index, value) in signal.values.iter().enumerate() {
            run.write_element(value)?;
            run.invoke(&set, (high, low, index as i32))?;
        }
    }
    Ok(())
}

/// The names that are inputs of the module and missing from `inputs`.
fn missing_inputs(
    run: &mut Run,
    inputs: &Inputs,
    names: &[String],
) -> Result<Vec<String>, RunError> {
    let given: HashSet<&str> = inputs.names().map(|(name, _)| name).collect();
    // A bus may be given as a whole, as `p` for `p.x` and `p.y`.
    let is_given = |key: &str| {
        let parts = key.match_indices(['.', '[']).map(|(end, _)| &key[..end]);
        parts.chain([key]).any(|part| given.contains(part))
    };
    let mut seen = HashSet::new();
    let mut missing = Vec::new();
    for key in names.iter().filter_map(|name| input_key(name)) {
        if seen.insert(key) && !is_given(key) && signal_size(run, key)? > 0 {
            missing.push(shown(key));
        }
    }
    Ok(missing)
}

/// A witness that is being read. It is wiped if it is not finished, and never reallocated.
struct Witness(Vec<Scalar>);

impl Witness {
    fn with_capacity(values: usize) -> Result<Self, WitnessError> {
        let mut list = Vec::new();
        list.try_reserve_exact(values).map_err(|_| WitnessError::OutOfMemory { values })?;
        Ok(Self(list))
    }

    fn finish(mut self) -> Scalars {
        Scalars::new(std::mem::take(&mut self.0))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}
