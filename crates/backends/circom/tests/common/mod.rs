//! A handwritten circuit as wasm text; tests replace one function at a time.

use std::time::Duration;

use athanor_circom::{Inputs, Limits, ModuleError, WitnessCalculator, WitnessError, signal_hash};
use athanor_kernels::{CurveId, Scalars};

/// The order of BN254's scalar field, as 32 little-endian bytes.
pub(crate) const BN254_ORDER: &str = "\\01\\00\\00\\f0\\93\\f5\\e1\\43\\91\\70\\b9\\79\\48\\e8\\33\\28\\5d\\58\\81\\81\\b6\\45\\50\\b8\\29\\a0\\31\\e1\\72\\4e\\64\\30";

/// A module with one input signal, `a`, of one value. Its witness is `[1, a]`.
pub(crate) struct Text {
    memory: String,
    extra: String,
    order: String,
    functions: Vec<(&'static str, &'static str, String)>,
}

impl Text {
    /// A working circuit. Addresses: 0 the order of the field, 64 the exchange area, 128 `a`.
    pub(crate) fn new() -> Self {
        let copy =
            |to, from| format!("(memory.copy (i32.const {to}) (i32.const {from}) (i32.const 32))");
        let functions = [
            ("getVersion", "(result i32)", "(i32.const 2)".to_owned()),
            ("getFieldNumLen32", "(result i32)", "(i32.const 8)".to_owned()),
            ("getRawPrime", "", copy(64, 0)),
            ("getSharedRWMemoryStart", "(result i32)", "(i32.const 64)".to_owned()),
            ("init", "(param i32)", String::new()),
            ("getInputSize", "(result i32)", "(i32.const 1)".to_owned()),
            (
                "getInputSignalSize",
                "(param i32 i32) (result i32)",
                format!(
                    "(select (i32.const 1) (i32.const -1)
                        (i32.eq (local.get 1) (i32.const {})))",
                    signal_hash("a") as u32 as i32
                ),
            ),
            ("setInputSignal", "(param i32 i32 i32)", copy(128, 64)),
            ("getWitnessSize", "(result i32)", "(i32.const 2)".to_owned()),
            (
                "getWitness",
                "(param i32)",
                format!(
                    "(if (local.get 0) (then {}) (else
                        (memory.fill (i32.const 64) (i32.const 0) (i32.const 32))
                        (i32.store8 (i32.const 64) (i32.const 1))))",
                    copy(64, 128)
                ),
            ),
            // The text of error traces: a counter at 200, text at 208.
            (
                "getMessageChar",
                "(result i32)",
                "(i32.store (i32.const 200) (i32.add (i32.load (i32.const 200)) (i32.const 1)))
                 (i32.load8_u (i32.add (i32.const 207) (i32.load (i32.const 200))))"
                    .to_owned(),
            ),
        ];
        Self {
            memory: r#"(memory (export "memory") 1)"#.to_owned(),
            extra: String::new(),
            order: BN254_ORDER.to_owned(),
            functions: functions.into(),
        }
    }

    /// Replaces a function's body. `$exception` and `$error` are circom's callbacks.
    pub(crate) fn with(mut self, name: &str, body: &str) -> Self {
        let function = self.functions.iter_mut().find(|function| function.0 == name);
        function.expect("a function of the interface").2 = body.to_owned();
        self
    }

    /// Omits a function.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.functions.retain(|function| function.0 != name);
        self
    }

    /// Replaces a function's signature too.
    pub(crate) fn retyped(mut self, name: &str, signature: &'static str, body: &str) -> Self {
        let function = self.functions.iter_mut().find(|function| function.0 == name).unwrap();
        (function.1, function.2) = (signature, body.to_owned());
        self
    }

    /// Replaces the memory's definition.
    pub(crate) fn memory(mut self, text: &str) -> Self {
        self.memory = text.to_owned();
        self
    }

    /// Replaces the field's order: 32 escaped bytes.
    pub(crate) fn order(mut self, bytes: &str) -> Self {
        self.order = bytes.to_owned();
        self
    }

    /// Adds items at the end of the module.
    pub(crate) fn extra(mut self, text: &str) -> Self {
        self.extra += text;
        self
    }

    /// The binary.
    pub(crate) fn wasm(&self) -> Vec<u8> {
        let mut text = format!(
            r#"(module
                (import "runtime" "exceptionHandler" (func $exception (param i32)))
                (import "runtime" "printErrorMessage" (func $error))
                {}
                (data (i32.const 0) "{}")"#,
            self.memory, self.order
        );
        for (name, signature, body) in &self.functions {
            text += &format!("(func ${name} (export \"{name}\") {signature} {body})\n");
        }
        wat::parse_str(text + &self.extra + ")").expect("the text is wasm")
    }

    /// Loads it with limits for tests.
    pub(crate) fn load(&self) -> Result<WitnessCalculator, ModuleError> {
        WitnessCalculator::new(&self.wasm(), None, &limits())
    }

    /// Loads it with a short time limit.
    pub(crate) fn load_for(&self, time: Duration) -> Result<WitnessCalculator, ModuleError> {
        WitnessCalculator::new(&self.wasm(), None, &Limits { time, ..limits() })
    }

    /// The error when it is loaded.
    pub(crate) fn refused(&self) -> ModuleError {
        self.load().expect_err("the module is bad")
    }

    /// Runs it on `{"a": 7}`.
    pub(crate) fn calculate(&self) -> Result<Scalars, WitnessError> {
        let circuit = self.load().expect("the module loads");
        circuit.calculate(&input(r#"{"a": 7}"#), None)
    }
}

/// Limits that a hostile module reaches soon, except the time, which a busy machine may need.
pub(crate) fn limits() -> Limits {
    Limits { memory_bytes: 4 << 20, ..Limits::default() }
}

/// An input for BN254.
pub(crate) fn input(json: &str) -> Inputs {
    Inputs::parse(json.as_bytes(), CurveId::Bn254, &limits()).expect("a good input")
}
