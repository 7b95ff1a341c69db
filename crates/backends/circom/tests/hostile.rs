//! Modules that are malformed or report false sizes, loop, grow or trap: each ends in a specific error.

mod common;

use std::time::Duration;

use athanor_circom::{Limits, ModuleError, RunError, WitnessCalculator, WitnessError};
use common::{Text, input, limits};

fn load(wasm: &[u8]) -> ModuleError {
    WitnessCalculator::new(wasm, None, &limits()).expect_err("the module is bad")
}

/// Without this, every other test here could pass for the wrong reason.
#[test]
fn the_module_that_the_others_are_made_from_works() {
    let circuit = Text::new().load().unwrap();
    assert_eq!((circuit.input_values(), circuit.witness_values()), (1, 2));
    let witness = circuit.calculate(&input(r#"{"a": 7}"#), None).unwrap();
    assert_eq!(*witness, [[1, 0, 0, 0], [7, 0, 0, 0]]);
}

#[test]
fn what_is_not_wasm_is_refused() {
    for bytes in [&b""[..], b"\0as", b"{\"a\": 1}", b"(module)"] {
        assert!(matches!(load(bytes), ModuleError::NotWasm));
    }
}

#[test]
fn a_module_cut_short_anywhere_is_refused() {
    let wasm = Text::new().wasm();
    // The names at the end are for debuggers: without them a module is still valid.
    let names = wasm.windows(5).position(|window| window == b"\x04name").unwrap() - 3;
    for length in 4..names {
        // Truncated at the end of a section it is still a module, but an incomplete one.
        let error = load(&wasm[..length]);
        assert!(
            matches!(
                error,
                ModuleError::Invalid { .. }
                    | ModuleError::Export { .. }
                    | ModuleError::Field { .. }
            ),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_module_over_the_size_limit_is_refused_before_it_is_read() {
    let limits = Limits { wasm_bytes: 100, ..limits() };
    let error = WitnessCalculator::new(&[0; 101], None, &limits).unwrap_err();
    assert!(matches!(error, ModuleError::TooLarge { bytes: 101, limit: 100 }));
}

#[test]
fn a_missing_export_is_named() {
    for name in [
        "getVersion",
        "getFieldNumLen32",
        "getRawPrime",
        "getSharedRWMemoryStart",
        "getInputSize",
        "getInputSignalSize",
        "setInputSignal",
        "getWitnessSize",
        "getWitness",
        "init",
    ] {
        let error = Text::new().without(name).refused();
        assert!(matches!(error, ModuleError::Export { name: missing } if missing == name));
    }
    let error = Text::new().memory("(memory 1)").refused();
    assert!(matches!(error, ModuleError::Export { name: "memory" }));
}

#[test]
fn an_export_of_another_type_is_named() {
    let error = Text::new().retyped("getWitness", "(param i64)", "").refused();
    assert!(matches!(error, ModuleError::Export { name: "getWitness" }));
    let error = Text::new().retyped("getRawPrime", "(result i32)", "(i32.const 0)").refused();
    assert!(matches!(error, ModuleError::Export { name: "getRawPrime" }));
}

#[test]
fn nothing_but_circoms_callbacks_can_be_imported() {
    for (module, name, kind) in [
        ("wasi_snapshot_preview1", "fd_write", "(func)"),
        ("runtime", "readFile", "(func (param i32))"),
        ("env", "memory", "(memory 1)"),
        ("runtime", "showSharedRWMemory", "(global i32)"),
        ("runtime", "showSharedRWMemory", "(func (param i32))"),
    ] {
        let text = format!("(module (import \"{module}\" \"{name}\" {kind}))");
        let error = load(&wat::parse_str(text).unwrap());
        assert!(
            matches!(&error, ModuleError::Import { module: m, name: n } if m == module && n == name),
            "{error}"
        );
    }
}

#[test]
fn wasm_that_circom_does_not_emit_is_refused() {
    for extra in [
        r#"(memory $second 1)"#,
        r#"(func (result v128) (v128.const i64x2 0 0))"#,
        r#"(func (param externref))"#,
        r#"(func (result f64) (f64.const 1))"#,
        r#"(func $f (return_call $f))"#,
    ] {
        assert!(
            matches!(Text::new().extra(extra).refused(), ModuleError::Invalid { .. }),
            "{extra}"
        );
    }
}

#[test]
fn another_version_of_circom_is_refused() {
    let error = Text::new().with("getVersion", "(i32.const 1)").refused();
    assert!(matches!(error, ModuleError::Version { version: 1 }));
}

#[test]
fn another_field_is_refused_by_its_prime() {
    let error = Text::new().with("getFieldNumLen32", "(i32.const 2)").refused();
    assert!(matches!(error, ModuleError::Field { .. }));
    let error = Text::new().order(&common::BN254_ORDER.replacen("\\01", "\\03", 1)).refused();
    let ModuleError::Field { prime } = error else { panic!("{error}") };
    assert_eq!(prime, "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000003");
}

#[test]
fn a_witness_larger_than_the_memory_is_refused_before_it_is_allocated() {
    for claim in ["-1", "0x7fffffff", "2049", "0"] {
        let error = Text::new().with("getWitnessSize", &format!("(i32.const {claim})")).refused();
        assert!(matches!(error, ModuleError::Size { what: "witness values", .. }), "{error}");
    }
    let error = Text::new().with("getInputSize", "(i32.const -1)").refused();
    assert!(matches!(error, ModuleError::Size { what: "inputs", .. }), "{error}");
}

#[test]
fn a_loop_ends_at_the_deadline_wherever_it_is() {
    let limit = Duration::from_millis(100);
    let endless = "(loop $again (br $again))";
    let late = RunError::Deadline { limit };
    for name in ["getVersion", "getWitnessSize", "getRawPrime"] {
        let text = Text::new().with(name, &format!("{endless} (unreachable)"));
        let error = text.load_for(limit).unwrap_err();
        assert!(matches!(error, ModuleError::Start(why) if why == late), "{name}");
    }
    let text = Text::new().extra(&format!("(func $start {endless}) (start $start)"));
    let error = text.load_for(limit).unwrap_err();
    assert!(matches!(error, ModuleError::Start(why) if why == late));
    for name in ["init", "setInputSignal", "getWitness"] {
        let circuit = Text::new().with(name, endless).load_for(limit).unwrap();
        let error = circuit.calculate(&input(r#"{"a": 7}"#), None).unwrap_err();
        assert_eq!(error, late.clone().into(), "{name}");
    }
}

#[test]
fn a_run_whose_time_is_not_up_survives_the_deadline_of_another() {
    // Counts the input down to zero; from zero this takes longer than the time limit.
    let count_down = "(memory.copy (i32.const 128) (i32.const 64) (i32.const 32))
        (loop $again
            (i64.store (i32.const 128) (i64.sub (i64.load (i32.const 128)) (i64.const 1)))
            (br_if $again (i64.ne (i64.load (i32.const 128)) (i64.const 0))))";
    let limit = Duration::from_secs(1);
    let circuit = Text::new().with("setInputSignal", count_down).load_for(limit).unwrap();
    std::thread::scope(|scope| {
        let endless = scope.spawn(|| circuit.calculate(&input(r#"{"a": "0"}"#), None));
        while !endless.is_finished() {
            circuit.calculate(&input(r#"{"a": "1000000"}"#), None).expect("there is time");
        }
        let error = endless.join().unwrap().expect_err("2^64 steps");
        assert_eq!(error, RunError::Deadline { limit }.into());
    });
}

#[test]
fn memory_over_the_limit_is_refused() {
    let error = Text::new().memory(r#"(memory (export "memory") 1000)"#).refused();
    let too_much = RunError::Memory { wanted: 1000 << 16, limit: limits().memory_bytes };
    assert!(matches!(error, ModuleError::Start(why) if why == too_much));

    let growing = "(loop $again (drop (memory.grow (i32.const 1))) (br $again))";
    let error = Text::new().with("setInputSignal", growing).calculate().unwrap_err();
    let too_much = RunError::Memory { wanted: 65 << 16, limit: 64 << 16 };
    assert_eq!(error, too_much.into());
}

#[test]
fn a_table_over_the_limit_is_refused() {
    let error = Text::new().extra("(table 2000000 funcref)").refused();
    let too_much = RunError::Table { wanted: 2_000_000, limit: 1 << 20 };
    assert!(matches!(error, ModuleError::Start(why) if why == too_much));
}

#[test]
fn recursion_without_end_is_an_error_of_its_own() {
    let text =
        Text::new().with("setInputSignal", "(call $deep)").extra("(func $deep (call $deep))");
    assert_eq!(text.calculate().unwrap_err(), RunError::Stack.into());
}

#[test]
fn a_trap_is_told_by_its_kind() {
    for (body, word) in [
        ("(unreachable)", "unreachable"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
        ("(drop (i32.load (i32.const -4)))", "out of bounds"),
    ] {
        let error = Text::new().with("setInputSignal", body).calculate().unwrap_err();
        let WitnessError::Run(RunError::Trap { what }) = &error else { panic!("{error}") };
        assert!(what.contains(word), "{what}");
    }
}

#[test]
fn an_exchange_area_outside_memory_is_refused() {
    for at in ["65536", "65505", "-1"] {
        let error =
            Text::new().with("getSharedRWMemoryStart", &format!("(i32.const {at})")).refused();
        let ModuleError::Start(RunError::Trap { what }) = &error else { panic!("{error}") };
        assert!(what.contains("outside its memory"));
    }
}

#[test]
fn a_failed_assertion_tells_where_and_cannot_steer_a_terminal() {
    let text = Text::new()
        .with("setInputSignal", "(call $error) (call $exception (i32.const 4))")
        .extra(r#"(data (i32.const 208) "Error in template T_0 line: 5\1b[2J\ff\00")"#);
    let trace = "Error in template T_0 line: 5?[2J?".to_owned();
    assert_eq!(text.calculate().unwrap_err(), WitnessError::Unsatisfied { trace });

    let trace = String::new();
    let meaning = "access beyond an input array";
    let error = Text::new().with("init", "(call $exception (i32.const 6))").calculate();
    assert_eq!(error.unwrap_err(), RunError::Exception { code: 6, meaning, trace }.into());
}

#[test]
fn an_endless_error_message_is_cut() {
    let text = Text::new()
        .with("getMessageChar", "(i32.const 65)")
        .with("init", "(loop $a (call $error) (call $error) (call $exception (i32.const 4)))");
    let WitnessError::Unsatisfied { trace } = text.calculate().unwrap_err() else { panic!() };
    assert!(trace.len() < 2100, "{}", trace.len());
}

#[test]
fn a_witness_that_is_none_is_refused_by_index() {
    let order = "(memory.copy (i32.const 64) (i32.const 0) (i32.const 32))";
    let error = Text::new().with("getWitness", order).calculate().unwrap_err();
    assert_eq!(error, WitnessError::Value { index: 0, what: "not below the field's order" });
    let error = Text::new().with("getWitness", "").calculate().unwrap_err();
    assert_eq!(error, WitnessError::Value { index: 0, what: "not 1" });
}

#[test]
fn an_input_that_does_not_fit_the_circuit_is_refused_by_signal() {
    let circuit = Text::new().load().unwrap();
    let refused = |json, names: Option<&[String]>| {
        circuit.calculate(&input(json), names).expect_err("the input is bad")
    };
    let hash = athanor_circom::signal_hash("b");
    let signal = "b".to_owned();
    assert_eq!(refused(r#"{"a": 1, "b": 2}"#, None), WitnessError::UnknownSignal { signal, hash });
    let signal = "a".to_owned();
    assert_eq!(
        refused(r#"{"a": [1, 2]}"#, None),
        WitnessError::Count { signal: signal.clone(), expected: 1, given: 2 }
    );
    assert_eq!(
        refused(r#"{"a": []}"#, None),
        WitnessError::Count { signal, expected: 1, given: 0 }
    );
    let missing = |missing| WitnessError::Missing { given: 0, expected: 1, missing };
    assert_eq!(refused("{}", None), missing(vec![]));
    let names = ["main.out", "main.a[0]", "main.a[1]", "main.sub.a", "one"].map(str::to_owned);
    assert_eq!(refused("{}", Some(&names)), missing(vec!["a".to_owned()]));
}

#[test]
fn an_input_for_another_curve_is_refused() {
    use athanor_kernels::CurveId::*;
    let inputs = athanor_circom::Inputs::parse(b"{}", Bls12_381, &limits()).unwrap();
    let error = Text::new().load().unwrap().calculate(&inputs, None).unwrap_err();
    assert_eq!(error, WitnessError::Curve { input: Bls12_381, circuit: Bn254 });
}

#[cfg(unix)]
#[test]
fn a_damaged_cache_entry_is_told_replaced_and_never_run() {
    use athanor_circom::{CacheError, ModuleCache, Origin};
    let dir = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(dir.path().join("modules")).unwrap();
    let wasm = Text::new().wasm();
    let load = || WitnessCalculator::new(&wasm, Some(&cache), &limits()).unwrap();
    assert_eq!(load().origin(), Origin::Compiled);
    assert_eq!(load().origin(), Origin::Cached);
    let entry = std::fs::read_dir(dir.path().join("modules")).unwrap().next().unwrap().unwrap();
    let mut bytes = std::fs::read(entry.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(entry.path(), bytes).unwrap();
    let circuit = load();
    assert_eq!(circuit.origin(), Origin::Compiled);
    assert!(matches!(circuit.cache_error(), Some(CacheError::Damaged { .. })));
    circuit.calculate(&input(r#"{"a": 7}"#), None).unwrap();
    assert_eq!(load().origin(), Origin::Cached);
}
