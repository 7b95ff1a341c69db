//! Overhead of the engine over direct calls of the prover: CPU time of both, interleaved, with the same
//! key and witness.
//!
//! ```sh
//! cargo bench -p athanor-circom
//! ```

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use athanor_circom::{
    Limits,
    circuit::{self, Files, Settings, WTNS, keys::KeyCache},
    demo::{self, Signal},
};
use athanor_engine::{Config, Engine, Input, MemoryJournal, Submission};
use athanor_groth16::{
    ProvingKey, Witness, development_setup,
    formats::{
        json,
        wtns::{read_wtns, write_wtns},
    },
};
use athanor_kernels::{Bn254, CurveId, Quotient, cpu::Cpu};

const ROUNDS: usize = 21;

fn main() {
    let r1cs = demo::constraints();
    let raw = development_setup::<Bn254>(&r1cs, Quotient::OddCoset).expect("a key");
    let place = tempfile::tempdir().expect("a directory");
    let zkey = place.path().join("key.zkey");
    let mut bytes = Vec::new();
    raw.write_zkey(&mut bytes, "for a bench").expect("it is written");
    std::fs::write(&zkey, bytes).expect("it is written");
    let direct = ProvingKey::load(Cpu, raw.to_native(&Cpu).expect("converted")).expect("a key");
    let mut wtns = Vec::new();
    let values = Signal::example(100).witness(&r1cs).expect("a witness");
    write_wtns(&mut wtns, CurveId::Bn254, &values).expect("it is written");

    let mut config = Config::with_threads(1);
    config.memory = Some(4 << 30);
    let engine = Engine::start(config, Arc::new(MemoryJournal)).expect("it starts");
    let keys = KeyCache {
        directory: place.path().to_owned(),
        warn: Arc::new(|_| {}),
        kept: Arc::new(|_, _| {}),
    };
    let settings = Settings { keys, modules: None, limits: Limits::default(), tables: 0 };
    let files = Files { zkey, ..Files::default() };
    let opened = circuit::open(files, None, settings).expect("it opens");
    engine.load("circuit", opened.circuit).expect("it is loaded");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");

    let by_engine = || {
        let before = cpu_time();
        let input = Input::new(WTNS, wtns.clone());
        let submission = Submission { share: false, ..Submission::new("circuit", input) };
        let handle = engine.submit(submission).expect("it is accepted");
        handle.wait().expect("it is proven");
        cpu_time() - before
    };
    let by_hand = || {
        let before = cpu_time();
        let witness = read_wtns(std::io::Cursor::new(&wtns)).expect("a witness").values;
        let witness = Witness::<Bn254>::new(witness).expect("a witness");
        let public = witness.public(demo::PUBLIC).to_vec();
        let proved = pool.install(|| direct.prove(witness)).expect("it is proven");
        let texts =
            (json::write_proof::<Bn254>(&proved.proof), json::write_public::<Bn254>(&public));
        std::hint::black_box(texts);
        cpu_time() - before
    };
    by_engine();
    by_hand();
    let (mut engine_times, mut hand_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        engine_times.push(by_engine());
        hand_times.push(by_hand());
    }
    let (by_engine, by_hand) = (median(engine_times), median(hand_times));
    println!(
        "{} constraints, one thread, medians of {ROUNDS}: engine {:.2} ms of CPU, prover {:.2} ms, \
         difference {:.2} ms",
        r1cs.constraints(),
        by_engine.as_secs_f64() * 1e3,
        by_hand.as_secs_f64() * 1e3,
        (by_engine.as_secs_f64() - by_hand.as_secs_f64()) * 1e3,
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
