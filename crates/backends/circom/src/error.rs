//! What can go wrong between a `.wasm`, an input and a witness, and what to do about it.

use std::time::Duration;

use crate::NumberError;

/// Why a `.wasm` is not a circuit that can be run.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// Larger than the limit.
    #[error("the wasm has {bytes} bytes, over the limit of {limit} (`wasm_bytes`)")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The file does not begin as a wasm module does.
    #[error("not a wasm module: give the .wasm that `circom --wasm` wrote into the `_js` folder")]
    NotWasm,
    /// Cut short, corrupt, or outside the part of wasm that circom uses.
    #[error("the wasm is not valid, compile or copy it again: {why}")]
    Invalid {
        /// The validator's words.
        why: String,
    },
    /// The module asks for something other than circom's runtime.
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
    /// The module lacks a part of circom's interface, or has it with another type.
    #[error(
        "the wasm does not export `{name}` as Circom 2 (2.0.4 or later) does; compile the circuit again"
    )]
    Export {
        /// What is missing.
        name: &'static str,
    },
    /// Not a module of Circom 2.
    #[error("the wasm says it was made by Circom {version}; only Circom 2 is supported")]
    Version {
        /// Major version that it names.
        version: i32,
    },
    /// A field that no supported curve has as its scalar field.
    #[error(
        "the circuit is over another field (prime {prime}); compile it with `--prime bn128` or \
         `--prime bls12381`"
    )]
    Field {
        /// The prime in hexadecimal, or how many words it has.
        prime: String,
    },
    /// Sizes that contradict the module's own memory.
    #[error("the wasm claims {claimed} {what}, more than its memory of {memory} bytes can hold")]
    Size {
        /// Of what.
        what: &'static str,
        /// How many.
        claimed: u32,
        /// Bytes of linear memory it has.
        memory: usize,
    },
    /// It failed before any input was given to it.
    #[error("the wasm does not start: {0}")]
    Start(#[source] RunError),
    /// The runtime itself could not be set up.
    #[error("the wasm runtime cannot be set up on this machine: {0}")]
    Runtime(String),
}

/// Why an input is not what snarkjs would take as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Larger than the limit.
    #[error("the input has {bytes} bytes, over the limit of {limit} (`input_bytes`)")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the input is not UTF-8 text (first bad byte at {at}); save it as JSON in UTF-8")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// Not JSON. The text itself is not repeated: it may be secret.
    #[error("the input is not valid JSON at line {line}, column {column}{}", if *.cut_short { ": it ends too early" } else { "" })]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Whether the text ended in the middle.
        cut_short: bool,
    },
    /// JSON, but not an object.
    #[error("the input must be a JSON object with one entry per input signal")]
    NotAnObject,
    /// A signal that is given twice, perhaps once as `a.b` and once as `b` inside `a`.
    #[error("the input gives signal `{signal}` twice")]
    Duplicate {
        /// Its name.
        signal: String,
    },
    /// Nested too deeply.
    #[error("signal `{signal}` is nested deeper than {limit} levels (`input_depth`)")]
    TooDeep {
        /// Its name.
        signal: String,
        /// The limit.
        limit: usize,
    },
    /// More values than the limit.
    #[error("the input has more than {limit} values (`input_values`), passed at signal `{signal}`")]
    TooManyValues {
        /// Where the limit was passed.
        signal: String,
        /// The limit.
        limit: usize,
    },
    /// An array of both numbers and objects.
    #[error("signal `{signal}` mixes numbers and objects in one array")]
    Mixed {
        /// Its name.
        signal: String,
    },
    /// A value that is not an integer.
    #[error("value {index} of signal `{signal}` {why}")]
    Number {
        /// Its name.
        signal: String,
        /// Which of its values, counted from 0 over the flattened array.
        index: usize,
        /// What is wrong with it.
        why: NumberError,
    },
}

/// Why a module stopped before its work was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// It ran too long: a loop that does not end, or a limit too low.
    #[error("it ran longer than {limit:?} (`time`)")]
    Deadline {
        /// The limit.
        limit: Duration,
    },
    /// It wanted more memory than allowed.
    #[error("it wants {wanted} bytes of memory, over the limit of {limit} (`memory_bytes`)")]
    Memory {
        /// What it asked for.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
    /// It wanted a larger function table than allowed.
    #[error("it wants a table of {wanted} functions, over the limit of {limit}")]
    Table {
        /// What it asked for.
        wanted: usize,
        /// The limit.
        limit: usize,
    },
    /// Calls nested too deeply.
    #[error("its calls nest too deeply; a recursive function of the circuit may not end")]
    Stack,
    /// It stopped itself with an error code of circom's runtime.
    #[error("it stopped with circom's error {code} ({meaning}){}", told(.trace))]
    Exception {
        /// circom's code.
        code: i32,
        /// What the code means.
        meaning: &'static str,
        /// Templates and lines, as the module told them; empty if it told none.
        trace: String,
    },
    /// A trap: division by zero, access outside memory, an unreachable instruction.
    #[error("it trapped: {what}")]
    Trap {
        /// Which trap.
        what: String,
    },
    /// The thread for it could not be started.
    #[error("no thread could be started for it: {why}")]
    Thread {
        /// The system's reason.
        why: String,
    },
}

/// Why there is no witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The input was read for another curve.
    #[error("the input was read for {input}, the circuit is over {circuit}")]
    Curve {
        /// The input's curve.
        input: athanor_kernels::CurveId,
        /// The circuit's curve.
        circuit: athanor_kernels::CurveId,
    },
    /// A signal that the circuit does not have as an input.
    #[error("the circuit has no input signal `{signal}` (hash {hash:016x}); check its spelling")]
    UnknownSignal {
        /// The name given.
        signal: String,
        /// What the module was asked for.
        hash: u64,
    },
    /// Too few or too many values for a signal.
    #[error("signal `{signal}` takes {expected} values, the input gives {given}")]
    Count {
        /// Its name.
        signal: String,
        /// What the circuit takes.
        expected: u32,
        /// What the input gives.
        given: usize,
    },
    /// Signals without values.
    #[error("the input gives {given} of {expected} values; missing: {}", listed(.missing))]
    Missing {
        /// Values given.
        given: usize,
        /// Values that the circuit takes.
        expected: u32,
        /// Names of the missing signals, where names were at hand.
        missing: Vec<String>,
    },
    /// The circuit's own assertion or constraint does not hold for this input.
    #[error("the input does not satisfy the circuit: an assertion failed{}", told(.trace))]
    Unsatisfied {
        /// Templates and lines, as the module told them; empty if it told none.
        trace: String,
    },
    /// The module failed.
    #[error("the circuit's wasm failed: {0}")]
    Run(#[from] RunError),
    /// The module handed out something that is no witness.
    #[error("the circuit's wasm is broken: witness value {index} is {what}")]
    Value {
        /// Which value.
        index: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The witness does not fit in memory.
    #[error("no memory for a witness of {values} values")]
    OutOfMemory {
        /// How many values.
        values: usize,
    },
}

fn told(trace: &str) -> String {
    if trace.is_empty() { String::new() } else { format!(": {trace}") }
}

/// Most missing names that an error lists.
const LISTED: usize = 16;

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "their names are not in the wasm; give the circuit's .sym to see them".to_owned();
    }
    let mut text = names[..names.len().min(LISTED)].join(", ");
    if names.len() > LISTED {
        text += &format!(" and {} more", names.len() - LISTED);
    }
    text
}
