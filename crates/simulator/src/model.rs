//! The model of a scenario: names as numbers, claims as profiles. The simulation runs on it.

use crate::curve::Curve;
use crate::scenario::{Circuit, Scenario, ScenarioError, Stage, check, curve};
use athanor_scheduler::{
    CircuitId, Claim, Config, DeviceClass, JobSpec, KeyId, KeySpec, Memory, PartitionSpec, Profile,
    Span, StageId, Step, TenantId, Time, WorkerKind, WorkerNeed,
};
use athanor_telemetry::Labels;
use std::sync::Arc;

/// One stage of a circuit.
#[derive(Debug, Clone)]
pub(crate) struct ModelStage {
    pub(crate) stage: StageId,
    pub(crate) worker: WorkerNeed,
    pub(crate) claim: Claim,
    pub(crate) curve: Curve,
    /// Seconds of a run alone.
    pub(crate) alone: f64,
    pub(crate) spread: f64,
    pub(crate) failing: f64,
    /// Its crowd and its kind in the crowd; `None` if its duration is constant.
    pub(crate) crowd: Option<(usize, usize)>,
}

/// One circuit.
#[derive(Debug, Clone)]
pub(crate) struct ModelCircuit {
    pub(crate) name: String,
    pub(crate) holds: Memory,
    pub(crate) partitions: u32,
    pub(crate) stages: Vec<ModelStage>,
    pub(crate) finish: Vec<ModelStage>,
    specs: Vec<PartitionSpec>,
}

impl ModelCircuit {
    /// The stages of a partition.
    pub(crate) fn stages_of(&self, partition: u32) -> &[ModelStage] {
        if partition < self.partitions { &self.stages } else { &self.finish }
    }

    /// Every stage, with how often a job runs it.
    pub(crate) fn all_stages(&self) -> impl Iterator<Item = (&ModelStage, f64)> {
        let each = self.stages.iter().map(|s| (s, f64::from(self.partitions)));
        each.chain(self.finish.iter().map(|s| (s, 1.0)))
    }
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModelKey {
    pub(crate) spec: KeySpec,
    pub(crate) load: Span,
    pub(crate) stay: bool,
}

/// The kinds of one crowd, each with its curve.
pub(crate) type CrowdKinds = Vec<Vec<f64>>;

/// The scenario by numbers.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) labels: Labels,
    pub(crate) config: Config,
    pub(crate) workers: Vec<WorkerKind>,
    pub(crate) keys: Vec<ModelKey>,
    pub(crate) circuits: Vec<ModelCircuit>,
    /// By crowd: its stage and its kinds.
    pub(crate) crowds: Vec<(StageId, CrowdKinds)>,
    /// By `scenario.jobs`: the index of the circuit.
    pub(crate) circuit_of: Vec<usize>,
    pub(crate) jobs: u64,
}

impl Model {
    pub(crate) fn new(s: &Scenario) -> Result<Model, ScenarioError> {
        check(s)?;
        let mut labels = Labels {
            circuits: s.circuit.iter().map(|c| c.name.clone()).collect(),
            classes: s.device.iter().map(|d| d.class.clone()).collect(),
            keys: s.key.iter().map(|k| k.name.clone()).collect(),
            stages: Vec::new(),
        };
        let workers = workers(s);
        let circuits: Vec<ModelCircuit> =
            s.circuit.iter().map(|c| circuit(s, c, &mut labels)).collect::<Result<_, _>>()?;
        let circuit_of: Vec<usize> = s
            .jobs
            .iter()
            .map(|j| position(s.circuit.iter().map(|c| &c.name), &j.circuit))
            .collect();
        let jobs = s.jobs.iter().map(|j| u64::from(j.count)).sum();
        let tasks: u64 = s
            .jobs
            .iter()
            .zip(&circuit_of)
            .map(|(j, &c)| {
                let parts: usize = circuits[c].specs.iter().map(|p| p.profile.steps().len()).sum();
                u64::from(j.count) * parts as u64
            })
            .sum();
        let mut model = Model {
            labels,
            config: config(s, jobs, tasks),
            keys: s.key.iter().map(key).collect(),
            workers,
            circuits,
            crowds: Vec::new(),
            circuit_of,
            jobs,
        };
        model.crowds();
        Ok(model)
    }

    /// A job of `scenario.jobs[of]`, arriving at `now`.
    pub(crate) fn job(&self, s: &Scenario, of: usize, now: Time) -> JobSpec {
        let at = self.circuit_of[of];
        let circuit = &self.circuits[at];
        let jobs = &s.jobs[of];
        JobSpec {
            circuit: CircuitId(at as u32),
            tenant: TenantId(jobs.tenant),
            class: jobs.class,
            deadline: jobs.deadline.map(|d| now + Span::from_secs_f64(d)),
            holds: circuit.holds,
            partitions: circuit.specs.clone(),
            growth: None,
        }
    }

    /// Makes one crowd for each stage name with a duration that depends on the number of runs; all
    /// stages of that name belong to it.
    fn crowds(&mut self) {
        let most = self.workers.len();
        let mut all: Vec<&mut ModelStage> = self
            .circuits
            .iter_mut()
            .flat_map(|c| c.stages.iter_mut().chain(c.finish.iter_mut()))
            .collect();
        for stage in (0..self.labels.stages.len()).map(|at| StageId(at as u16)) {
            if all.iter().all(|s| s.stage != stage || s.curve.is_constant()) {
                continue;
            }
            let mut kinds = CrowdKinds::new();
            for member in all.iter_mut().filter(|s| s.stage == stage) {
                member.crowd = Some((self.crowds.len(), kinds.len()));
                kinds.push(member.curve.table(most));
            }
            self.crowds.push((stage, kinds));
        }
    }
}

fn config(s: &Scenario, jobs: u64, tasks: u64) -> Config {
    let pinned = s.machine.pinned.0;
    let all = usize::try_from(jobs).unwrap_or(usize::MAX);
    Config {
        budget: Memory { host: s.budget().saturating_sub(pinned), pinned },
        reserve: Memory::host(s.scheduler.reserve.0),
        max_jobs: s.scheduler.max_jobs.unwrap_or(all),
        max_tasks: usize::try_from(tasks).unwrap_or(usize::MAX),
        in_flight: s.scheduler.in_flight.unwrap_or(u32::MAX),
        ageing: s.scheduler.ageing.map(Span::from_secs_f64),
        ..Config::default()
    }
}

fn workers(s: &Scenario) -> Vec<WorkerKind> {
    let devices = s.device.iter().enumerate().flat_map(|(class, d)| {
        let class = DeviceClass(class as u16);
        (0..d.count).map(move |_| WorkerKind::Device { class, memory: d.memory.0 })
    });
    let cpus = s.cpu.iter().flat_map(|c| {
        let kind = WorkerKind::Cpu { threads: c.threads };
        (0..c.workers).map(move |_| kind)
    });
    devices.chain(cpus).collect()
}

fn key(k: &crate::scenario::Key) -> ModelKey {
    let shared = Memory { host: k.memory.0, pinned: k.pinned.0 };
    ModelKey {
        spec: KeySpec { shared, device: k.device.0 },
        load: Span::from_secs_f64(k.load_seconds),
        stay: k.stay,
    }
}

fn circuit(s: &Scenario, c: &Circuit, labels: &mut Labels) -> Result<ModelCircuit, ScenarioError> {
    let profile = |stages: &[ModelStage], written: &[Stage]| {
        let steps = stages.iter().zip(written).map(|(stage, w)| Step {
            stage: stage.stage,
            worker: stage.worker,
            claim: stage.claim,
            key: w.key.as_ref().map(|k| KeyId(position(s.key.iter().map(|k| &k.name), k) as u64)),
            estimate: Span::from_secs_f64(stage.alone),
            emits: 0,
        });
        Profile::new(steps.collect())
            .map(Arc::new)
            .map_err(|why| ScenarioError::Profile { circuit: c.name.clone(), why })
    };
    let read = |written: &[Stage], labels: &mut Labels| -> Result<Vec<ModelStage>, ScenarioError> {
        written.iter().map(|w| stage(s, c, w, labels)).collect()
    };
    let stages = read(&c.stage, labels)?;
    let finish = read(&c.finish, labels)?;
    let each = PartitionSpec { profile: profile(&stages, &c.stage)?, after: Vec::new() };
    let mut specs = vec![each; c.partitions as usize];
    if !finish.is_empty() {
        let after = (0..c.partitions).collect();
        specs.push(PartitionSpec { profile: profile(&finish, &c.finish)?, after });
    }
    Ok(ModelCircuit {
        name: c.name.clone(),
        holds: Memory::host(c.holds.0),
        partitions: c.partitions,
        stages,
        finish,
        specs,
    })
}

fn stage(
    s: &Scenario,
    c: &Circuit,
    w: &Stage,
    labels: &mut Labels,
) -> Result<ModelStage, ScenarioError> {
    let key = || format!("circuit.{}.{}.seconds", c.name, w.name);
    let curve = curve(w).map_err(|why| ScenarioError::Curve { key: key(), why })?;
    let worker = match (&w.threads, &w.device) {
        (Some(t), _) => WorkerNeed::Cpu { least: t.least(), most: t.most() },
        (None, class) => {
            let name = class.as_deref().unwrap_or_default();
            let at = position(s.device.iter().map(|d| d.class.as_str()), name);
            WorkerNeed::Device { class: DeviceClass(at as u16) }
        }
    };
    let at = labels.stages.iter().position(|n| *n == w.name).unwrap_or_else(|| {
        labels.stages.push(w.name.clone());
        labels.stages.len() - 1
    });
    Ok(ModelStage {
        stage: StageId(at as u16),
        worker,
        claim: Claim {
            peak: Memory { host: w.peak.0, pinned: w.peak_pinned.0 },
            keeps: Memory { host: w.keeps.0, pinned: w.keeps_pinned.0 },
            device: w.device_memory.0,
        },
        alone: curve.alone(),
        curve,
        spread: w.spread,
        failing: w.failing,
        crowd: None,
    })
}

/// The index of a name that is known to be there.
fn position(mut names: impl Iterator<Item = impl AsRef<str>>, name: &str) -> usize {
    names.position(|n| n.as_ref() == name).unwrap_or(0)
}
