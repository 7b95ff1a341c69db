//! The parent's side: one child process at a time for each worker.

use super::frame::{self, Answer, Order, Parts};
use crate::backend::{Call, Done, Isolation, TaskError};
use crate::memory::resident_of;
use crate::message::Made;
use athanor_scheduler::Failure;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// The child process of a worker, if it has one.
pub(crate) struct Children {
    program: Option<(PathBuf, Vec<OsString>)>,
    /// The process. Another thread can kill it while the worker's thread waits for its answer.
    process: Mutex<Option<Child>>,
    pid: AtomicU32,
    /// The pipes of the child. The worker's thread uses them.
    ends: Mutex<Option<Ends>>,
}

struct Ends {
    to: ChildStdin,
    from: ChildStdout,
    steps: u32,
}

impl Children {
    pub(crate) fn new(program: Option<(PathBuf, Vec<OsString>)>) -> Children {
        Children {
            program,
            process: Mutex::new(None),
            pid: AtomicU32::new(0),
            ends: Mutex::new(None),
        }
    }

    /// Runs a step in the child process. Starts a child if there is none.
    pub(crate) fn run(
        &self,
        isolation: &Isolation,
        call: &Call,
        check: bool,
    ) -> Result<Made, TaskError> {
        let mut ends = lock(&self.ends);
        let mut own = match ends.take() {
            Some(own) => own,
            None => self.start()?,
        };
        match exchange(&mut own, isolation, call, check) {
            Ok((answer, parts)) => {
                own.steps += 1;
                let large = isolation.recycle_above > 0
                    && resident_of(self.pid.load(Ordering::Relaxed))
                        .is_some_and(|bytes| bytes > isolation.recycle_above);
                if large || (isolation.recycle_after > 0 && own.steps >= isolation.recycle_after) {
                    drop(own);
                    self.end();
                } else {
                    *ends = Some(own);
                }
                made(answer, parts, check)
            }
            Err(error) => {
                drop(own);
                self.kill();
                Err(match call.stop.is_set() {
                    true => TaskError::stopped(),
                    false => {
                        let message = format_args!("the worker process died: {error}");
                        TaskError::new(Failure::Device, "worker-died", message)
                    }
                })
            }
        }
    }

    fn start(&self) -> Result<Ends, TaskError> {
        let failed = |error: &dyn ToString| {
            let message = format!("no worker process could be started: {}", error.to_string());
            TaskError::new(Failure::Transient, "worker-missing", message)
        };
        let (program, arguments) = self.program.as_ref().ok_or_else(|| {
            TaskError::internal("this engine was given no program for worker processes")
        })?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        self.pid.store(child.id(), Ordering::Relaxed);
        if let Some(mut old) = lock(&self.process).replace(child) {
            let _ = old.kill();
            let _ = old.wait();
        }
        let (Some(to), Some(from)) = (to, from) else { return Err(failed(&"it has no pipes")) };
        Ok(Ends { to, from, steps: 0 })
    }

    /// Kills the child at once.
    pub(crate) fn kill(&self) {
        self.pid.store(0, Ordering::Relaxed);
        if let Some(mut child) = lock(&self.process).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits up to 200 ms for an idle child whose input is closed, then kills it.
    pub(crate) fn end(&self) {
        self.pid.store(0, Ordering::Relaxed);
        let Some(mut child) = lock(&self.process).take() else { return };
        for _ in 0..200 {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Resident memory of the child, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        match self.pid.load(Ordering::Relaxed) {
            0 => 0,
            pid => resident_of(pid).unwrap_or(0),
        }
    }
}

fn exchange(
    ends: &mut Ends,
    isolation: &Isolation,
    call: &Call,
    check: bool,
) -> io::Result<(Answer, Parts)> {
    let from = call.from.as_ref().and_then(|from| from.downcast_ref::<Zeroizing<Vec<u8>>>());
    let order = Order {
        backend: isolation.backend.clone(),
        directory: isolation.directory.clone(),
        job: call.job.0,
        partition: call.partition,
        shape: call.shape,
        step: call.step,
        again: call.again,
        check,
        kind: call.raw.kind.to_string(),
        lane: call.lane.id().0,
        device: call.lane.device().map(str::to_owned),
        threads: call.lane.threads() as u32,
        from: from.is_some(),
    };
    let mut parts = vec![call.raw.bytes()];
    parts.extend(from.map(|from| from.as_slice()));
    parts.extend(call.left.iter().map(|left| &**left));
    frame::send(&mut ends.to, &order, &parts)?;
    frame::receive(&mut ends.from)
}

fn made(answer: Answer, mut parts: Parts, check: bool) -> Result<Made, TaskError> {
    match answer {
        Answer::Made { .. } if check => {
            let bytes = parts.pop().ok_or_else(|| TaskError::internal("a check left no bytes"))?;
            Ok(Made::Bytes(bytes.as_slice().into()))
        }
        Answer::Made { peak, .. } => {
            let left = parts.pop().ok_or_else(|| TaskError::internal("a step left nothing"))?;
            Ok(Made::Left(Done { peak, ..Done::new(left) }))
        }
        Answer::Failed { failure, code, message } => {
            // Error codes are static names. Every code except "panic" becomes "worker".
            let code = if code == "panic" { "panic" } else { "worker" };
            Err(TaskError::new(failure, code, message))
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        lock(&self.ends).take();
        self.kill();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
