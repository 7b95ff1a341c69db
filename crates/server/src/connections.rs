//! The connections of a listener: their places, how they are closed, and their figures.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, oneshot};
use tracing::{info, warn};

use crate::config::Limits;
use crate::places::{Bounds, Client, Id, Kind, Places, Refusal};

/// Connections that were told to close and may still take an answer; others are dropped at once.
const LINGERING: usize = 64;

/// Time between two warnings that connections are closed or refused for want of places.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Most time between two looks for idle connections.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Why a connection was closed, or not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// For a newer one.
    Evicted,
    /// It was silent for too long.
    Idle,
    /// All others were busy.
    Refused,
    /// All others of its client were busy.
    ClientLimit,
}

impl Closed {
    const ALL: [Closed; 4] = [Closed::Evicted, Closed::Idle, Closed::Refused, Closed::ClientLimit];

    fn name(self) -> &'static str {
        match self {
            Closed::Evicted => "evicted",
            Closed::Idle => "idle",
            Closed::Refused => "refused",
            Closed::ClientLimit => "client-limit",
        }
    }
}

/// The connections of a listener.
pub(crate) struct Connections {
    state: Mutex<State>,
    lingering: Arc<Semaphore>,
}

struct State {
    places: Places<oneshot::Sender<()>>,
    header: Duration,
    idle: Duration,
    closed: [u64; Closed::ALL.len()],
}

impl State {
    fn count(&mut self, reason: Closed, connections: usize) {
        self.closed[reason as usize] += connections as u64;
    }
}

impl Connections {
    pub(crate) fn new(bounds: Bounds, limits: &Limits) -> Self {
        let header = Duration::from_secs(limits.header_seconds);
        let idle = Duration::from_secs(limits.idle_seconds);
        let state =
            State { places: Places::new(bounds), header, idle, closed: [0; Closed::ALL.len()] };
        Self { state: Mutex::new(state), lingering: Arc::new(Semaphore::new(LINGERING)) }
    }

    /// As many as the limits say and the limit on open files leaves room for. Logs both.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        let files = getrlimit(Resource::Nofile).current;
        let bounds = match files {
            Some(files) => fit(limits, files, open_files()),
            None => wanted(limits),
        };
        let Bounds { ordinary, reserved, .. } = bounds;
        let files = files.map_or_else(|| "unlimited".into(), |files| files.to_string());
        if bounds == wanted(limits) {
            info!(connections = ordinary, reserved, open_files = files, "connections are bounded");
        } else {
            warn!(
                connections = ordinary,
                reserved,
                open_files = files,
                configured = limits.connections,
                "the limit on open files leaves room for fewer connections than are configured: \
                 raise it (ulimit -Hn, LimitNOFILE=)"
            );
        }
        let mut state = self.state();
        state.places.set_bounds(bounds);
        state.header = Duration::from_secs(limits.header_seconds);
        state.idle = Duration::from_secs(limits.idle_seconds);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Longest time for a handshake or a request's headers.
    pub(crate) fn header_time(&self) -> Duration {
        self.state().header
    }

    /// A place for a new connection.
    pub(crate) fn enter(self: &Arc<Self>, client: Client) -> Option<Place> {
        let (close, closed) = oneshot::channel();
        let mut state = self.state();
        match state.places.enter(Instant::now(), client, close) {
            Ok((id, evicted)) => {
                if let Some(evicted) = evicted {
                    let _ = evicted.send(());
                    state.count(Closed::Evicted, 1);
                }
                Some(Place { connections: self.clone(), id, closed })
            }
            Err(refusal) => {
                let full = refusal == Refusal::Full;
                state.count(if full { Closed::Refused } else { Closed::ClientLimit }, 1);
                None
            }
        }
    }

    /// Closes the connection that has been silent longest: there are no file descriptors left.
    pub(crate) fn evict(&self) {
        let mut state = self.state();
        if let Some(evicted) = state.places.evict() {
            let _ = evicted.send(());
            state.count(Closed::Evicted, 1);
        }
    }

    /// A request of a connection begins, if it may.
    pub(crate) fn begin(self: &Arc<Self>, connection: Id, kind: Kind) -> Result<InFlight, Refusal> {
        let kind = self.state().places.begin(connection, kind)?;
        Ok(InFlight { connections: self.clone(), connection, kind, working: true })
    }

    pub(crate) fn touch(&self, connection: Id) {
        self.state().places.touch(Instant::now(), connection);
    }

    /// Whether a closed connection may still send what it has.
    pub(crate) fn linger(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.lingering.clone().try_acquire_owned().ok()
    }

    /// Closes idle connections, for as long as it is polled.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let mut warned: Option<Instant> = None;
        let mut told = 0;
        loop {
            let idle = self.state().idle;
            let pause = (idle / 4).clamp(Duration::from_millis(50), SWEEP_EVERY);
            tokio::time::sleep(pause).await;
            let mut state = self.state();
            let now = Instant::now();
            if let Some(limit) = now.checked_sub(idle) {
                let closed = state.places.idle(limit);
                state.count(Closed::Idle, closed.len());
                closed.into_iter().for_each(|closed| _ = closed.send(()));
            }
            let [evicted, _, refused, client] = state.closed;
            let all = evicted + refused + client;
            if all > told && warned.is_none_or(|last| last.elapsed() >= WARN_EVERY) {
                warned = Some(now);
                told = all;
                let open = state.places.open();
                drop(state);
                warn!(
                    open,
                    evicted,
                    refused,
                    client_limit = client,
                    "connections are closed or refused for want of places (counts since the start)"
                );
            }
        }
    }

    /// The figures, in the Prometheus text format.
    pub(crate) fn metrics(&self) -> String {
        let state = self.state();
        let places = &state.places;
        let mut out = String::new();
        for (name, value) in [
            ("athanor_connections_open", places.open()),
            ("athanor_connections_limit", places.bounds().ordinary),
            ("athanor_connections_reserved_in_use", places.reserved_in_use()),
        ] {
            let _ = writeln!(out, "# TYPE {name} gauge\n{name} {value}");
        }
        let _ = writeln!(out, "# TYPE athanor_connections_closed_total counter");
        for (reason, count) in Closed::ALL.iter().zip(state.closed) {
            let name = reason.name();
            let _ = writeln!(out, "athanor_connections_closed_total{{reason=\"{name}\"}} {count}");
        }
        out
    }
}

/// A connection's place, given back when dropped.
pub(crate) struct Place {
    pub(crate) connections: Arc<Connections>,
    pub(crate) id: Id,
    /// Resolves when the connection is to be closed.
    pub(crate) closed: oneshot::Receiver<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.state().places.leave(self.id);
    }
}

/// A request under way. Its connection is busy while the service works on it.
pub(crate) struct InFlight {
    connections: Arc<Connections>,
    connection: Id,
    kind: Kind,
    working: bool,
}

impl InFlight {
    /// The service works on the answer.
    pub(crate) fn resume(&mut self) {
        if !std::mem::replace(&mut self.working, true) {
            self.connections.state().places.resume(self.connection, self.kind);
        }
    }

    /// There is something for the client to take.
    pub(crate) fn pause(&mut self) {
        if std::mem::replace(&mut self.working, false) {
            self.connections.state().places.pause(Instant::now(), self.connection, self.kind);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.pause();
    }
}

/// What the limits say.
pub(crate) fn wanted(limits: &Limits) -> Bounds {
    Bounds {
        ordinary: limits.connections,
        reserved: limits.connections_reserved,
        per_client: limits.connections_per_client,
    }
}

/// What fits into the limit on open files beside those that are open, those that lingering
/// connections hold, and a reserve for the journal, keys and callbacks.
fn fit(limits: &Limits, files: u64, open: u64) -> Bounds {
    let spare = files.saturating_sub(open);
    let own = (spare / 4).clamp(16, 256);
    let room = usize::try_from(spare.saturating_sub(own)).unwrap_or(usize::MAX).max(4);
    let room = room - LINGERING.min(room / 8);
    let bounds = wanted(limits);
    if bounds.ordinary.saturating_add(bounds.reserved) <= room {
        return bounds;
    }
    let reserved = bounds.reserved.min(room / 4);
    Bounds { ordinary: bounds.ordinary.min(room - reserved), reserved, ..bounds }
}

/// Files that this process has open; a guess where the system does not tell.
fn open_files() -> u64 {
    std::fs::read_dir("/dev/fd").map_or(64, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_the_limit_on_open_files() {
        let limits = Limits::default();
        assert_eq!(fit(&limits, 20_000, 40), wanted(&limits));
        let few = fit(&limits, 100, 30);
        assert!(few.reserved >= 8 && few.ordinary >= 16, "{few:?}");
        assert!(30 + few.ordinary + few.reserved + 16 <= 100, "{few:?}");
        // With next to none it still answers.
        let least = fit(&limits, 20, 30);
        assert!(least.ordinary >= 1 && least.reserved >= 1, "{least:?}");
        let asked = Limits { connections: 10, connections_reserved: 5, ..limits };
        assert_eq!(fit(&asked, 1024, 30), wanted(&asked));
    }

    #[test]
    fn figures_count_open_connections_and_why_others_were_closed() {
        let limits = Limits { connections: 1, connections_reserved: 1, ..Limits::default() };
        let connections = Arc::new(Connections::new(wanted(&limits), &limits));
        let client = Client::User(1);
        let mut first = connections.enter(client).unwrap();
        let second = connections.enter(client).unwrap();
        let third = connections.enter(client).unwrap();
        assert!(first.closed.try_recv().is_ok(), "the oldest was told to close");
        let in_flight = connections.begin(second.id, Kind::Ordinary).unwrap();
        let probe = connections.begin(third.id, Kind::Health).unwrap();
        assert!(connections.enter(client).is_none());
        let text = connections.metrics();
        for line in [
            "athanor_connections_open 2",
            "athanor_connections_reserved_in_use 1",
            "athanor_connections_closed_total{reason=\"evicted\"} 1",
            "athanor_connections_closed_total{reason=\"refused\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        drop((first, second, third, in_flight, probe));
        assert!(connections.metrics().contains("athanor_connections_open 0"));
    }
}
