//! A circuit with a handwritten witness generator: its input determines its duration, or that it fails
//! with a given trace.

use std::fs;

use crate::support::Place;

/// A directory with a catalog of one circuit, `slow`.
///
/// Its only input is `a`. For `a` up to 2^16 the generator takes about `a` milliseconds of CPU and makes
/// the only witness. For `a` from 2^64 its assertion fails with `told` as the text of its trace.
pub(crate) fn place(told: &str) -> Place {
    let place = Place::new("bn128");
    let witness = fs::read(place.given("witness.wtns")).unwrap();
    place.write("slow.wasm", wasm(&witness, told));
    place.write("input.json", input(1));
    let zkey = place.given("final.zkey");
    let files = ["--zkey", zkey.to_str().unwrap(), "--wasm", "slow.wasm", "--input", "input.json"];
    place.run([&["circuits", "add", "slow"][..], &files, &["--dir", "circuits"]].concat()).ok();
    place
}

/// An input that takes `milliseconds`; all inputs have the same length.
pub(crate) fn input(milliseconds: u16) -> String {
    format!("{{\"a\":\"{milliseconds:05}\"}}")
}

/// A submit request with that input.
pub(crate) fn submit(milliseconds: u16) -> String {
    format!("{{\"circuit\":\"slow\",\"input\":{}}}", input(milliseconds))
}

/// Replaces the input that the circuit proves when it is loaded.
pub(crate) fn warm_up_with(place: &Place, milliseconds: u16) {
    let (old, new) = (input(1), input(milliseconds));
    let kept =
        fs::read_dir(place.path("circuits/slow")).unwrap().map(|entry| entry.unwrap().path());
    for path in kept {
        let bytes = fs::read(&path).unwrap();
        if bytes == old.as_bytes() {
            fs::write(&path, &new).unwrap();
        } else if path.ends_with("circuit.toml") {
            let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
            let manifest = String::from_utf8(bytes).unwrap();
            assert!(manifest.contains(&digest(&old)), "{manifest}");
            fs::write(&path, manifest.replace(&digest(&old), &digest(&new))).unwrap();
        }
    }
}

/// Offsets of the order of BN254's scalar field and of the values in a witness file.
const ORDER: usize = 28;
const VALUES: usize = 76;

fn wasm(witness: &[u8], told: &str) -> Vec<u8> {
    let escaped =
        |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let order = escaped(&witness[ORDER..ORDER + 32]);
    let values = escaped(&witness[VALUES..]);
    let count = (witness.len() - VALUES) / 32;
    let name = athanor_circom::signal_hash("a") as u32 as i32;
    // Addresses: 0 the order, 64 the exchange area, 128 `a`, 200 the position in the text, 256 the text, 1024
    // the values.
    let text = format!(
        r#"(module
            (import "runtime" "exceptionHandler" (func $exception (param i32)))
            (import "runtime" "printErrorMessage" (func $error))
            (memory (export "memory") 1)
            (data (i32.const 0) "{order}") (data (i32.const 256) "{told}\00")
            (data (i32.const 1024) "{values}")
            (func (export "getVersion") (result i32) (i32.const 2))
            (func (export "getFieldNumLen32") (result i32) (i32.const 8))
            (func (export "getSharedRWMemoryStart") (result i32) (i32.const 64))
            (func (export "getRawPrime")
                (memory.copy (i32.const 64) (i32.const 0) (i32.const 32)))
            (func (export "init") (param i32))
            (func (export "getInputSize") (result i32) (i32.const 1))
            (func (export "getInputSignalSize") (param i32 i32) (result i32)
                (select (i32.const 1) (i32.const -1) (i32.eq (local.get 1) (i32.const {name}))))
            (func (export "getWitnessSize") (result i32) (i32.const {count}))
            (func (export "getWitness") (param i32)
                (memory.copy (i32.const 64)
                    (i32.add (i32.const 1024) (i32.mul (local.get 0) (i32.const 32)))
                    (i32.const 32)))
            (func (export "getMessageChar") (result i32)
                (i32.store (i32.const 200) (i32.add (i32.load (i32.const 200)) (i32.const 1)))
                (i32.load8_u (i32.add (i32.const 255) (i32.load (i32.const 200)))))
            (func (export "setInputSignal") (param i32 i32 i32) (local $left i64)
                (memory.copy (i32.const 128) (i32.const 64) (i32.const 32))
                (if (i64.ne (i64.load (i32.const 136)) (i64.const 0))
                    (then (call $error) (call $exception (i32.const 4))))
                (local.set $left (i64.mul (i64.load (i32.const 128)) (i64.const 1000000)))
                (loop $again
                    (local.set $left (i64.sub (local.get $left) (i64.const 1)))
                    (br_if $again (i64.gt_s (local.get $left) (i64.const 0))))))"#
    );
    wat::parse_str(text).expect("the text is wasm")
}
