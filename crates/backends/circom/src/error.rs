//! Errors of witness generators, inputs and witness computation.

use std::time::Duration;

use crate::NumberError;

/// Why a `.wasm` is refused as a witness generator.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The size is over the limit.
    #[error("the wasm has {bytes} bytes, over the limit of {limit} (`wasm_bytes`)")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The file does not have the header of a wasm module.
    #[error("not a wasm module: give the .wasm that `circom --wasm` wrote into the `_js` folder")]
    NotWasm,
    /// The module is truncated, corrupt, or uses wasm features that circom does not emit.
    #[error("the wasm is not valid: {why}; compile or copy it again")]
    Invalid {
        /// The validator's message.
        why: String,
    },
    /// The module imports something that is not in circom's runtime.
    #[error(
        "the wasm imports `{module}.{name}`, which Circom 2's runtime does not have; a circuit \
         compiled by Circom 1 must be compiled again with Circom 2"
    )]
    Import {
        /// Module of the import.
        module: String,
        /// Name of the import.
        name: String,
    },
    /// The module lacks an export of circom's interface, or the export has a different type.
    #[error(
        "the wasm does not export `{name}` as Circom 2 (2.0.4 or later) does; compile the circuit again"
    )]
    Export {
        /// Name of the export.
        name: &'static str,
    },
    /// The module is not from Circom 2.
    #[error("the wasm was made by Circom {version}; only Circom 2 is supported")]
    Version {
        /// Major version that the module reports.
        version: i32,
    },
    /// The field is not the scalar field of a supported curve.
    #[error(
        "the circuit is over another field (prime {prime}); compile it with `--prime bn128` or \
         `--prime bls12381`"
    )]
    Field {
        /// The prime in hexadecimal, or its number of words.
        prime: String,
    },
    /// The module reports sizes that exceed its memory.
    #[error("the wasm claims {claimed} {what}, more than its memory of {memory} bytes can hold")]
    Size {
        /// Name of the items.
        what: &'static str,
        /// Reported number.
        claimed: u32,
        /// Size of its linear memory in bytes.
        memory: usize,
    },
    /// It failed at its start, before any input.
    #[error("the wasm fails at its start: {0}")]
    Start(#[source] RunError),
    /// The wasm runtime cannot be set up.
    #[error("the wasm runtime cannot be set up on this machine: {0}")]
    Runtime(String),
}

/// Why an input is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The size is over the limit.
    #[error("the input has {bytes} bytes, over the limit of {limit} (`input_bytes`)")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The input is not UTF-8.
    #[error("the input is not UTF-8 text (first bad byte at {at}); save it as JSON in UTF-8")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// The input is not JSON. The message does not quote the text, which may be secret.
    #[error("the input is not valid JSON at line {line}, column {column}{}", if *.cut_short { ": the text ends too early" } else { "" })]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Whether the text ends too early.
        cut_short: bool,
    },
    /// The input is not a JSON object.
    #[error("the input must be a JSON object with one entry per input signal")]
    NotAnObject,
    /// A signal is given twice, possibly once as `a.b` and once as `b` inside `a`.
    #[error("the input gives signal `{signal}` twice")]
    Duplicate {
        /// Its name.
        signal: String,
    },
    /// A signal is nested too deeply.
    #[error("signal `{signal}` is nested deeper than {limit} levels (`input_depth`)")]
    TooDeep {
        /// Its name.
        signal: String,
        /// The limit.
        limit: usize,
    },
    /// The number of values is over the limit.
    #[error(
        "the input has more than {limit} values (`input_values`), exceeded at signal `{signal}`"
    )]
    TooManyValues {
        /// Signal at which the limit was exceeded.
        signal: String,
        /// The limit.
        limit: usize,
    },
    /// An array has both numbers and objects.
    #[error("signal `{signal}` mixes numbers and objects in one array")]
    Mixed {
        /// Its name.
        signal: String,
    },
    /// A value is not an integer.
    #[error("value {index} of signal `{signal}` {why}")]
    Number {
        /// Its name.
        signal: String,
        /// Index of the value in the flattened array, from 0.
        index: usize,
        /// The fault.
        why: NumberError,
    },
}

/// Why a module's run failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// It exceeded the time limit: an endless loop, or a limit that is too low.
    #[error("it ran longer than {limit:?} (`time`)")]
    Deadline {
        /// The limit.
        limit: Duration,
    },
    /// It requested more memory than the limit.
    #[error("it requests {wanted} bytes of memory, over the limit of {limit} (`memory_bytes`)")]
    Memory {
        /// Requested size.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
    /// It requested a larger function table than the limit.
    #[error("it requests a table of {wanted} functions, over the limit of {limit}")]
    Table {
        /// Requested size.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
    /// Its calls are nested too deeply.
    #[error(
        "its calls are nested too deeply; a recursive function of the circuit may not terminate"
    )]
    Stack,
    /// It stopped with an error code of circom's runtime.
    #[error("it stopped with circom's error {code} ({meaning}){}", trace_suffix(.trace))]
    Exception {
        /// circom's code.
        code: i32,
        /// Meaning of the code.
        meaning: &'static str,
        /// Trace of templates and lines from the module; may be empty.
        trace: String,
    },
    /// A trap: division by zero, access outside memory, an unreachable instruction.
    #[error("it trapped: {what}")]
    Trap {
        /// Name of the trap.
        what: String,
    },
    /// No thread could be started for the run.
    #[error("no thread could be started for the run: {why}")]
    Thread {
        /// The system's error.
        why: String,
    },
}

/// Why no witness was computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The input was parsed for a different curve.
    #[error("the input was parsed for {input}, but the circuit is over {circuit}")]
    Curve {
        /// The input's curve.
        input: athanor_kernels::CurveId,
        /// The circuit's curve.
        circuit: athanor_kernels::CurveId,
    },
    /// The circuit has no such input signal.
    #[error("the circuit has no input signal `{signal}` (hash {hash:016x}); check its spelling")]
    UnknownSignal {
        /// Name of the signal in the input.
        signal: String,
        /// Hash of the name, as used by the module.
        hash: u64,
    },
    /// The number of values of a signal is wrong.
    #[error("signal `{signal}` needs {expected} values, but the input has {given}")]
    Count {
        /// Its name.
        signal: String,
        /// Number of values that the circuit needs.
        expected: u32,
        /// Number of values in the input.
        given: usize,
    },
    /// Signals are missing.
    #[error("the input has {given} of {expected} values; missing: {}", listed(.missing))]
    Missing {
        /// Number of values in the input.
        given: usize,
        /// Number of values that the circuit needs.
        expected: u32,
        /// Names of the missing signals, if names were given.
        missing: Vec<String>,
    },
    /// An assertion or constraint of the circuit does not hold for this input.
    #[error("the input does not satisfy the circuit: an assertion failed{}", trace_suffix(.trace))]
    Unsatisfied {
        /// Trace of templates and lines from the module; may be empty.
        trace: String,
    },
    /// The module's run failed.
    #[error("the circuit's wasm failed: {0}")]
    Run(#[from] RunError),
    /// The module returned an invalid witness value.
    #[error("the circuit's wasm is broken: witness value {index} is {what}")]
    Value {
        /// Index of the value.
        index: usize,
        /// The fault.
        what: &'static str,
    },
    /// The witness does not fit into memory.
    #[error("no memory for a witness of {values} values")]
    OutOfMemory {
        /// Number of values.
        values: usize,
    },
}

fn trace_suffix(trace: &str) -> String {
    if trace.is_empty() { String::new() } else { format!(": {trace}") }
}

/// Maximum number of missing names that an error lists.
const LISTED: usize = 16;

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "the wasm does not have their names; give the circuit's .sym to see them"
            .to_owned();
    }
    let mut text = names[..names.len().min(LISTED)].join(", ");
    if names.len() > LISTED {
        text += &format!(" and {} more", names.len() - LISTED);
    }
    text
}
