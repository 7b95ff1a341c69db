//! Resident keys and the threads that load them.

use super::Core;
use crate::backend::{Circuit, Payload, TaskError};
use crate::lane::{LOADER, Lane, read_key};
use crate::message::Message;
use crate::stop::Stop;
use athanor_scheduler::{Event, Failure, KeyId, KeySpec, Memory, RunId};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub(super) struct Keys {
    keys: BTreeMap<KeyId, Key>,
    loading: BTreeMap<RunId, KeyId>,
    orders: Sender<Order>,
    threads: Vec<JoinHandle<()>>,
    stop: Stop,
}

struct Key {
    circuit: Arc<dyn Circuit>,
    index: usize,
    spec: KeySpec,
    payload: Option<Payload>,
    /// Whether to remove the entry when the key is evicted.
    withdrawn: bool,
}

struct Order {
    run: RunId,
    circuit: Arc<dyn Circuit>,
    index: usize,
}

impl Keys {
    /// Starts `loaders` threads that load keys, at least one, each with a pool of `threads` threads.
    pub(super) fn start(
        loaders: u32,
        threads: u32,
        core: Sender<Message>,
    ) -> std::io::Result<Keys> {
        let (orders, inbox) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let stop = Stop::new();
        let thread = |index| {
            let (inbox, core, stop) = (inbox.clone(), core.clone(), stop.clone());
            std::thread::Builder::new()
                .name(format!("key-loader-{index}"))
                .spawn(move || read(&inbox, &Lane::new(LOADER, None, threads), &core, &stop))
        };
        let threads = (0..loaders.max(1)).map(thread).collect::<std::io::Result<_>>()?;
        Ok(Keys { keys: BTreeMap::new(), loading: BTreeMap::new(), orders, threads, stop })
    }

    pub(super) fn declare(
        &mut self,
        key: KeyId,
        spec: KeySpec,
        circuit: Arc<dyn Circuit>,
        index: usize,
    ) {
        self.keys.insert(key, Key { circuit, index, spec, payload: None, withdrawn: false });
    }

    fn spec(&self, key: KeyId) -> KeySpec {
        let nothing = KeySpec { shared: Memory::ZERO, device: 0 };
        self.keys.get(&key).map_or(nothing, |key| key.spec)
    }

    /// Removes the key, or marks it for removal at its eviction if it is resident.
    pub(super) fn withdraw(&mut self, key: KeyId) {
        if self.is_resident(key) {
            self.keys.entry(key).and_modify(|key| key.withdrawn = true);
        } else {
            self.keys.remove(&key);
        }
    }

    pub(super) fn get(&self, key: KeyId) -> Option<Payload> {
        self.keys.get(&key)?.payload.clone()
    }

    pub(super) fn is_resident(&self, key: KeyId) -> bool {
        self.keys.get(&key).is_some_and(|key| key.payload.is_some())
    }

    pub(super) fn end(self) {
        self.stop.set();
        drop(self.orders);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn read(inbox: &Mutex<Receiver<Order>>, lane: &Lane, core: &Sender<Message>, stop: &Stop) {
    loop {
        let order = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Order { run, circuit, index }) = order else { return };
        let read = match stop.is_set() {
            true => Err(TaskError::stopped()),
            false => read_key(&*circuit, index, lane, stop),
        };
        if core.send(Message::KeyRead { run, read }).is_err() {
            return;
        }
    }
}

impl Core {
    /// Orders a loader thread to read a key into memory.
    pub(super) fn load(&mut self, run: RunId, key: KeyId) {
        let Some(found) = self.keys.keys.get(&key) else {
            return self.next.push_back(Event::LoadFailed { run });
        };
        self.keys.loading.insert(run, key);
        let order = Order { run, circuit: found.circuit.clone(), index: found.index };
        let _ = self.keys.orders.send(order);
    }

    /// Handles the report of a loader thread.
    pub(super) fn key_read(&mut self, run: RunId, read: Result<Payload, TaskError>) {
        let Some(id) = self.keys.loading.remove(&run) else { return };
        let event = match (read, self.keys.keys.get_mut(&id)) {
            (Ok(payload), Some(key)) => {
                key.payload = Some(payload);
                self.registry.set_resident(id, true);
                Event::Loaded { run }
            }
            (Ok(_), None) => Event::LoadFailed { run },
            (Err(error), _) => {
                self.counters.fail(&error);
                self.key_failed(id, &error);
                if error.failure == Failure::Permanent {
                    // Withdrawing the key fails the jobs that wait for it. Declaring it again lets later
                    // jobs retry the read.
                    self.next.push_back(Event::KeyWithdrawn { key: id });
                    self.next.push_back(Event::LoadFailed { run });
                    Event::KeyDeclared { key: id, spec: self.keys.spec(id) }
                } else {
                    Event::LoadFailed { run }
                }
            }
        };
        self.tell(event);
    }

    /// Drops the engine's reference to a key's data.
    pub(super) fn evict(&mut self, key: KeyId) {
        if let Some(found) = self.keys.keys.get_mut(&key) {
            found.payload = None;
            self.registry.set_resident(key, false);
            if found.withdrawn {
                self.keys.keys.remove(&key);
            }
        }
    }
}
