//! `athanor bench service`: the service's cost against the engine alone, the latency that it adds to one
//! proof, and its behaviour at ten times its capacity.
//!
//! The service runs as a child process (`athanor serve`), with clients over loopback. Clients share its
//! processors, so rates under overload are lower bounds.

mod child;
mod client;
mod overload;

use std::{
    fs,
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use athanor_circom::{CircomBackend, circuit::WTNS, demo};
use athanor_engine::{Catalog, Engine, Input, Submission};
use serde_json::{Value, json};

use super::{cpu_name, cpu_time, median};
use crate::{
    args::BenchService,
    circuits::NewCircuit,
    demo::{make_key, witness_file},
    failure::{Failure, Kind},
    local,
    output::{Progress, answer},
    serve,
};
use child::Child;
use client::{Client, Reply};

/// The circuit's name.
const NAME: &str = "merkle-20";
/// Number of rounds of each comparison; the median is reported.
const ROUNDS: u32 = 5;
/// Number of proofs for the latency.
const LATENCIES: u32 = 100;
/// Number of concurrent requests while costs are compared.
const IN_FLIGHT: usize = 4;

/// Setup that all parts share.
struct Bench<'a> {
    args: &'a BenchService,
    threads: u32,
    place: &'a Path,
    witness: Arc<Vec<u8>>,
    runtime: tokio::runtime::Runtime,
}

/// Measures and prints.
pub(crate) fn run(args: &BenchService) -> Result<(), Failure> {
    let progress = Progress::new(args.common.json);
    serve::allow_many_files();
    let internal = |error: std::io::Error| Failure::new(Kind::Internal, error);
    let place = tempfile::tempdir().map_err(internal)?;
    let threads = local::threads(args.common.threads);
    progress.say("making the circuit");
    let constraints = catalog(args, threads, place.path())?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().map_err(internal)?;
    let bench = Bench {
        args,
        threads,
        place: place.path(),
        witness: Arc::new(witness_file(&demo::constraints())?),
        runtime,
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    progress.say("cost: the same proofs by the engine and by the service, alternately");
    let cost = bench.cost()?;
    progress.say("latency of one proof at a time");
    let latency = bench.latency()?;
    progress.say(&format!("{} clients for {} s", args.clients, args.seconds));
    let overload = bench.overload(cost.rate)?;
    if args.common.json {
        let output = json!({
            "command": "bench service",
            "cpu": cpu_name(),
            "threads": threads,
            "load": load.trim(),
            "circuit": { "name": NAME, "constraints": constraints },
            "cpu_per_proof": {
                "engine_seconds": cost.engine.as_secs_f64(),
                "service_seconds": cost.service.as_secs_f64(),
                "ratio": cost.ratio(),
            },
            "latency": latency.json(),
            "overload": overload.json(),
        });
        answer(&output.to_string());
        return Ok(());
    }
    answer(&format!(
        "{}; {threads} threads; {NAME}, {constraints} constraints; load {}",
        cpu_name(),
        load.trim()
    ));
    answer(&format!(
        "CPU of a proof: {:.1} ms by the engine, {:.1} ms by the service: {:.3}",
        1e3 * cost.engine.as_secs_f64(),
        1e3 * cost.service.as_secs_f64(),
        cost.ratio()
    ));
    latency.tell();
    overload.tell();
    Ok(())
}

/// Makes a catalog with the circuit; returns its number of constraints.
fn catalog(args: &BenchService, threads: u32, place: &Path) -> Result<usize, Failure> {
    let r1cs = demo::constraints();
    let (zkey, wtns) = (place.join("merkle.zkey"), place.join("first.wtns"));
    make_key(&r1cs, &zkey, args.common.pool()?)?;
    fs::write(&wtns, witness_file(&r1cs)?).map_err(|e| Failure::at(Kind::Unwritable, &wtns, e))?;
    let files = vec![("zkey", zkey.as_path()), ("witness", wtns.as_path())];
    NewCircuit { name: NAME, files, threads }.add(&place.join("circuits"))?;
    Ok(r1cs.constraints())
}

/// CPU time per proof.
struct Cost {
    engine: Duration,
    service: Duration,
    /// Proofs per second of the service without competing load.
    rate: f64,
}

impl Cost {
    fn ratio(&self) -> f64 {
        self.service.as_secs_f64() / self.engine.as_secs_f64()
    }
}

/// Latency with one proof at a time.
struct Latency {
    /// Latency beyond the proof's stages, sorted.
    beyond: Vec<Duration>,
    /// Time of the same syncs alone on the same disk, sorted.
    sync: Vec<Duration>,
}

/// Number of syncs in a client's latency: the input, its directory entry, the record of acceptance, and
/// the record of the result.
const SYNCS: u32 = 4;
/// Bytes that the journal writes per record.
const RECORD: usize = 16 << 10;

/// Measures a job's syncs alone: a new file of the input's size, its directory entry, two records.
fn syncs(place: &Path, input: &[u8], journal: &mut fs::File) -> std::io::Result<Duration> {
    let (new, kept) = (place.join("new"), place.join("kept"));
    let began = Instant::now();
    let mut file = fs::File::create(&new)?;
    file.write_all(input)?;
    file.sync_all()?;
    fs::rename(&new, &kept)?;
    fs::File::open(place)?.sync_all()?;
    for _ in 0..2 {
        journal.write_all(&[7; RECORD])?;
        journal.sync_all()?;
    }
    Ok(began.elapsed())
}

fn quantile(sorted: &[Duration], q: f64) -> Duration {
    let at = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

impl Latency {
    fn json(&self) -> Value {
        let seconds = |sorted: &[Duration], q| quantile(sorted, q).as_secs_f64();
        json!({
            "proofs": self.beyond.len(),
            "beyond_the_proof_seconds": {
                "p50": seconds(&self.beyond, 0.5), "p99": seconds(&self.beyond, 0.99),
            },
            "syncs_waited_for": SYNCS,
            "syncs_seconds": { "p50": seconds(&self.sync, 0.5), "p99": seconds(&self.sync, 0.99) },
        })
    }

    fn tell(&self) {
        let ms = |sorted: &[Duration], q| 1e3 * quantile(sorted, q).as_secs_f64();
        answer(&format!(
            "latency beyond the proof's own time: p50 {:.2} ms, p99 {:.2} ms; of that {SYNCS} syncs, \
             alone p50 {:.2} ms, p99 {:.2} ms",
            ms(&self.beyond, 0.5),
            ms(&self.beyond, 0.99),
            ms(&self.sync, 0.5),
            ms(&self.sync, 0.99)
        ));
    }
}

impl Bench<'_> {
    /// CPU time of the same proofs, by the engine in this process and by the service, alternately.
    fn cost(&self) -> Result<Cost, Failure> {
        let engine = local::engine(self.threads, None)?;
        let backend = CircomBackend::new(local::settings()?);
        let catalog = Catalog::new(self.place.join("circuits"));
        engine.load(NAME, catalog.open(NAME, &[Arc::new(backend)])?)?;
        self.by_engine(&engine, 2)?;
        let child = Child::start(self, "cost", "")?;
        self.by_service(&child, 2)?;
        let (mut ours, mut its, mut took) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(self.by_engine(&engine, self.args.proofs)?);
            let began = Instant::now();
            its.push(self.by_service(&child, self.args.proofs)?);
            took.push(began.elapsed());
        }
        let proofs = self.args.proofs;
        let rate = f64::from(proofs) / median(took).as_secs_f64();
        Ok(Cost { engine: median(ours) / proofs, service: median(its) / proofs, rate })
    }

    fn by_engine(&self, engine: &Engine, proofs: u32) -> Result<Duration, Failure> {
        let before = cpu_time();
        let mut handles = std::collections::VecDeque::new();
        for _ in 0..proofs {
            if handles.len() == IN_FLIGHT
                && let Some(first) = handles.pop_front()
            {
                athanor_engine::JobHandle::wait(&first)?;
            }
            let input = Input::new(WTNS, self.witness.to_vec());
            let submission = Submission { share: false, ..Submission::new(NAME, input) };
            handles.push_back(engine.submit(submission)?);
        }
        for handle in handles {
            handle.wait()?;
        }
        Ok(cpu_time() - before)
    }

    fn by_service(&self, child: &Child, proofs: u32) -> Result<Duration, Failure> {
        let before = child.cpu();
        self.runtime.block_on(async {
            let each = |lane: usize| {
                let (address, witness) = (child.address.clone(), self.witness.clone());
                let own = (proofs as usize + IN_FLIGHT - 1 - lane) / IN_FLIGHT;
                tokio::spawn(async move {
                    let mut client = Client::connect(&address).await?;
                    for _ in 0..own {
                        client.prove(&witness, "normal").await?.proven()?;
                    }
                    Ok::<(), Failure>(())
                })
            };
            let lanes: Vec<_> = (0..IN_FLIGHT).map(each).collect();
            for lane in lanes {
                lane.await.map_err(|error| Failure::new(Kind::Internal, error))??;
            }
            Ok(child.cpu().saturating_sub(before))
        })
    }

    /// Measures the latency of one proof beyond its stages.
    fn latency(&self) -> Result<Latency, Failure> {
        let child = Child::start(self, "latency", "")?;
        let mut beyond = self.runtime.block_on(async {
            let mut client = Client::connect(&child.address).await?;
            client.prove(&self.witness, "normal").await?.proven()?;
            let mut beyond = Vec::new();
            for _ in 0..LATENCIES {
                let began = Instant::now();
                let reply: Reply = client.prove(&self.witness, "normal").await?;
                let took = began.elapsed();
                beyond.push(took.saturating_sub(reply.proven()?));
            }
            Ok::<_, Failure>(beyond)
        })?;
        beyond.sort();
        let path = self.place.join("syncs");
        let unwritable = |error| Failure::at(Kind::Unwritable, &path, error);
        fs::create_dir(&path).map_err(unwritable)?;
        let mut journal = fs::File::create(path.join("journal")).map_err(unwritable)?;
        let mut sync = Vec::new();
        for _ in 0..LATENCIES {
            sync.push(syncs(&path, &self.witness, &mut journal).map_err(unwritable)?);
        }
        sync.sort();
        Ok(Latency { beyond, sync })
    }
}
