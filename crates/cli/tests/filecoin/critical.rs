//! A critical job of a different backend while a sector is being proven.

use std::{
    fs,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use athanor_circom::{
    Limits,
    circuit::{self, Files, NATIVE, NativeGenerator, keys::KeyCache},
};
use athanor_engine::{
    Circuit, Class, Config, Engine, Input, MemoryJournal, Status, Submission, Trace,
};
use athanor_filecoin::{Porep, Sector, params};
use athanor_groth16::{development_setup, synthetic};
use athanor_kernels::{Bn254, Quotient, Scalars};
use athanor_telemetry::TraceEvent;

use crate::Place;

const CONSTRAINTS: usize = 300;

struct Bits;

impl NativeGenerator for Bits {
    fn witness(&self, _: &[u8]) -> Result<Scalars, String> {
        Ok(synthetic::bits::<Bn254>(CONSTRAINTS, 1).witness)
    }
}

/// A small circuit with its own key.
fn small(place: &Place) -> Arc<dyn Circuit> {
    let example = synthetic::bits::<Bn254>(CONSTRAINTS, 1);
    let key = development_setup::<Bn254>(&example.r1cs, Quotient::OddCoset).unwrap();
    let (mut bytes, zkey) = (Vec::new(), place.path("small.zkey"));
    key.write_zkey(&mut bytes, "for tests").unwrap();
    fs::write(&zkey, bytes).unwrap();
    let directory = place.path("converted");
    fs::create_dir(&directory).unwrap();
    let keys = KeyCache { directory, warn: Arc::new(|_| {}), kept: Arc::new(|_, _| {}) };
    let settings = circuit::Settings { keys, modules: None, limits: Limits::default(), tables: 0 };
    let files = Files { zkey, native: Some(Arc::new(Bits)), ..Files::default() };
    circuit::open(files, None, settings).unwrap().circuit
}

#[test]
fn a_critical_circom_job_starts_at_the_next_free_slot_of_each_stage() {
    let place = Place::new();
    let porep = Porep::new(Sector::new(2048, 2).unwrap());
    let file = place.parameters().join(params::file_name(&porep).unwrap());
    let sector = place.sector(2);
    let settings = athanor_filecoin::Settings::new(place.path("constraints"));
    fs::create_dir(&settings.keys).unwrap();
    let sectors = athanor_filecoin::open(porep, &file, None, None, settings).unwrap();

    let traces = Arc::new(Mutex::new(Vec::<Trace>::new()));
    let (proving, started) = mpsc::channel();
    let seen = traces.clone();
    let observer = move |trace: &Trace| {
        // The first step of a partition is its witness, the second its proof.
        if matches!(&trace.event, TraceEvent::Started { task, .. } if task.step == 1) {
            let _ = proving.send(());
        }
        seen.lock().unwrap().push(trace.clone());
    };
    let config = Config { observer: Some(Box::new(observer)), ..Config::with_threads(2) };
    let engine = Engine::start(config, Arc::new(MemoryJournal)).unwrap();
    engine.load("porep", sectors).unwrap();
    engine.load("small", small(&place)).unwrap();

    let sector = engine.submit(Submission::new("porep", Input::new("json", sector))).unwrap();
    started.recv_timeout(Duration::from_secs(300)).expect("the first partition is being proven");
    let input = Input::new(NATIVE, Vec::new());
    let critical = Submission { class: Class::Critical, ..Submission::new("small", input) };
    engine.submit(critical).unwrap().wait().unwrap();
    assert!(!matches!(sector.status(), Status::Ended(_)), "the sector has a partition to go");
    sector.wait().unwrap();

    let traces = traces.lock().unwrap();
    let job = traces.iter().find_map(|trace| match trace.event {
        TraceEvent::Accepted { job, class: Class::Critical, .. } => Some(job),
        _ => None,
    });
    let mut steps = 0;
    for (at, trace) in traces.iter().enumerate() {
        let TraceEvent::Ready { task, stage } = trace.event else { continue };
        if Some(task.job) != job {
            continue;
        }
        let next = traces[at..].iter().find_map(|trace| match trace.event {
            TraceEvent::Started { task, stage: of, .. } if of == stage => Some(task),
            _ => None,
        });
        assert_eq!(next, Some(task), "what starts first in stage {stage:?}");
        steps += 1;
    }
    assert_eq!(steps, 3, "witness, proof and check");
}
