//! The table of open connections: which are busy, which are silent, and which is closed for a new one.
//!
//! A connection is *busy* while the service works on one of its requests, and *silent* otherwise: before the
//! first request, between requests, and while the client does not read a response. At most `ordinary`
//! connections are busy with ordinary requests; requests for health and requests with critical tokens are
//! served beyond that. At most `ordinary + reserved` connections are open: at the limit, the connection that
//! has been silent longest is closed for a new one. A busy connection is never closed.
//!
//! ```text
//!  insert ─► silent ──begin, resume──► busy ──┐
//!              ▲  │                           │ pause of the last request
//!              │  └─ evict_oldest, remove_idle: closed
//!              └──────────────────────────────┘
//! ```
//!
//! The table does no I/O and has no clock: time is an argument. Each operation takes `O(log n)`.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// Connections that a client may open beyond its limit, so that its health probes are still served.
const CLIENT_RESERVE: usize = 4;

/// Identifies a connection.
pub(crate) type ConnectionId = u64;

/// The client that a connection counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// An IPv4 address, or the /64 network of an IPv6 address: one host usually has a whole /64.
    Address(IpAddr),
    /// A user id at the Unix socket.
    User(u32),
}

impl Client {
    /// The client at an address.
    pub(crate) fn at(address: IpAddr) -> Client {
        Client::Address(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        })
    }

    /// Whether the client is on this machine. It may be a reverse proxy for many clients.
    fn is_local(self) -> bool {
        match self {
            Client::Address(address) => address.is_loopback(),
            Client::User(_) => true,
        }
    }
}

/// The kind of a request, which decides the limits that apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// Any other request.
    Ordinary,
    /// A request with a token whose highest class is critical.
    Critical,
    /// Health or metrics.
    Health,
}

/// Limits on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// Limit on connections busy with ordinary requests.
    pub(crate) ordinary: usize,
    /// Number of further connections that may be open.
    pub(crate) reserved: usize,
    /// Limit for one client. `None` means half of `ordinary`, and no limit for clients on this machine.
    pub(crate) per_client: Option<usize>,
}

impl ConnectionLimits {
    fn for_client(&self, client: Client) -> Option<usize> {
        match self.per_client {
            None if client.is_local() => None,
            None => Some((self.ordinary / 2).max(1)),
            limit => limit,
        }
    }

    /// Limit on connections busy with critical requests beyond `ordinary`. The rest of `reserved` is for health.
    fn critical(&self) -> usize {
        self.reserved.div_ceil(2)
    }
}

/// Why a connection or a request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// All connections are busy, or this connection was closed.
    Full,
    /// All connections of this client are busy.
    ClientLimit,
}

/// The open connections. Each has a handle of type `H` that closes it.
pub(crate) struct ConnectionTable<H> {
    limits: ConnectionLimits,
    open: HashMap<ConnectionId, Connection<H>>,
    silent: BTreeSet<(Instant, ConnectionId)>,
    clients: HashMap<Client, ClientConnections>,
    ordinary: usize,
    critical: usize,
    next: ConnectionId,
}

struct Connection<H> {
    client: Client,
    handle: H,
    /// When the connection last became silent.
    since: Instant,
    /// Numbers of requests that the service works on, by kind.
    ordinary: u32,
    critical: u32,
    health: u32,
}

impl<H> Connection<H> {
    fn is_silent(&self) -> bool {
        self.ordinary == 0 && self.critical == 0 && self.health == 0
    }

    fn count(&mut self, kind: RequestKind) -> &mut u32 {
        match kind {
            RequestKind::Ordinary => &mut self.ordinary,
            RequestKind::Critical => &mut self.critical,
            RequestKind::Health => &mut self.health,
        }
    }
}

#[derive(Default)]
struct ClientConnections {
    open: usize,
    /// Connections busy with ordinary requests.
    ordinary: usize,
    silent: BTreeSet<(Instant, ConnectionId)>,
}

impl<H> ConnectionTable<H> {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            open: HashMap::new(),
            silent: BTreeSet::new(),
            clients: HashMap::new(),
            ordinary: 0,
            critical: 0,
            next: 0,
        }
    }

    pub(crate) fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    /// Changes the limits. Open connections beyond them stay until they are closed for new ones.
    pub(crate) fn set_limits(&mut self, limits: ConnectionLimits) {
        self.limits = limits;
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Number of open connections beyond `ordinary`.
    pub(crate) fn reserved_in_use(&self) -> usize {
        self.open.len().saturating_sub(self.limits.ordinary)
    }

    /// Adds a connection. Returns its id, and the handle of the connection to close for it.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        client: Client,
        handle: H,
    ) -> Result<(ConnectionId, Option<H>), Rejection> {
        let entry = self.clients.get(&client);
        let limit = self.limits.for_client(client);
        let most = limit.map_or(usize::MAX, |limit| limit.saturating_add(CLIENT_RESERVE));
        let closed = if entry.is_some_and(|entry| entry.open >= most) {
            let oldest = entry.and_then(|entry| entry.silent.first().copied());
            let (_, id) = oldest.ok_or(Rejection::ClientLimit)?;
            self.remove(id)
        } else if self.open.len() >= self.limits.ordinary.saturating_add(self.limits.reserved) {
            Some(self.evict_oldest().ok_or(Rejection::Full)?)
        } else {
            None
        };
        let id = self.next;
        self.next += 1;
        let (ordinary, critical, health) = (0, 0, 0);
        let connection = Connection { client, handle, since: now, ordinary, critical, health };
        self.open.insert(id, connection);
        self.silent.insert((now, id));
        let entry = self.clients.entry(client).or_default();
        entry.open += 1;
        entry.silent.insert((now, id));
        Ok((id, closed))
    }

    /// Removes the connection that has been silent longest and returns its handle.
    pub(crate) fn evict_oldest(&mut self) -> Option<H> {
        let (_, id) = self.silent.first().copied()?;
        self.remove(id)
    }

    /// Removes the connections that have been silent since before `limit`.
    pub(crate) fn remove_idle(&mut self, limit: Instant) -> Vec<H> {
        let idle = self.silent.iter().take_while(|(since, _)| *since < limit);
        let idle: Vec<ConnectionId> = idle.map(|(_, id)| *id).collect();
        idle.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Begins a request. Returns the kind that it counts as, for [`ConnectionTable::pause`].
    pub(crate) fn begin(
        &mut self,
        id: ConnectionId,
        kind: RequestKind,
    ) -> Result<RequestKind, Rejection> {
        let connection = self.open.get(&id).ok_or(Rejection::Full)?;
        let counted = match kind {
            RequestKind::Health => RequestKind::Health,
            RequestKind::Ordinary => {
                self.check_ordinary(connection).map(|()| RequestKind::Ordinary)?
            }
            RequestKind::Critical => match self.check_ordinary(connection) {
                Ok(()) => RequestKind::Ordinary,
                Err(_) if connection.critical > 0 => RequestKind::Critical,
                Err(_) if self.critical < self.limits.critical() => RequestKind::Critical,
                Err(refusal) => return Err(refusal),
            },
        };
        self.resume(id, counted);
        Ok(counted)
    }

    fn check_ordinary(&self, connection: &Connection<H>) -> Result<(), Rejection> {
        if connection.ordinary > 0 {
            return Ok(());
        }
        let limit = self.limits.for_client(connection.client);
        let busy = self.clients.get(&connection.client).map_or(0, |entry| entry.ordinary);
        if limit.is_some_and(|limit| busy >= limit) {
            return Err(Rejection::ClientLimit);
        }
        match self.ordinary < self.limits.ordinary {
            true => Ok(()),
            false => Err(Rejection::Full),
        }
    }

    /// Marks that the service works on a request.
    pub(crate) fn resume(&mut self, id: ConnectionId, kind: RequestKind) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        let entry = self.clients.entry(connection.client).or_default();
        if connection.is_silent() {
            self.silent.remove(&(connection.since, id));
            entry.silent.remove(&(connection.since, id));
        }
        let count = connection.count(kind);
        *count += 1;
        if *count == 1 {
            self.critical += usize::from(kind == RequestKind::Critical);
            self.ordinary += usize::from(kind == RequestKind::Ordinary);
            entry.ordinary += usize::from(kind == RequestKind::Ordinary);
        }
    }

    /// Marks that the service does not work on a request: it has ended, or the client has to read the response.
    pub(crate) fn pause(&mut self, now: Instant, id: ConnectionId, kind: RequestKind) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        let entry = self.clients.entry(connection.client).or_default();
        let count = connection.count(kind);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.critical -= usize::from(kind == RequestKind::Critical);
            self.ordinary -= usize::from(kind == RequestKind::Ordinary);
            entry.ordinary -= usize::from(kind == RequestKind::Ordinary);
        }
        if connection.is_silent() {
            connection.since = now;
            self.silent.insert((now, id));
            entry.silent.insert((now, id));
        }
    }

    /// Restarts the silence of a connection whose client has read a part of a response.
    pub(crate) fn touch(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        let entry = self.clients.entry(connection.client).or_default();
        if self.silent.remove(&(connection.since, id)) {
            entry.silent.remove(&(connection.since, id));
            connection.since = now;
            self.silent.insert((now, id));
            entry.silent.insert((now, id));
        }
    }

    /// Removes a connection and returns its handle; `None` if it was removed before.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<H> {
        let connection = self.open.remove(&id)?;
        self.silent.remove(&(connection.since, id));
        let busy = usize::from(connection.ordinary > 0);
        self.ordinary -= busy;
        self.critical -= usize::from(connection.critical > 0);
        if let Some(entry) = self.clients.get_mut(&connection.client) {
            entry.silent.remove(&(connection.since, id));
            entry.ordinary -= busy;
            entry.open -= 1;
            if entry.open == 0 {
                self.clients.remove(&connection.client);
            }
        }
        Some(connection.handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: ConnectionLimits =
        ConnectionLimits { ordinary: 2, reserved: 2, per_client: None };

    fn local() -> Client {
        Client::at([127, 0, 0, 1].into())
    }

    /// A table with a clock that advances at each call.
    struct TestTable {
        table: ConnectionTable<&'static str>,
        now: Instant,
    }

    impl TestTable {
        fn new(limits: ConnectionLimits) -> Self {
            Self { table: ConnectionTable::new(limits), now: Instant::now() }
        }

        fn tick(&mut self) -> Instant {
            self.now += Duration::from_secs(1);
            self.now
        }

        fn insert(
            &mut self,
            name: &'static str,
        ) -> Result<(ConnectionId, Option<&'static str>), Rejection> {
            self.insert_from(name, local())
        }

        fn insert_from(
            &mut self,
            name: &'static str,
            client: Client,
        ) -> Result<(ConnectionId, Option<&'static str>), Rejection> {
            let now = self.tick();
            let inserted = self.table.insert(now, client, name);
            self.check();
            inserted
        }

        fn end(&mut self, id: ConnectionId, kind: RequestKind) {
            let now = self.tick();
            self.table.pause(now, id, kind);
            self.check();
        }

        /// Checks the counts against the connections.
        fn check(&self) {
            let table = &self.table;
            let count = |of: &dyn Fn(&Connection<&str>) -> bool| {
                table.open.values().filter(|connection| of(connection)).count()
            };
            assert_eq!(table.silent.len(), count(&|one| one.is_silent()));
            assert_eq!(table.ordinary, count(&|one| one.ordinary > 0));
            assert_eq!(table.critical, count(&|one| one.critical > 0));
            for (client, entry) in &table.clients {
                assert_eq!(entry.open, count(&|one| one.client == *client));
                let silent = count(&|one| one.client == *client && one.is_silent());
                assert_eq!(entry.silent.len(), silent);
                let busy = count(&|one| one.client == *client && one.ordinary > 0);
                assert_eq!(entry.ordinary, busy);
            }
        }
    }

    #[test]
    fn the_connection_that_was_silent_longest_is_closed_for_the_newest() {
        let mut test = TestTable::new(LIMITS);
        let (a, _) = test.insert("a").unwrap();
        let (b, _) = test.insert("b").unwrap();
        test.insert("c").unwrap();
        test.insert("d").unwrap();
        // `a` had a request since, so `b` has been silent longest. `b` becomes busy, so `c` has.
        test.table.begin(a, RequestKind::Ordinary).unwrap();
        test.end(a, RequestKind::Ordinary);
        test.table.begin(b, RequestKind::Ordinary).unwrap();
        assert_eq!(test.insert("e").unwrap().1, Some("c"));
        assert_eq!(test.insert("f").unwrap().1, Some("d"));
        // A connection whose client has read a part of a response is not the oldest either.
        let now = test.tick();
        test.table.touch(now, a);
        assert_eq!(test.insert("g").unwrap().1, Some("e"));
        assert_eq!((test.table.open(), test.table.reserved_in_use()), (4, 2));
    }

    #[test]
    fn a_busy_connection_is_never_closed_for_another() {
        let mut test = TestTable::new(LIMITS);
        let ids: Vec<ConnectionId> =
            ["a", "b", "c", "d"].map(|name| test.insert(name).unwrap().0).into();
        for (id, kind) in
            ids.iter().zip([RequestKind::Ordinary, RequestKind::Ordinary, RequestKind::Health])
        {
            test.table.begin(*id, kind).unwrap();
        }
        test.table.begin(ids[3], RequestKind::Critical).unwrap();
        assert_eq!(test.insert("e"), Err(Rejection::Full));
        assert_eq!(test.table.evict_oldest(), None);
        let now = test.tick();
        assert!(test.table.remove_idle(now).is_empty());
        test.end(ids[1], RequestKind::Ordinary);
        assert_eq!(test.insert("e").unwrap().1, Some("b"));
    }

    #[test]
    fn beyond_the_ordinary_limit_health_and_critical_tokens_are_served() {
        let mut test = TestTable::new(LIMITS);
        let ids: Vec<ConnectionId> =
            ["a", "b", "c", "d"].map(|name| test.insert(name).unwrap().0).into();
        test.table.begin(ids[0], RequestKind::Ordinary).unwrap();
        // Below the ordinary limit, a critical request counts as ordinary.
        assert_eq!(test.table.begin(ids[1], RequestKind::Critical), Ok(RequestKind::Ordinary));
        assert_eq!(test.table.begin(ids[2], RequestKind::Ordinary), Err(Rejection::Full));
        assert_eq!(test.table.begin(ids[2], RequestKind::Health), Ok(RequestKind::Health));
        // A health request makes the connection busy but does not admit an ordinary request on it.
        assert_eq!(test.table.begin(ids[2], RequestKind::Ordinary), Err(Rejection::Full));
        // Critical requests use half of the reserve; the rest is for health.
        assert_eq!(test.table.begin(ids[2], RequestKind::Critical), Ok(RequestKind::Critical));
        assert_eq!(test.table.begin(ids[3], RequestKind::Critical), Err(Rejection::Full));
        assert_eq!(test.table.begin(ids[3], RequestKind::Health), Ok(RequestKind::Health));
        // Further requests of a connection that counts as ordinary are admitted.
        assert_eq!(test.table.begin(ids[0], RequestKind::Ordinary), Ok(RequestKind::Ordinary));
        test.end(ids[0], RequestKind::Ordinary);
        test.end(ids[0], RequestKind::Ordinary);
        assert_eq!(test.table.begin(ids[2], RequestKind::Ordinary), Ok(RequestKind::Ordinary));
        test.check();
    }

    #[test]
    fn a_closed_connection_begins_no_request_and_its_requests_end_without_effect() {
        let mut test = TestTable::new(LIMITS);
        let (a, _) = test.insert("a").unwrap();
        test.table.begin(a, RequestKind::Ordinary).unwrap();
        test.table.remove(a);
        test.check();
        test.end(a, RequestKind::Ordinary);
        assert_eq!(test.table.begin(a, RequestKind::Ordinary), Err(Rejection::Full));
        assert!(test.table.clients.is_empty());
    }

    #[test]
    fn silent_connections_are_idle_after_a_time_and_busy_ones_are_not() {
        let mut test = TestTable::new(LIMITS);
        let (a, _) = test.insert("a").unwrap();
        test.insert("b").unwrap();
        let limit = test.now;
        test.insert("c").unwrap();
        assert_eq!(test.table.remove_idle(limit), ["a"]);
        let now = test.tick();
        assert_eq!(test.table.remove_idle(now), ["b", "c"]);
        assert_eq!(test.table.begin(a, RequestKind::Ordinary), Err(Rejection::Full));
        test.check();
    }

    #[test]
    fn a_client_has_a_share_and_closes_its_own_connections_for_more() {
        let limits = ConnectionLimits { ordinary: 4, reserved: 60, per_client: None };
        let mut test = TestTable::new(limits);
        let greedy = Client::at([192, 0, 2, 1].into());
        let other = Client::at([192, 0, 2, 2].into());
        test.insert_from("other", other).unwrap();
        let names = ["a", "b", "c", "d", "e", "f"];
        let ids: Vec<ConnectionId> =
            names.map(|name| test.insert_from(name, greedy).unwrap().0).into();
        assert_eq!(test.insert_from("g", greedy).unwrap().1, Some("a"));
        for id in &ids[1..3] {
            test.table.begin(*id, RequestKind::Ordinary).unwrap();
        }
        assert_eq!(test.table.begin(ids[3], RequestKind::Ordinary), Err(Rejection::ClientLimit));
        // Health probes of this client are still served.
        assert_eq!(test.table.begin(ids[3], RequestKind::Health), Ok(RequestKind::Health));
        let (id, _) = test.insert_from("h", other).unwrap();
        assert_eq!(test.table.begin(id, RequestKind::Ordinary), Ok(RequestKind::Ordinary));
        // Clients on this machine have a limit only if one is set.
        for _ in 0..20 {
            assert_eq!(test.insert("local").unwrap().1, None);
        }
        test.table.set_limits(ConnectionLimits { per_client: Some(1), ..limits });
        assert_eq!(test.insert("local").unwrap().1, Some("local"));
        test.check();
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_one_host() {
        let at = |text: &str| Client::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert!(at("::1").is_local() && at("127.0.0.9").is_local() && Client::User(7).is_local());
        assert!(!at("::2").is_local());
    }
}
