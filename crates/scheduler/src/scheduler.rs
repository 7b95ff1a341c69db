//! The state machine's face.

use crate::action::Action;
use crate::config::Config;
use crate::event::Event;
use crate::ids::Time;
use crate::memory::Memory;
use crate::trace::Trace;

/// What one call of [`Scheduler::handle`] leads to. The driver owns it and empties it between
/// calls; the scheduler only appends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// To be carried out in this order.
    pub actions: Vec<Action>,
    /// What was decided, in order.
    pub trace: Vec<Trace>,
}

impl Output {
    /// Empties both lists and keeps their space.
    pub fn clear(&mut self) {
        self.actions.clear();
        self.trace.clear();
    }
}

/// The scheduler. See the crate docs.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    seed: u64,
}

impl Scheduler {
    /// A scheduler without lanes, keys or jobs. The seed feeds the jitter of retries and nothing
    /// else.
    pub fn new(config: Config, seed: u64) -> Scheduler {
        Scheduler { config, seed }
    }

    /// Takes in one event at time `now` (never earlier than the call before; an earlier time counts
    /// as the same) and appends what follows from it. Whatever came due before `now` is done first.
    pub fn handle(&mut self, now: Time, event: Event, out: &mut Output) {
        let _ = (now, event, out, self.seed);
    }

    /// When something comes due by itself; [`Event::Tick`] then.
    pub fn next_wake(&self) -> Option<Time> {
        None
    }

    /// What the ledger holds now: jobs, partitions and keys together.
    pub fn reserved(&self) -> Memory {
        Memory::ZERO
    }

    /// The configuration it runs under.
    pub fn config(&self) -> &Config {
        &self.config
    }
}
