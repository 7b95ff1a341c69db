//! Emulation of AVX-512 IFMA, for tests on processors that have AVX-512 without it.
//!
//! `emulator.c` emulates the two instructions for a process. It is compiled here, with the C compiler
//! that the build needs anyway, and preloaded. The tests run the same code as on a newer processor; only
//! the speed is not representative.

use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    process::{Command, Output},
};

/// Exit code of the emulator if the machine does not support it.
const UNSUPPORTED: i32 = 77;

/// Runs tests of the calling test's program again, those whose names contain one of `names`, on the
/// kernels' IFMA path, and checks that the path was used.
///
/// Does nothing if the processor has the instructions, since the tests have used the path already. If it
/// can neither run nor emulate them, prints that on standard error.
///
/// # Panics
/// If a test fails, or no emulated instruction ran.
pub fn again_on_ifma(names: &[&str]) {
    if processor_has("avx512ifma") {
        return;
    }
    if !["avx512f", "avx512dq", "cpuid_fault"].into_iter().all(processor_has) {
        return skipped(names, "this processor can neither run nor emulate IFMA");
    }
    let place = tempfile::tempdir().expect("a temporary directory for the emulator");
    let emulator = place.path().join("emulator.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ifma/emulator.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-o"]).args([&emulator, &source]);
    output_of(&compiler.output().expect("a C compiler"));
    let mut tests = Command::new(env::current_exe().expect("the test's own program"));
    tests.args(names).env("LD_PRELOAD", &emulator).env("ATHANOR_KERNELS", "ifma");
    let tests = tests.output().expect("it starts");
    if tests.status.code() == Some(UNSUPPORTED) {
        return skipped(names, &String::from_utf8_lossy(&tests.stderr));
    }
    let (out, err) = output_of(&tests);
    assert!(out.contains("test result: ok") && !out.contains(" 0 passed"), "no test: {out}");
    let places = err.rsplit_once("ifma emulator: ").map_or("", |(_, said)| said);
    assert!(!places.is_empty() && !places.starts_with("0 "), "IFMA was not used: {err}");
}

fn skipped(names: &[&str], why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {names:?}: {}", why.trim());
}

/// Whether the processor has a feature, by the Linux kernel's name.
fn processor_has(feature: &str) -> bool {
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = known.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_ascii_whitespace().any(|flag| flag == feature)
}

/// The output of a program; panics if it failed.
fn output_of(output: &Output) -> (String, String) {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
    assert!(output.status.success(), "{out}\n{err}");
    (out, err)
}
