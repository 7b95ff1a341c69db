//! Replaced field routines in circom's modules compute the same witness, signal by signal; modules whose
//! routines do not match their names run unmodified.

#[allow(dead_code, reason = "the tests of hostile modules use the rest")]
mod common;

use std::{fs, path::Path, time::Duration};

use athanor_circom::{
    AsWritten, FieldCode, Inputs, Limits, ModuleCache, Origin, WitnessCalculator, witness_counts,
};
use common::Text;
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Number of replaced routines in circom's modules.
const ALL: FieldCode = FieldCode::Native { routines: 16 };

/// Computes the witness of an input in both ways and compares.
fn compare(wasm: &Path, input: &str) {
    let limits = Limits::default();
    let module = fs::read(wasm).unwrap();
    let native = WitnessCalculator::new(&module, None, &limits).unwrap();
    assert_eq!(native.field_code(), ALL, "{}", wasm.display());
    let plain = WitnessCalculator::as_written(&module, None, &limits).unwrap();
    assert_eq!(plain.field_code(), FieldCode::AsWritten(AsWritten::Chosen));
    assert_eq!(native.witness_values(), plain.witness_values());
    let inputs = Inputs::parse(input.as_bytes(), plain.curve(), &limits).unwrap();
    let expected = plain.calculate(&inputs, None).unwrap();
    let got = native.calculate(&inputs, None).unwrap();
    assert_eq!(got.len(), expected.len());
    for (signal, (got, expected)) in got.iter().zip(expected.iter()).enumerate() {
        assert!(got == expected, "{}: signal {signal}", wasm.display());
    }
}

#[test]
fn semaphore_has_the_same_witness_by_either_code() {
    const TEST: &str = "semaphore_has_the_same_witness_by_either_code";
    // Each compilation takes seconds.
    let all = std::env::var_os("ATHANOR_LONG_TESTS").is_some();
    for depth in athanor_testkit::SEMAPHORE_DEPTHS {
        if !all && ![1, 20].contains(&depth) {
            continue;
        }
        let Some(files) = athanor_testkit::semaphore(TEST, depth) else { return };
        let siblings: Vec<String> = (1..=depth).map(|level| format!("\"{level}77777\"")).collect();
        let input = format!(
            r#"{{"secret": "1{}", "merkleProofLength": {depth}, "merkleProofIndex": 1,
                "merkleProofSiblings": [{}], "message": "-1", "scope": 9007199254740991}}"#,
            "3".repeat(74),
            siblings.join(",")
        );
        compare(&files.wasm, &input);
    }
}

#[test]
fn sha256_has_the_same_witness_by_either_code() {
    const TEST: &str = "sha256_has_the_same_witness_by_either_code";
    let Some(files) = athanor_testkit::sha256(TEST, 192) else { return };
    let bits: Vec<&str> = (0..8 * 192).map(|bit| if bit % 3 == 0 { "1" } else { "0" }).collect();
    compare(&files.wasm, &format!(r#"{{"in": [{}]}}"#, bits.join(",")));
}

#[test]
fn a_chain_of_poseidon_hashes_has_the_same_witness_by_either_code_over_both_fields() {
    const TEST: &str =
        "a_chain_of_poseidon_hashes_has_the_same_witness_by_either_code_over_both_fields";
    for prime in ["bn128", "bls12381"] {
        let Some(files) = athanor_testkit::poseidon_chain(TEST, 50, prime) else { return };
        compare(&files.wasm, r#"{"in": "12345678901234567890123456789"}"#);
    }
}

/// Every operator of the language, over inputs and over short values.
const OPERATORS: &str = r"
    pragma circom 2.0.0;
    template Operators(n) {
        signal input a[n];
        signal input b[n];
        signal output o[n][24];
        for (var i = 0; i < n; i++) {
            var x = a[i];
            var y = b[i];
            for (var round = 0; round < 2; round++) {
                o[i][12 * round] <-- x + y;
                o[i][12 * round + 1] <-- x - y;
                o[i][12 * round + 2] <-- x * y;
                o[i][12 * round + 3] <-- y == 0 ? 0 : x / y;
                o[i][12 * round + 4] <-- y == 0 ? 0 : (x \ y) + (x % y);
                o[i][12 * round + 5] <-- x ** (y & 31);
                o[i][12 * round + 6] <-- (x << (y & 15)) + (x >> (y & 255));
                o[i][12 * round + 7] <-- (x & y) + (x | y) + (x ^ y) + ~x;
                o[i][12 * round + 8] <-- (x < y) + 2 * (x > y) + 4 * (x <= y) + 8 * (x >= y);
                o[i][12 * round + 9] <-- (x == y) + 2 * (x != y);
                o[i][12 * round + 10] <-- (x && y) + 2 * (x || y) + 4 * !x;
                o[i][12 * round + 11] <-- -x * 3 + x * 2147483647 - y * 46341 * 46341;
                // The same with values in Montgomery form, or small ones.
                x = x * y * y;
                y = (y & 7) - 3;
            }
        }
    }
    component main = Operators(36);
";

#[test]
fn every_operator_gives_the_same_by_either_code_over_both_fields() {
    const TEST: &str = "every_operator_gives_the_same_by_either_code_over_both_fields";
    const VALUES: [&str; 6] = [
        "0",
        "1",
        "-1",
        "2147483648",
        "-10944121435919637611123202872628637544274182200208017171849102093287904247808",
        "3273390607896141870013189696827599152216642046043064789483291368096133796404",
    ];
    for prime in ["bn128", "bls12381"] {
        let name = format!("operators-{prime}");
        let Some(files) = athanor_testkit::compiled(TEST, &name, OPERATORS, prime) else { return };
        let list = |pick: &dyn Fn(usize) -> usize| {
            let all: Vec<String> = (0..36).map(|n| format!("\"{}\"", VALUES[pick(n)])).collect();
            all.join(",")
        };
        let (a, b) = (list(&|n| n / 6), list(&|n| n % 6));
        compare(&files.wasm, &format!(r#"{{"a": [{a}], "b": [{b}]}}"#));
    }
}

#[test]
fn a_module_is_kept_with_its_routines_and_counted_by_them() {
    const TEST: &str = "a_module_is_kept_with_its_routines_and_counted_by_them";
    let Some(files) = athanor_testkit::semaphore(TEST, 1) else { return };
    let dir = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(dir.path().join("modules")).unwrap();
    let module = fs::read(files.wasm).unwrap();
    let json = br#"{"secret": 5, "merkleProofLength": 1, "merkleProofIndex": 0,
        "merkleProofSiblings": [1], "message": 1, "scope": 1}"#;
    for origin in [Origin::Compiled, Origin::Cached] {
        let limits = Limits::default();
        let circuit = WitnessCalculator::new(&module, Some(&cache), &limits).unwrap();
        assert_eq!((circuit.origin(), circuit.field_code()), (origin, ALL));
        let inputs = Inputs::parse(json, circuit.curve(), &limits).unwrap();
        // Tests run concurrently in this process.
        let before = witness_counts();
        circuit.calculate(&inputs, None).unwrap();
        assert!(witness_counts().native > before.native);
        let plain = WitnessCalculator::as_written(&module, Some(&cache), &limits).unwrap();
        assert_eq!(plain.origin(), origin);
        plain.calculate(&inputs, None).unwrap();
        assert!(witness_counts().as_written > before.as_written);
    }
}

#[test]
fn a_module_without_names_runs_as_written_and_says_so() {
    let Some(files) = athanor_testkit::semaphore("a_module_without_names", 1) else { return };
    let module = fs::read(files.wasm).unwrap();
    let names = module.windows(5).rposition(|window| window == b"\x04name").unwrap();
    let mut stripped = module;
    stripped[names + 1..names + 5].copy_from_slice(b"none");
    let circuit = WitnessCalculator::new(&stripped, None, &Limits::default()).unwrap();
    assert_eq!(circuit.field_code(), FieldCode::AsWritten(AsWritten::NoNames));
}

fn written(text: Text) -> AsWritten {
    let circuit = text.load().unwrap();
    let witness = text.calculate().unwrap();
    assert_eq!(*witness, [[1, 0, 0, 0], [7, 0, 0, 0]]);
    match circuit.field_code() {
        FieldCode::AsWritten(why) => why,
        FieldCode::Native { .. } => panic!("routines of ours in a module that lies"),
    }
}

#[test]
fn routines_that_lie_are_left_alone() {
    assert_eq!(written(Text::new()), AsWritten::NoRoutines);
    // A function with the name but a different type is not a routine.
    for text in [
        "(func $Fr_mul (param i64 i32 i32))",
        "(func $Fr_mul (param i32 i32) (result i32) (i32.const 0))",
        "(func $Fr_F1m_mul (param i32 i32 i32) (result i32) (i32.const 0))",
        "(func $Fr_toInt)",
    ] {
        assert_eq!(written(Text::new().extra(text)), AsWritten::NoRoutines, "{text}");
    }
    // The right type, but a different function.
    for (routine, text) in [
        ("Fr_F1m_mul", "(func $Fr_F1m_mul (param i32 i32 i32))"),
        ("Fr_F1m_mul", "(func $Fr_F1m_mul (param i32 i32 i32) unreachable)"),
        ("Fr_int_add", "(func $Fr_int_add (param i32 i32 i32) (result i32) (i32.const 0))"),
        (
            "Fr_copy",
            "(func $Fr_copy (param i32 i32)
                (memory.copy (local.get 0) (local.get 1) (i32.const 39)))",
        ),
        (
            "Fr_copy",
            "(func $Fr_copy (param i32 i32)
                (memory.copy (local.get 0) (local.get 1) (i32.const 41)))",
        ),
    ] {
        assert_eq!(written(Text::new().extra(text)), AsWritten::Differs { routine }, "{text}");
    }
    // A correct one, so that the others do not pass for a different reason.
    let right = "(func $Fr_copy (param i32 i32)
        (memory.copy (local.get 0) (local.get 1) (i32.const 40)))";
    let circuit = Text::new().extra(right).load().unwrap();
    assert_eq!(circuit.field_code(), FieldCode::Native { routines: 1 });
    let witness = Text::new().extra(right).calculate().unwrap();
    assert_eq!(*witness, [[1, 0, 0, 0], [7, 0, 0, 0]]);
}

#[test]
fn a_routine_that_does_not_end_is_left_alone() {
    let endless = "(func $Fr_F1m_mul (param i32 i32 i32) (loop $again (br $again)))";
    let circuit = Text::new().extra(endless).load_for(Duration::from_millis(300)).unwrap();
    assert_eq!(circuit.field_code(), FieldCode::AsWritten(AsWritten::Untried));
}

#[test]
fn a_module_with_the_name_of_what_is_added_runs_as_written() {
    let taken = r#"(func $Fr_copy (param i32 i32)
            (memory.copy (local.get 0) (local.get 1) (i32.const 40)))
        (func (export "athanor.readWitness") (param i32 i32 i32) unreachable)"#;
    assert_eq!(written(Text::new().extra(taken)), AsWritten::Untried);
}

#[test]
fn what_circom_does_not_emit_is_refused_in_a_module_with_routines_too() {
    let right = "(func $Fr_copy (param i32 i32)
        (memory.copy (local.get 0) (local.get 1) (i32.const 40)))";
    for text in [
        "(func (result v128) (v128.const i64x2 0 0))",
        "(func (result i64 i64) (i64.mul_wide_u (i64.const 2) (i64.const 3)))",
    ] {
        let refused = Text::new().extra(right).extra(text).load();
        assert!(refused.is_err(), "{text}");
    }
}

#[test]
fn a_witness_without_room_to_be_read_at_once_is_read_one_by_one() {
    let right = "(func $Fr_copy (param i32 i32)
        (memory.copy (local.get 0) (local.get 1) (i32.const 40)))";
    let text = Text::new().extra(right).memory(r#"(memory (export "memory") 1 1)"#);
    assert_eq!(text.load().unwrap().field_code(), FieldCode::Native { routines: 1 });
    assert_eq!(*text.calculate().unwrap(), [[1, 0, 0, 0], [7, 0, 0, 0]]);
}

/// The parser of modules must not rely on the compiler's validation, which runs later.
#[test]
fn a_damaged_module_is_refused_or_loads() {
    let rounds = if std::env::var_os("ATHANOR_LONG_TESTS").is_some() { 200_000 } else { 300 };
    let right = "(func $Fr_copy (param i32 i32)
        (memory.copy (local.get 0) (local.get 1) (i32.const 40)))";
    let whole = Text::new().extra(right).wasm();
    let limits = Limits { time: Duration::from_millis(20), ..Limits::default() };
    let random = &mut StdRng::seed_from_u64(1);
    let (mut refused, mut loaded) = (0, 0);
    for _ in 0..rounds {
        let mut module = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(8..module.len());
            match random.random_range(0..4) {
                0 => module[at] = random.random(),
                1 => module[at] ^= 1 << random.random_range(0..8),
                2 => _ = module.remove(at),
                _ => module.insert(at, random.random()),
            }
        }
        match WitnessCalculator::new(&module, None, &limits) {
            Ok(_) => loaded += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0 && loaded > 0, "{refused} refused, {loaded} loaded");
}
