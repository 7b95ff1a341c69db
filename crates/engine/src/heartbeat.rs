//! The heartbeat: a separate thread that measures memory and requests an answer from the engine's thread.
//!
//! The heartbeat does not share a pool with the steps. In a shared pool, heavy load would delay the
//! heartbeat, and the delay would look like a fault.

use crate::core::Core;
use crate::engine::Standing;
use crate::memory;
use crate::message::Message;
use crate::pulse::Pulse;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) struct Heartbeat {
    beats: Arc<AtomicU64>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Starts the thread. At every interval `pace` it sends the engine the resident bytes beyond `base`
    /// and requests an answer, unless an earlier request is unanswered.
    pub(crate) fn start(
        pace: Duration,
        base: u64,
        core: Sender<Message>,
        pulse: Arc<Pulse>,
    ) -> std::io::Result<Heartbeat> {
        let beats = Arc::new(AtomicU64::new(0));
        let (end, ended) = channel();
        let counted = beats.clone();
        let thread = std::thread::Builder::new().name("heartbeat".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(pace) {
                counted.fetch_add(1, Ordering::Relaxed);
                if !pulse.ask() {
                    continue;
                }
                if let Some(resident) = memory::resident() {
                    let _ = core.send(Message::Resident(resident.saturating_sub(base)));
                }
                let pulse = pulse.clone();
                let answer = move |core: &mut Core| pulse.answer(Standing::of(core));
                let _ = core.send(Message::Do(Box::new(answer)));
            }
        })?;
        Ok(Heartbeat { beats, end: Some(end), thread: Some(thread) })
    }

    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
