//! Limits of a witness generator and its input.

use std::time::Duration;

/// Limits of a circuit's wasm and of its input. An error names the field of the exceeded limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest `.wasm`, in bytes. It also limits the cost of compilation, which has no other limit.
    pub wasm_bytes: usize,
    /// Largest linear memory of the module, in bytes; a wasm32 module cannot use more than 4 GiB.
    pub memory_bytes: usize,
    /// Longest run of the module for one witness, in wall-clock time.
    pub time: Duration,
    /// Largest input text, in bytes.
    pub input_bytes: usize,
    /// Maximum number of values in one input, over all its signals.
    pub input_values: usize,
    /// Deepest nesting of arrays and objects in an input.
    pub input_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wasm_bytes: 256 << 20,
            memory_bytes: 2 << 30,
            time: Duration::from_secs(600),
            input_bytes: 64 << 20,
            input_values: 1 << 22,
            input_depth: 32,
        }
    }
}
