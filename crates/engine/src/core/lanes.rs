//! Workers and their runs: starts and stops runs, and replaces a worker whose run hangs.

use super::Core;
use super::timers::Due;
use crate::config::DeviceConfig;
use crate::lane::{Lane, LaneThread, Work, join_within};
use crate::stop::Stop;
use crate::worker::Children;
use athanor_scheduler::{Event, RunId, TaskId, WorkerId, WorkerKind};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(super) struct Lanes {
    threads: BTreeMap<WorkerId, (LaneThread, WorkerKind)>,
    running: BTreeMap<RunId, Running>,
    next: u32,
    worker: Option<(PathBuf, Vec<OsString>)>,
    /// Threads of removed workers. `end` waits for them.
    gone: Vec<JoinHandle<()>>,
}

/// A run that has started and not ended.
///
/// ```text
///  Action::Start ──► running ───── report ─────► Finished or Failed
///                       │
///                       │ limit of the step passed, or Action::Stop:
///                       │ set the stop flag, kill the child process
///                       ▼
///                    stopping ──── report ─────► Stopped, Finished or Failed
///                       │
///                       │ grace period passed: replace the worker
///                       ▼
///                     lost ─────── report ─────► ignored, counted in `late_reports`
/// ```
pub(super) struct Running {
    pub(super) task: TaskId,
    pub(super) lane: WorkerId,
    pub(super) stop: Stop,
    pub(super) began: Instant,
    /// The run's pending timer, if any: `Due::Limit` while running, `Due::Grace` while stopping.
    timer: Option<(Instant, Due)>,
}

impl Lanes {
    pub(super) fn new(worker: Option<(PathBuf, Vec<OsString>)>) -> Lanes {
        Lanes {
            threads: BTreeMap::new(),
            running: BTreeMap::new(),
            next: 0,
            worker,
            gone: Vec::new(),
        }
    }

    pub(super) fn lane(&self, id: WorkerId) -> Option<Lane> {
        self.threads.get(&id).map(|(thread, _)| thread.lane.clone())
    }

    pub(super) fn give(&self, lane: WorkerId, work: Work) {
        if let Some((thread, _)) = self.threads.get(&lane) {
            thread.give(work);
        }
    }

    /// Resident bytes of all child processes.
    pub(super) fn children_resident(&self) -> u64 {
        self.threads.values().map(|(thread, _)| thread.children.resident()).sum()
    }

    /// Sets the stop flag of every run, kills the child processes, and waits for the threads for at most
    /// `patience`.
    pub(super) fn end(self, patience: Duration) {
        self.running.values().for_each(|running| running.stop.set());
        let mut threads = self.gone;
        for (thread, _) in self.threads.into_values() {
            thread.children.kill();
            threads.push(thread.close());
        }
        join_within(threads, patience);
    }
}

impl Core {
    pub(crate) fn add_lane(&mut self, threads: u32) -> std::io::Result<WorkerId> {
        self.join(WorkerKind::Cpu { threads }, None, threads)
    }

    pub(crate) fn add_device(&mut self, device: &DeviceConfig) -> std::io::Result<WorkerId> {
        let kind = WorkerKind::Device { class: device.class, memory: device.memory };
        self.join(kind, Some(device.name.clone()), device.threads)
    }

    fn join(
        &mut self,
        kind: WorkerKind,
        device: Option<String>,
        threads: u32,
    ) -> std::io::Result<WorkerId> {
        let id = WorkerId(self.lanes.next);
        self.lanes.next += 1;
        let children = Arc::new(Children::new(self.lanes.worker.clone()));
        let lane = Lane::new(id, device, threads);
        let thread = LaneThread::start(lane, children, self.own.clone())?;
        self.lanes.threads.insert(id, (thread, kind));
        self.tell(Event::WorkerJoined { worker: id, kind });
        Ok(id)
    }

    /// Registers a run and returns its stop flag. The flag is set after `limit`.
    pub(super) fn begin(
        &mut self,
        run: RunId,
        task: TaskId,
        lane: WorkerId,
        limit: Option<Duration>,
    ) -> Stop {
        let (stop, began) = (Stop::new(), Instant::now());
        let timer =
            limit.and_then(|limit| began.checked_add(limit)).map(|at| (at, Due::Limit(run)));
        if let Some((at, due)) = timer {
            self.timers.set(at, due);
        }
        let running = Running { task, lane, stop: stop.clone(), began, timer };
        self.lanes.running.insert(run, running);
        stop
    }

    /// Removes a run that has ended. `None` if the run was given up before.
    pub(super) fn finish(&mut self, run: RunId) -> Option<Running> {
        let running = self.lanes.running.remove(&run)?;
        if let Some((at, due)) = running.timer {
            self.timers.unset(at, due);
        }
        Some(running)
    }

    /// Sets the stop flag of a run. If the run does not end within the grace period, it counts as hung.
    pub(super) fn stop_run(&mut self, run: RunId) {
        let Some(running) = self.lanes.running.get_mut(&run) else { return };
        running.stop.set();
        let at = Instant::now() + self.grace;
        let old = running.timer.replace((at, Due::Grace(run)));
        if let Some((at, due)) = old {
            self.timers.unset(at, due);
        }
        self.timers.set(at, Due::Grace(run));
        if let Some((thread, _)) = self.lanes.threads.get(&running.lane) {
            // A child is killed at once: it shares no state with this process that could become inconsistent.
            thread.children.kill();
        }
    }

    /// Stops a run that exceeded the time limit of its step.
    pub(super) fn over_limit(&mut self, run: RunId) {
        self.counters.over_limit += 1;
        if let Some(running) = self.lanes.running.get_mut(&run) {
            running.timer = None;
        }
        self.stop_run(run);
    }

    /// Replaces the worker of a run that did not stop within the grace period. The old thread cannot be
    /// ended from outside, and its later reports are ignored.
    pub(super) fn hung(&mut self, run: RunId) {
        let Some(mut running) = self.lanes.running.remove(&run) else { return };
        running.timer = None;
        let Some((thread, kind)) = self.lanes.threads.remove(&running.lane) else { return };
        self.counters.lanes_lost += 1;
        let (device, threads) = (thread.lane.device().map(str::to_owned), thread.lane.threads());
        self.lanes.gone.push(thread.close());
        self.tell(Event::WorkerLost { worker: running.lane });
        // If no thread can be created, the engine continues with one worker fewer, and the scheduler
        // refuses jobs that need it.
        let _ = self.join(kind, device, threads as u32);
    }

    /// Removes a drained worker.
    pub(super) fn close_lane(&mut self, lane: WorkerId) {
        if let Some((thread, _)) = self.lanes.threads.remove(&lane) {
            self.lanes.gone.push(thread.close());
        }
    }
}
