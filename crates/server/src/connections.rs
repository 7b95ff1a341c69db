//! The connections of a listener: their slots in the table, how they are closed, and their metrics.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, oneshot};
use tracing::{info, warn};

use crate::config::Limits;
use crate::connection_table::{
    Client, ConnectionId, ConnectionLimits, ConnectionTable, Rejection, RequestKind,
};

/// Limit on closing connections that may still send a response. Others are dropped at once.
const LINGERING: usize = 64;

/// Shortest time between two warnings that connections are closed or refused because of the limits.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Longest interval between two checks for idle connections.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Why a connection was closed or not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// Closed for a new connection.
    Evicted,
    /// Silent for longer than `idle-seconds`.
    Idle,
    /// Not accepted: all connections were busy.
    Refused,
    /// Not accepted: all connections of the client were busy.
    ClientLimit,
}

impl CloseReason {
    const ALL: [CloseReason; 4] =
        [CloseReason::Evicted, CloseReason::Idle, CloseReason::Refused, CloseReason::ClientLimit];

    fn name(self) -> &'static str {
        match self {
            CloseReason::Evicted => "evicted",
            CloseReason::Idle => "idle",
            CloseReason::Refused => "refused",
            CloseReason::ClientLimit => "client-limit",
        }
    }
}

/// The connections of a listener.
pub(crate) struct Connections {
    state: Mutex<State>,
    lingering: Arc<Semaphore>,
}

struct State {
    table: ConnectionTable<oneshot::Sender<()>>,
    header: Duration,
    idle: Duration,
    closed: [u64; CloseReason::ALL.len()],
}

impl State {
    fn count(&mut self, reason: CloseReason, connections: usize) {
        self.closed[reason as usize] += connections as u64;
    }
}

impl Connections {
    pub(crate) fn new(bounds: ConnectionLimits, limits: &Limits) -> Self {
        let header = Duration::from_secs(limits.header_seconds);
        let idle = Duration::from_secs(limits.idle_seconds);
        let state = State {
            table: ConnectionTable::new(bounds),
            header,
            idle,
            closed: [0; CloseReason::ALL.len()],
        };
        Self { state: Mutex::new(state), lingering: Arc::new(Semaphore::new(LINGERING)) }
    }

    /// Sets the configured limits, reduced to what the limit on open files permits. Logs the result.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        let files = getrlimit(Resource::Nofile).current;
        let bounds = match files {
            Some(files) => fit_open_files(limits, files, open_files()),
            None => configured(limits),
        };
        let ConnectionLimits { ordinary, reserved, .. } = bounds;
        let files = files.map_or_else(|| "unlimited".into(), |files| files.to_string());
        if bounds == configured(limits) {
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
        state.table.set_limits(bounds);
        state.header = Duration::from_secs(limits.header_seconds);
        state.idle = Duration::from_secs(limits.idle_seconds);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Longest time for a handshake or a request's headers.
    pub(crate) fn header_timeout(&self) -> Duration {
        self.state().header
    }

    /// A slot for a new connection; `None` if it is not accepted.
    pub(crate) fn open(self: &Arc<Self>, client: Client) -> Option<ConnectionSlot> {
        let (close, closed) = oneshot::channel();
        let mut state = self.state();
        match state.table.insert(Instant::now(), client, close) {
            Ok((id, evicted)) => {
                if let Some(evicted) = evicted {
                    let _ = evicted.send(());
                    state.count(CloseReason::Evicted, 1);
                }
                Some(ConnectionSlot { connections: self.clone(), id, closed })
            }
            Err(refusal) => {
                let full = refusal == Rejection::Full;
                state.count(if full { CloseReason::Refused } else { CloseReason::ClientLimit }, 1);
                None
            }
        }
    }

    /// Closes the connection that has been silent longest, to free a file descriptor.
    pub(crate) fn evict_oldest(&self) {
        let mut state = self.state();
        if let Some(evicted) = state.table.evict_oldest() {
            let _ = evicted.send(());
            state.count(CloseReason::Evicted, 1);
        }
    }

    /// Begins a request of a connection.
    pub(crate) fn begin(
        self: &Arc<Self>,
        connection: ConnectionId,
        kind: RequestKind,
    ) -> Result<InFlight, Rejection> {
        let kind = self.state().table.begin(connection, kind)?;
        Ok(InFlight { connections: self.clone(), connection, kind, working: true })
    }

    pub(crate) fn touch(&self, connection: ConnectionId) {
        self.state().table.touch(Instant::now(), connection);
    }

    /// A permit for a closing connection to send the rest of its responses.
    pub(crate) fn linger(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.lingering.clone().try_acquire_owned().ok()
    }

    /// Closes idle connections and logs closed and refused ones. Never returns.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let mut warned: Option<Instant> = None;
        let mut reported = 0;
        loop {
            let idle = self.state().idle;
            let pause = (idle / 4).clamp(Duration::from_millis(50), SWEEP_EVERY);
            tokio::time::sleep(pause).await;
            let mut state = self.state();
            let now = Instant::now();
            if let Some(limit) = now.checked_sub(idle) {
                let closed = state.table.remove_idle(limit);
                state.count(CloseReason::Idle, closed.len());
                closed.into_iter().for_each(|closed| _ = closed.send(()));
            }
            let [evicted, _, refused, client] = state.closed;
            let all = evicted + refused + client;
            if all > reported && warned.is_none_or(|last| last.elapsed() >= WARN_EVERY) {
                warned = Some(now);
                reported = all;
                let open = state.table.open();
                drop(state);
                warn!(
                    open,
                    evicted,
                    refused,
                    client_limit = client,
                    "connections are closed or refused because of the limits (counts since the start)"
                );
            }
        }
    }

    /// The metrics in the Prometheus text format.
    pub(crate) fn metrics(&self) -> String {
        let state = self.state();
        let table = &state.table;
        let mut out = String::new();
        for (name, value) in [
            ("athanor_connections_open", table.open()),
            ("athanor_connections_limit", table.limits().ordinary),
            ("athanor_connections_reserved_in_use", table.reserved_in_use()),
        ] {
            let _ = writeln!(out, "# TYPE {name} gauge\n{name} {value}");
        }
        let _ = writeln!(out, "# TYPE athanor_connections_closed_total counter");
        for (reason, count) in CloseReason::ALL.iter().zip(state.closed) {
            let name = reason.name();
            let _ = writeln!(out, "athanor_connections_closed_total{{reason=\"{name}\"}} {count}");
        }
        out
    }
}

/// A connection's slot in the table, freed when dropped.
pub(crate) struct ConnectionSlot {
    pub(crate) connections: Arc<Connections>,
    pub(crate) id: ConnectionId,
    /// Resolves when the connection must close.
    pub(crate) closed: oneshot::Receiver<()>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.state().table.remove(self.id);
    }
}

/// A running request. Its connection is busy while the service works on it.
pub(crate) struct InFlight {
    connections: Arc<Connections>,
    connection: ConnectionId,
    kind: RequestKind,
    working: bool,
}

impl InFlight {
    /// The service works on the response.
    pub(crate) fn resume(&mut self) {
        if !std::mem::replace(&mut self.working, true) {
            self.connections.state().table.resume(self.connection, self.kind);
        }
    }

    /// The client has to read a part of the response.
    pub(crate) fn pause(&mut self) {
        if std::mem::replace(&mut self.working, false) {
            self.connections.state().table.pause(Instant::now(), self.connection, self.kind);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.pause();
    }
}

/// The configured limits.
pub(crate) fn configured(limits: &Limits) -> ConnectionLimits {
    ConnectionLimits {
        ordinary: limits.connections,
        reserved: limits.connections_reserved,
        per_client: limits.connections_per_client,
    }
}

/// The configured limits, reduced to fit into the limit on open files: `files`, minus `open` files, minus lingering
/// connections, minus a reserve for the journal, keys and callbacks.
fn fit_open_files(limits: &Limits, files: u64, open: u64) -> ConnectionLimits {
    let spare = files.saturating_sub(open);
    let reserve = (spare / 4).clamp(16, 256);
    let available = usize::try_from(spare.saturating_sub(reserve)).unwrap_or(usize::MAX).max(4);
    let available = available - LINGERING.min(available / 8);
    let bounds = configured(limits);
    if bounds.ordinary.saturating_add(bounds.reserved) <= available {
        return bounds;
    }
    let reserved = bounds.reserved.min(available / 4);
    ConnectionLimits { ordinary: bounds.ordinary.min(available - reserved), reserved, ..bounds }
}

/// Number of open files of this process; 64 if the system does not report it.
fn open_files() -> u64 {
    std::fs::read_dir("/dev/fd").map_or(64, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_the_limit_on_open_files() {
        let limits = Limits::default();
        assert_eq!(fit_open_files(&limits, 20_000, 40), configured(&limits));
        let few = fit_open_files(&limits, 100, 30);
        assert!(few.reserved >= 8 && few.ordinary >= 16, "{few:?}");
        assert!(30 + few.ordinary + few.reserved + 16 <= 100, "{few:?}");
        // With almost no free files at least one connection of each kind remains.
        let least = fit_open_files(&limits, 20, 30);
        assert!(least.ordinary >= 1 && least.reserved >= 1, "{least:?}");
        let small = Limits { connections: 10, connections_reserved: 5, ..limits };
        assert_eq!(fit_open_files(&small, 1024, 30), configured(&small));
    }

    #[test]
    fn metrics_count_open_connections_and_why_others_were_closed() {
        let limits = Limits { connections: 1, connections_reserved: 1, ..Limits::default() };
        let connections = Arc::new(Connections::new(configured(&limits), &limits));
        let client = Client::User(1);
        let mut first = connections.open(client).unwrap();
        let second = connections.open(client).unwrap();
        let third = connections.open(client).unwrap();
        assert!(first.closed.try_recv().is_ok(), "the oldest connection must close");
        let in_flight = connections.begin(second.id, RequestKind::Ordinary).unwrap();
        let probe = connections.begin(third.id, RequestKind::Health).unwrap();
        assert!(connections.open(client).is_none());
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
