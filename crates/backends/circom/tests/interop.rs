//! Witnesses are byte-for-byte equal to those of snarkjs and of circom's calculator, on third-party
//! circuits and on one that uses rare features of the language.

use std::{fs, path::Path};

use athanor_circom::{Inputs, Limits, ModuleCache, Origin, WitnessCalculator, WitnessError};
use athanor_kernels::{CurveId, Scalars};

/// The stored bytes of the values of a `.wtns` file: section 2 of the container.
fn values_of_wtns(path: &Path) -> Vec<u8> {
    let file = fs::read(path).unwrap();
    assert_eq!(&file[..4], b"wtns");
    let mut rest = &file[12..];
    loop {
        let (id, tail) = rest.split_first_chunk::<4>().expect("a section with the values");
        let (length, tail) = tail.split_first_chunk::<8>().unwrap();
        let (body, tail) = tail.split_at(u64::from_le_bytes(*length) as usize);
        if u32::from_le_bytes(*id) == 2 {
            return body.to_owned();
        }
        rest = tail;
    }
}

fn bytes_of(witness: &Scalars) -> Vec<u8> {
    witness.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
}

fn load(wasm: &Path) -> WitnessCalculator {
    WitnessCalculator::new(&fs::read(wasm).unwrap(), None, &Limits::default()).unwrap()
}

fn calculate(circuit: &WitnessCalculator, json: &str) -> Result<Scalars, WitnessError> {
    let inputs = Inputs::parse(json.as_bytes(), circuit.curve(), &Limits::default()).unwrap();
    circuit.calculate(&inputs, None)
}

#[test]
fn semaphore_witnesses_are_those_of_snarkjs() {
    const TEST: &str = "semaphore_witnesses_are_those_of_snarkjs";
    let Some(snarkjs) = athanor_testkit::snarkjs(TEST) else { return };
    for depth in [10, 20] {
        let Some(files) = athanor_testkit::semaphore(TEST, depth) else { return };
        let siblings: Vec<String> = (0..depth)
            .map(|level| format!("\"{}{level:02}\"", "7".repeat(if level < 5 { 70 } else { 1 })))
            .collect();
        let json = format!(
            r#"{{
                "secret": "1{}", "merkleProofLength": 5, "merkleProofIndex": "0x15",
                "merkleProofSiblings": [{}], "message": "-1", "scope": 9007199254740991
            }}"#,
            "3".repeat(74),
            siblings.join(",")
        );
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("input.json"), &json).unwrap();
        let wasm = files.wasm.to_str().unwrap();
        snarkjs.run(dir.path(), &["wtns", "calculate", wasm, "input.json", "w.wtns"]);

        let circuit = load(&files.wasm);
        assert_eq!(circuit.curve(), CurveId::Bn254);
        let witness = calculate(&circuit, &json).unwrap();
        assert!(bytes_of(&witness) == values_of_wtns(&dir.path().join("w.wtns")), "{depth}");
    }
}

#[test]
fn semaphore_inputs_that_are_wrong_are_refused_by_signal_or_template() {
    const TEST: &str = "semaphore_inputs_that_are_wrong_are_refused_by_signal_or_template";
    let Some(files) = athanor_testkit::semaphore(TEST, 1) else { return };
    let circuit = load(&files.wasm);
    let input = |secret: &str, siblings: &str| {
        format!(
            r#"{{"secret": "{secret}", "merkleProofLength": 1, "merkleProofIndex": 0,
                "merkleProofSiblings": {siblings}, "message": 1, "scope": 1}}"#
        )
    };
    calculate(&circuit, &input("5", "[1]")).unwrap();
    let error = calculate(&circuit, &input("5", "[1, 2]")).unwrap_err();
    let signal = "merkleProofSiblings".to_owned();
    assert_eq!(error, WitnessError::Count { signal, expected: 1, given: 2 });
    let error = calculate(&circuit, "{\"identity\": 1}").unwrap_err();
    let unknown =
        matches!(&error, WitnessError::UnknownSignal { signal, .. } if signal == "identity");
    assert!(unknown, "{error}");
    // The secret must be below the order of the Baby Jubjub subgroup.
    let error = calculate(&circuit, &input("-1", "[1]")).unwrap_err();
    let WitnessError::Unsatisfied { trace } = error else { panic!("{error}") };
    assert!(trace.contains("Error in template Semaphore_"), "{trace}");
}

const CORNERS: &str = r#"
    pragma circom 2.2.0;

    bus Point() { signal x; signal y[2]; }

    // Buses, arrays of them, an unused input, a hint, a log and an assertion.
    template Corners(n) {
        input Point() p;
        input Point() l[2];
        signal input a[n][2];
        signal input b;
        signal input unused;
        signal output out;
        signal s[n + 1];
        signal t <== p.x * p.y[0];
        s[0] <== t + p.y[1] * l[0].x + l[1].y[1];
        for (var i = 0; i < n; i++) {
            s[i + 1] <== s[i] * a[i][0] + a[i][1];
        }
        log("value", s[n], b);
        assert(b != 13);
        signal h <-- b \ 3;
        signal hb <== h * b;
        out <== s[n] * b + h;
    }

    component main {public [b]} = Corners(3);
"#;

/// Strings only: circom's calculator needs one type in an array.
fn corners_input(b: &str) -> String {
    format!(
        r#"{{
            "p": {{"x": "3", "y": ["-4", "0x5"]}},
            "l": [{{"x": "1", "y": ["2", "3"]}}, {{"x": "4", "y": ["5", "6"]}}],
            "a": [["1", "2"], ["{}", "4"], ["5", "-6"]],
            "unused": "0", "b": "{b}"
        }}"#,
        "9".repeat(90)
    )
}

#[test]
fn circuits_over_both_curves_and_with_buses_have_the_witness_of_circoms_own_calculator() {
    const TEST: &str =
        "circuits_over_both_curves_and_with_buses_have_the_witness_of_circoms_own_calculator";
    let Some(circom) = athanor_testkit::circom2(TEST) else { return };
    let Some(snarkjs) = athanor_testkit::snarkjs(TEST) else { return };
    for (prime, curve) in [("bn128", CurveId::Bn254), ("bls12381", CurveId::Bls12_381)] {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("c.circom"), CORNERS).unwrap();
        circom.run(dir.path(), &["c.circom", "--wasm", "--sym", "--prime", prime]);
        let circuit = load(&at("c_js/c.wasm"));
        assert_eq!(circuit.curve(), curve);
        assert_eq!(circuit.input_values(), 17);

        let json = corners_input("12");
        fs::write(at("input.json"), &json).unwrap();
        let status = std::process::Command::new("node")
            .args(["c_js/generate_witness.js", "c_js/c.wasm", "input.json", "circom.wtns"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        let witness = calculate(&circuit, &json).unwrap();
        assert!(bytes_of(&witness) == values_of_wtns(&at("circom.wtns")), "{curve}");

        // snarkjs accepts a bus only as a flat list.
        let flat = json.replace("\"x\":", "").replace("\"y\":", "").replace('{', "[");
        let flat = flat.replace('}', "]").replacen('[', "{", 1);
        let flat = flat.strip_suffix(']').unwrap().to_owned() + "}";
        fs::write(at("flat.json"), &flat).unwrap();
        snarkjs.run(dir.path(), &["wtns", "calculate", "c_js/c.wasm", "flat.json", "snarkjs.wtns"]);
        assert!(values_of_wtns(&at("snarkjs.wtns")) == values_of_wtns(&at("circom.wtns")));
        assert!(bytes_of(&calculate(&circuit, &flat).unwrap()) == bytes_of(&witness), "{curve}");

        let error = calculate(&circuit, &corners_input("13")).unwrap_err();
        let WitnessError::Unsatisfied { trace } = error else { panic!("{error}") };
        assert!(trace.starts_with("Error in template Corners_0 line: "), "{trace}");

        let names: Vec<String> = fs::read_to_string(at("c.sym"))
            .unwrap()
            .lines()
            .map(|line| line.rsplit(',').next().unwrap().to_owned())
            .collect();
        let some =
            r#"{"a": [[1, 2], [3, 4], [5, 6]], "p": [1, 2, 3], "l": [{"x": 1, "y": [2, 3]}]}"#;
        let inputs = Inputs::parse(some.as_bytes(), curve, &Limits::default()).unwrap();
        let error = circuit.calculate(&inputs, Some(&names)).unwrap_err();
        let missing = ["b", "l[1].x", "l[1].y", "unused"].map(str::to_owned).into();
        assert_eq!(error, WitnessError::Missing { given: 12, expected: 17, missing });
    }
}

#[test]
fn a_circuit_without_inputs_computes_from_nothing() {
    const TEST: &str = "a_circuit_without_inputs_computes_from_nothing";
    let Some(circom) = athanor_testkit::circom2(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let text = "pragma circom 2.0.0; template C() { signal output o; o <== 42; }
        component main = C();";
    fs::write(dir.path().join("c.circom"), text).unwrap();
    circom.run(dir.path(), &["c.circom", "--wasm"]);
    let witness = calculate(&load(&dir.path().join("c_js/c.wasm")), "{}").unwrap();
    assert_eq!(*witness, [[1, 0, 0, 0], [42, 0, 0, 0]]);
}

#[test]
fn a_compiled_module_is_kept_and_gives_the_same_witness() {
    const TEST: &str = "a_compiled_module_is_kept_and_gives_the_same_witness";
    let Some(files) = athanor_testkit::semaphore(TEST, 1) else { return };
    let dir = tempfile::tempdir().unwrap();
    let cache = ModuleCache::open(dir.path().join("modules")).unwrap();
    let wasm = fs::read(files.wasm).unwrap();
    let json = r#"{"secret": 5, "merkleProofLength": 1, "merkleProofIndex": 0,
        "merkleProofSiblings": [1], "message": 1, "scope": 1}"#;
    let mut first = None;
    for origin in [Origin::Compiled, Origin::Cached] {
        let circuit = WitnessCalculator::new(&wasm, Some(&cache), &Limits::default()).unwrap();
        assert_eq!(circuit.origin(), origin);
        assert!(circuit.cache_error().is_none());
        let witness = bytes_of(&calculate(&circuit, json).unwrap());
        assert!(*first.get_or_insert(witness.clone()) == witness);
    }
}
