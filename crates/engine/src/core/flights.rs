//! Equal requests: joined to a running job, or answered from the proof cache.
//!
//! Requests are equal if tenant, circuit, verifying key and input are equal: the digest covers all of
//! them. The cache is off at a limit of zero bytes, the default, because a proof that is returned twice
//! links two requests.

use crate::circuits::Loaded;
use crate::job::{Finished, Submission};
use athanor_scheduler::{Class, SubmitId};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

/// BLAKE3 over tenant, circuit, verifying key and input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FlightKey([u8; 32]);

/// A running job or a cached result that a request shares.
pub(super) enum Joined {
    Flight(SubmitId),
    Cached(Arc<Finished>),
}

struct Flight {
    leader: SubmitId,
    class: Class,
    deadline: Option<SystemTime>,
}

pub(super) struct Flights {
    under_way: HashMap<FlightKey, Flight>,
    cached: HashMap<FlightKey, Arc<Finished>>,
    /// Cached keys, oldest first.
    order: VecDeque<FlightKey>,
    bytes: u64,
    limit: u64,
}

impl FlightKey {
    pub(super) fn of(submission: &Submission, circuit: &Loaded) -> FlightKey {
        let mut hasher = blake3::Hasher::new_derive_key("athanor same request 1");
        for text in [&submission.tenant, &circuit.name] {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        hasher.update(&circuit.about.verifying_key).update(&submission.input.digest());
        FlightKey(*hasher.finalize().as_bytes())
    }
}

impl Flights {
    /// `limit`: maximum size of all cached results, in bytes.
    pub(super) fn new(limit: u64) -> Flights {
        Flights {
            under_way: HashMap::new(),
            cached: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    /// The cached result or running job that the request shares. A request does not share a running job
    /// of lower priority, because it would wait behind that job, or of a different deadline, because it
    /// would end with that job.
    pub(super) fn find(&self, key: &FlightKey, submission: &Submission) -> Option<Joined> {
        if let Some(finished) = self.cached.get(key) {
            let finished = Finished { cached: true, marks: Vec::new(), ..(**finished).clone() };
            return Some(Joined::Cached(Arc::new(finished)));
        }
        let flight = self.under_way.get(key)?;
        let suits = flight.class <= submission.class && flight.deadline == submission.deadline;
        suits.then_some(Joined::Flight(flight.leader))
    }

    /// Registers a running job that later requests can share. An earlier registration of the same key
    /// stays.
    pub(super) fn begin(&mut self, key: FlightKey, leader: SubmitId, submission: &Submission) {
        let (class, deadline) = (submission.class, submission.deadline);
        self.under_way.entry(key).or_insert(Flight { leader, class, deadline });
    }

    /// Removes an ended job. `finished`: its verified result, which goes into the cache if it fits.
    pub(super) fn end(
        &mut self,
        key: &FlightKey,
        leader: SubmitId,
        finished: Option<Arc<Finished>>,
    ) {
        if self.under_way.get(key).is_some_and(|flight| flight.leader == leader) {
            self.under_way.remove(key);
        }
        let Some(finished) = finished else { return };
        let bytes = finished.bytes.len() as u64;
        if bytes > self.limit {
            return;
        }
        if self.cached.insert(key.clone(), finished).is_none() {
            self.order.push_back(key.clone());
            self.bytes += bytes;
        }
        while self.bytes > self.limit {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.cached.remove(&oldest) {
                self.bytes -= gone.bytes.len() as u64;
            }
        }
    }
}
