//! `peers witness`: from a parsed input to a witness, by one module in wasmtime with its own and with our
//! field routines, and by circom's calculator under Node. CPU time: in this process only of the run; for
//! Node of the whole process minus that of an empty one, since its compiler runs concurrently.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use athanor_circom::{FieldCode, Inputs, Limits, WitnessCalculator};
use athanor_kernels::bench::{cpu_name, medians};
use serde_json::json;

/// Options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Lengths, in hashes, of chains of circomlib's Poseidon.
    #[arg(long, value_delimiter = ',', default_values_t = [1000])]
    poseidon: Vec<usize>,
    /// Message lengths, in bytes, of circomlib's SHA-256.
    #[arg(long, value_delimiter = ',', default_values_t = [448])]
    sha256: Vec<usize>,
    /// A module (.wasm) to use instead.
    #[arg(long, requires = "input")]
    wasm: Option<PathBuf>,
    /// Input for the module.
    #[arg(long, requires = "wasm")]
    input: Option<PathBuf>,
    /// Number of rounds; each figure is their median.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print one JSON object per row.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    if !args.json {
        let mut out = std::io::stdout().lock();
        let rounds = args.rounds;
        writeln!(out, "{}, CPU time, medians of {rounds} interleaved rounds, ms", cpu_name())?;
        writeln!(
            out,
            "{:<24} {:>9} {:>9} {:>9} {:>9} {:>14} {:>12}",
            "circuit", "wires", "native", "plain", "node", "native/plain", "native/node"
        )?;
    }
    if let (Some(wasm), Some(input)) = (&args.wasm, &args.input) {
        let name = wasm.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let input = fs::read_to_string(input).with_context(|| input.display().to_string())?;
        return race(&args, &name, wasm, &input);
    }
    for &hashes in &args.poseidon {
        for prime in ["bn128", "bls12381"] {
            let name = format!("poseidon-{hashes} {prime}");
            if let Some(files) = athanor_testkit::poseidon_chain(&name, hashes, prime) {
                race(&args, &name, &files.wasm, r#"{"in": "12345678901234567890123456789"}"#)?;
            }
        }
    }
    for &bytes in &args.sha256 {
        let name = format!("sha256-{bytes} bn128");
        if let Some(files) = athanor_testkit::sha256(&name, bytes) {
            let bits = (0..8 * bytes).map(|bit| if bit % 3 == 0 { "\"1\"" } else { "\"0\"" });
            let input = format!(r#"{{"in": [{}]}}"#, bits.collect::<Vec<_>>().join(","));
            race(&args, &name, &files.wasm, &input)?;
        }
    }
    Ok(())
}

fn race(args: &Args, name: &str, wasm: &Path, input: &str) -> anyhow::Result<()> {
    let limits = Limits::default();
    let module = fs::read(wasm).with_context(|| wasm.display().to_string())?;
    let ours = WitnessCalculator::new(&module, None, &limits)?;
    let plain = WitnessCalculator::as_written(&module, None, &limits)?;
    let native = matches!(ours.field_code(), FieldCode::Native { .. });
    ensure!(native, "{name}: {:?}", ours.field_code());
    let inputs = Inputs::parse(input.as_bytes(), ours.curve(), &limits)?;
    ensure!(
        *ours.calculate(&inputs, None)? == *plain.calculate(&inputs, None)?,
        "{name}: the two witnesses differ"
    );
    let mut by_ours = || drop(ours.calculate(&inputs, None).expect("it did before"));
    let mut by_plain = || drop(plain.calculate(&inputs, None).expect("it did before"));
    let times = medians(args.rounds, &mut [&mut by_ours, &mut by_plain]);
    let [ours_ms, plain_ms] = [0, 1].map(|side| times[side].as_secs_f64() * 1e3);
    let node_ms = Node::of(wasm, input)?.map(|node| node.median(args.rounds)).transpose()?;
    let node_ms = node_ms.map(|time| time.as_secs_f64() * 1e3);
    let mut out = std::io::stdout().lock();
    if args.json {
        let row = json!({
            "circuit": name,
            "wires": ours.witness_values(),
            "native_cpu_ms": ours_ms,
            "plain_cpu_ms": plain_ms,
            "node_cpu_ms": node_ms,
        });
        writeln!(out, "{row}")?;
    } else {
        let or_none = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        writeln!(
            out,
            "{name:<24} {:>9} {ours_ms:>9.1} {plain_ms:>9.1} {:>9} {:>14.3} {:>12}",
            ours.witness_values(),
            or_none(node_ms, 1),
            ours_ms / plain_ms,
            or_none(node_ms.map(|node| ours_ms / node), 3),
        )?;
    }
    Ok(out.flush()?)
}

/// circom's calculator, which it writes beside the compiled module.
struct Node {
    place: tempfile::TempDir,
    script: PathBuf,
    wasm: PathBuf,
}

impl Node {
    fn of(wasm: &Path, input: &str) -> anyhow::Result<Option<Self>> {
        let script = wasm.with_file_name("generate_witness.js");
        if !script.exists() {
            return Ok(None);
        }
        let place = tempfile::tempdir()?;
        fs::write(place.path().join("input.json"), input)?;
        Ok(Some(Self { place, script, wasm: wasm.to_owned() }))
    }

    /// CPU time of the whole process minus that of an empty Node process.
    fn median(&self, rounds: usize) -> anyhow::Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..rounds.max(1) {
            let mut nothing = Command::new("node");
            nothing.args(["-e", "0"]);
            let idle = self.cpu_of(nothing)?;
            let mut calculate = Command::new("node");
            calculate.arg(&self.script).arg(&self.wasm).args(["input.json", "out.wtns"]);
            times.push(self.cpu_of(calculate)?.saturating_sub(idle));
        }
        times.sort();
        Ok(times[times.len() / 2])
    }

    fn cpu_of(&self, mut command: Command) -> anyhow::Result<Duration> {
        let before = children_cpu();
        let status = command.current_dir(self.place.path()).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "node: {status}");
        Ok(children_cpu() - before)
    }
}

/// CPU time of ended child processes.
fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields from 3 on follow the name, which may contain spaces. Fields 16 and 17 are the
    // children's times, in ticks of 10 ms on every Linux.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_ascii_whitespace().skip(13).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}
