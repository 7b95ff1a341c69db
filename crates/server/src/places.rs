//! Which connections are open, which are silent, and which one is closed to make room.
//!
//! A connection is *busy* while the service works on a request of it, and *silent* otherwise: before its
//! first request, between requests, and while a client does not take an answer. Busy connections are
//! bounded by `ordinary`; requests for health, and those of critical tokens, are served beyond that.
//! All open connections are bounded by `ordinary + reserved`: when these are open, the connection that
//! has been silent longest is closed for the newest. A busy one is never closed.
//!
//! ```text
//!  enter ─► silent ──begin──► busy ──┐
//!             ▲  └─ oldest: closed   │ last request: pause, end
//!             └──────────────────────┘
//! ```
//!
//! No I/O and no clock: time is an argument. Each operation takes `O(log n)`.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// Connections that a client may open beyond its own limit, so that its probes still get through.
const CLIENT_RESERVE: usize = 4;

/// Names a connection.
pub(crate) type Id = u64;

/// Who a connection is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// An address; of IPv6 the /64 network, which is what one host is given.
    Address(IpAddr),
    /// A user at the Unix socket.
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

    /// Whether it is on this machine. A reverse proxy is, and stands for many clients.
    fn is_local(self) -> bool {
        match self {
            Client::Address(address) => address.is_loopback(),
            Client::User(_) => true,
        }
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything else.
    Ordinary,
    /// A request with a token whose highest class is critical.
    Critical,
    /// Health or metrics.
    Health,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Most busy with ordinary requests.
    pub(crate) ordinary: usize,
    /// How many more may be open.
    pub(crate) reserved: usize,
    /// Most of one client; `None` for half of `ordinary`, without a limit for this machine's own.
    pub(crate) per_client: Option<usize>,
}

impl Bounds {
    fn of_client(&self, client: Client) -> Option<usize> {
        match self.per_client {
            None if client.is_local() => None,
            None => Some((self.ordinary / 2).max(1)),
            limit => limit,
        }
    }

    /// Connections busy with critical requests beyond `ordinary`: the rest is for health.
    fn critical(&self) -> usize {
        self.reserved.div_ceil(2)
    }
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// All connections are busy, or this one was closed.
    Full,
    /// All connections of this client are busy.
    Client,
}

/// The open connections, each with a handle that closes it.
pub(crate) struct Places<H> {
    bounds: Bounds,
    open: HashMap<Id, Connection<H>>,
    silent: BTreeSet<(Instant, Id)>,
    clients: HashMap<Client, OfClient>,
    ordinary: usize,
    critical: usize,
    next: Id,
}

struct Connection<H> {
    client: Client,
    handle: H,
    /// When it last became silent.
    since: Instant,
    /// Requests that the service works on.
    ordinary: u32,
    critical: u32,
    health: u32,
}

impl<H> Connection<H> {
    fn is_silent(&self) -> bool {
        self.ordinary == 0 && self.critical == 0 && self.health == 0
    }

    fn count(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Ordinary => &mut self.ordinary,
            Kind::Critical => &mut self.critical,
            Kind::Health => &mut self.health,
        }
    }
}

#[derive(Default)]
struct OfClient {
    open: usize,
    /// Busy with ordinary requests.
    ordinary: usize,
    silent: BTreeSet<(Instant, Id)>,
}

impl<H> Places<H> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            open: HashMap::new(),
            silent: BTreeSet::new(),
            clients: HashMap::new(),
            ordinary: 0,
            critical: 0,
            next: 0,
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Holds from now on; connections beyond it stay until they are closed for others.
    pub(crate) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// Open connections beyond the ordinary ones.
    pub(crate) fn reserved_in_use(&self) -> usize {
        self.open.len().saturating_sub(self.bounds.ordinary)
    }

    /// A new connection, and the handle of the one to close for it.
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        client: Client,
        handle: H,
    ) -> Result<(Id, Option<H>), Refusal> {
        let own = self.clients.get(&client);
        let limit = self.bounds.of_client(client);
        let most = limit.map_or(usize::MAX, |limit| limit.saturating_add(CLIENT_RESERVE));
        let closed = if own.is_some_and(|own| own.open >= most) {
            let oldest = own.and_then(|own| own.silent.first().copied());
            let (_, id) = oldest.ok_or(Refusal::Client)?;
            self.remove(id)
        } else if self.open.len() >= self.bounds.ordinary.saturating_add(self.bounds.reserved) {
            Some(self.evict().ok_or(Refusal::Full)?)
        } else {
            None
        };
        let id = self.next;
        self.next += 1;
        let (ordinary, critical, health) = (0, 0, 0);
        let connection = Connection { client, handle, since: now, ordinary, critical, health };
        self.open.insert(id, connection);
        self.silent.insert((now, id));
        let own = self.clients.entry(client).or_default();
        own.open += 1;
        own.silent.insert((now, id));
        Ok((id, closed))
    }

    /// Removes the connection that has been silent longest, and gives its handle.
    pub(crate) fn evict(&mut self) -> Option<H> {
        let (_, id) = self.silent.first().copied()?;
        self.remove(id)
    }

    /// Removes the connections that have been silent since before `limit`.
    pub(crate) fn idle(&mut self, limit: Instant) -> Vec<H> {
        let idle = self.silent.iter().take_while(|(since, _)| *since < limit);
        let idle: Vec<Id> = idle.map(|(_, id)| *id).collect();
        idle.into_iter().filter_map(|id| self.remove(id)).collect()
    }

    /// Removes a connection that has ended.
    pub(crate) fn leave(&mut self, id: Id) {
        self.remove(id);
    }

    /// A request begins. Gives the kind that it is counted as until [`Places::pause`].
    pub(crate) fn begin(&mut self, id: Id, kind: Kind) -> Result<Kind, Refusal> {
        let connection = self.open.get(&id).ok_or(Refusal::Full)?;
        let counted = match kind {
            Kind::Health => Kind::Health,
            Kind::Ordinary => self.ordinary_place(connection).map(|()| Kind::Ordinary)?,
            Kind::Critical => match self.ordinary_place(connection) {
                Ok(()) => Kind::Ordinary,
                Err(_) if connection.critical > 0 => Kind::Critical,
                Err(_) if self.critical < self.bounds.critical() => Kind::Critical,
                Err(refusal) => return Err(refusal),
            },
        };
        self.resume(id, counted);
        Ok(counted)
    }

    fn ordinary_place(&self, connection: &Connection<H>) -> Result<(), Refusal> {
        if connection.ordinary > 0 {
            return Ok(());
        }
        let limit = self.bounds.of_client(connection.client);
        let own = self.clients.get(&connection.client).map_or(0, |own| own.ordinary);
        if limit.is_some_and(|limit| own >= limit) {
            return Err(Refusal::Client);
        }
        match self.ordinary < self.bounds.ordinary {
            true => Ok(()),
            false => Err(Refusal::Full),
        }
    }

    /// The service works on a request again.
    pub(crate) fn resume(&mut self, id: Id, kind: Kind) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        let own = self.clients.entry(connection.client).or_default();
        if connection.is_silent() {
            self.silent.remove(&(connection.since, id));
            own.silent.remove(&(connection.since, id));
        }
        let count = connection.count(kind);
        *count += 1;
        if *count == 1 {
            self.critical += usize::from(kind == Kind::Critical);
            self.ordinary += usize::from(kind == Kind::Ordinary);
            own.ordinary += usize::from(kind == Kind::Ordinary);
        }
    }

    /// A request has ended, or it is the client's turn: to take the answer.
    pub(crate) fn pause(&mut self, now: Instant, id: Id, kind: Kind) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        let own = self.clients.entry(connection.client).or_default();
        let count = connection.count(kind);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.critical -= usize::from(kind == Kind::Critical);
            self.ordinary -= usize::from(kind == Kind::Ordinary);
            own.ordinary -= usize::from(kind == Kind::Ordinary);
        }
        if connection.is_silent() {
            connection.since = now;
            self.silent.insert((now, id));
            own.silent.insert((now, id));
        }
    }

    /// A silent client took some of an answer.
    pub(crate) fn touch(&mut self, now: Instant, id: Id) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        let own = self.clients.entry(connection.client).or_default();
        if self.silent.remove(&(connection.since, id)) {
            own.silent.remove(&(connection.since, id));
            connection.since = now;
            self.silent.insert((now, id));
            own.silent.insert((now, id));
        }
    }

    fn remove(&mut self, id: Id) -> Option<H> {
        let connection = self.open.remove(&id)?;
        self.silent.remove(&(connection.since, id));
        let busy = usize::from(connection.ordinary > 0);
        self.ordinary -= busy;
        self.critical -= usize::from(connection.critical > 0);
        if let Some(own) = self.clients.get_mut(&connection.client) {
            own.silent.remove(&(connection.since, id));
            own.ordinary -= busy;
            own.open -= 1;
            if own.open == 0 {
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

    const BOUNDS: Bounds = Bounds { ordinary: 2, reserved: 2, per_client: None };

    fn local() -> Client {
        Client::at([127, 0, 0, 1].into())
    }

    /// Places, and a clock that moves on at each call.
    struct World {
        places: Places<&'static str>,
        now: Instant,
    }

    impl World {
        fn new(bounds: Bounds) -> Self {
            Self { places: Places::new(bounds), now: Instant::now() }
        }

        fn tick(&mut self) -> Instant {
            self.now += Duration::from_secs(1);
            self.now
        }

        fn enter(&mut self, name: &'static str) -> Result<(Id, Option<&'static str>), Refusal> {
            self.enter_from(name, local())
        }

        fn enter_from(
            &mut self,
            name: &'static str,
            client: Client,
        ) -> Result<(Id, Option<&'static str>), Refusal> {
            let now = self.tick();
            let entered = self.places.enter(now, client, name);
            self.check();
            entered
        }

        fn end(&mut self, id: Id, kind: Kind) {
            let now = self.tick();
            self.places.pause(now, id, kind);
            self.check();
        }

        /// The counts are those of the connections.
        fn check(&self) {
            let places = &self.places;
            let count = |of: &dyn Fn(&Connection<&str>) -> bool| {
                places.open.values().filter(|connection| of(connection)).count()
            };
            assert_eq!(places.silent.len(), count(&|one| one.is_silent()));
            assert_eq!(places.ordinary, count(&|one| one.ordinary > 0));
            assert_eq!(places.critical, count(&|one| one.critical > 0));
            for (client, own) in &places.clients {
                assert_eq!(own.open, count(&|one| one.client == *client));
                let silent = count(&|one| one.client == *client && one.is_silent());
                assert_eq!(own.silent.len(), silent);
                let busy = count(&|one| one.client == *client && one.ordinary > 0);
                assert_eq!(own.ordinary, busy);
            }
        }
    }

    #[test]
    fn the_connection_that_was_silent_longest_is_closed_for_the_newest() {
        let mut world = World::new(BOUNDS);
        let (a, _) = world.enter("a").unwrap();
        let (b, _) = world.enter("b").unwrap();
        world.enter("c").unwrap();
        world.enter("d").unwrap();
        // `a` asked something since, so `b` is the oldest; `b` is busy, so `c` is.
        world.places.begin(a, Kind::Ordinary).unwrap();
        world.end(a, Kind::Ordinary);
        world.places.begin(b, Kind::Ordinary).unwrap();
        assert_eq!(world.enter("e").unwrap().1, Some("c"));
        assert_eq!(world.enter("f").unwrap().1, Some("d"));
        // Whoever took some of an answer is not the oldest either.
        let now = world.tick();
        world.places.touch(now, a);
        assert_eq!(world.enter("g").unwrap().1, Some("e"));
        assert_eq!((world.places.open(), world.places.reserved_in_use()), (4, 2));
    }

    #[test]
    fn a_busy_connection_is_never_closed_for_another() {
        let mut world = World::new(BOUNDS);
        let ids: Vec<Id> = ["a", "b", "c", "d"].map(|name| world.enter(name).unwrap().0).into();
        for (id, kind) in ids.iter().zip([Kind::Ordinary, Kind::Ordinary, Kind::Health]) {
            world.places.begin(*id, kind).unwrap();
        }
        world.places.begin(ids[3], Kind::Critical).unwrap();
        assert_eq!(world.enter("e"), Err(Refusal::Full));
        assert_eq!(world.places.evict(), None);
        let now = world.tick();
        assert!(world.places.idle(now).is_empty());
        world.end(ids[1], Kind::Ordinary);
        assert_eq!(world.enter("e").unwrap().1, Some("b"));
    }

    #[test]
    fn beyond_the_ordinary_places_health_and_critical_tokens_are_served() {
        let mut world = World::new(BOUNDS);
        let ids: Vec<Id> = ["a", "b", "c", "d"].map(|name| world.enter(name).unwrap().0).into();
        world.places.begin(ids[0], Kind::Ordinary).unwrap();
        // While there are ordinary places, a critical request takes one of them.
        assert_eq!(world.places.begin(ids[1], Kind::Critical), Ok(Kind::Ordinary));
        assert_eq!(world.places.begin(ids[2], Kind::Ordinary), Err(Refusal::Full));
        assert_eq!(world.places.begin(ids[2], Kind::Health), Ok(Kind::Health));
        // Health makes the connection busy, and gives it no right to ask for more.
        assert_eq!(world.places.begin(ids[2], Kind::Ordinary), Err(Refusal::Full));
        // Critical requests take half of the reserve; the rest stays for health.
        assert_eq!(world.places.begin(ids[2], Kind::Critical), Ok(Kind::Critical));
        assert_eq!(world.places.begin(ids[3], Kind::Critical), Err(Refusal::Full));
        assert_eq!(world.places.begin(ids[3], Kind::Health), Ok(Kind::Health));
        // More requests of a connection that has an ordinary place need no other.
        assert_eq!(world.places.begin(ids[0], Kind::Ordinary), Ok(Kind::Ordinary));
        world.end(ids[0], Kind::Ordinary);
        world.end(ids[0], Kind::Ordinary);
        assert_eq!(world.places.begin(ids[2], Kind::Ordinary), Ok(Kind::Ordinary));
        world.check();
    }

    #[test]
    fn what_was_closed_begins_nothing_and_its_requests_end_quietly() {
        let mut world = World::new(BOUNDS);
        let (a, _) = world.enter("a").unwrap();
        world.places.begin(a, Kind::Ordinary).unwrap();
        world.places.leave(a);
        world.check();
        world.end(a, Kind::Ordinary);
        assert_eq!(world.places.begin(a, Kind::Ordinary), Err(Refusal::Full));
        assert!(world.places.clients.is_empty());
    }

    #[test]
    fn silent_connections_are_idle_after_a_time_and_busy_ones_are_not() {
        let mut world = World::new(BOUNDS);
        let (a, _) = world.enter("a").unwrap();
        world.enter("b").unwrap();
        let limit = world.now;
        world.enter("c").unwrap();
        assert_eq!(world.places.idle(limit), ["a"]);
        let now = world.tick();
        assert_eq!(world.places.idle(now), ["b", "c"]);
        assert_eq!(world.places.begin(a, Kind::Ordinary), Err(Refusal::Full));
        world.check();
    }

    #[test]
    fn a_client_has_a_share_and_closes_its_own_connections_for_more() {
        let bounds = Bounds { ordinary: 4, reserved: 60, per_client: None };
        let mut world = World::new(bounds);
        let greedy = Client::at([192, 0, 2, 1].into());
        let other = Client::at([192, 0, 2, 2].into());
        world.enter_from("other", other).unwrap();
        let names = ["a", "b", "c", "d", "e", "f"];
        let ids: Vec<Id> = names.map(|name| world.enter_from(name, greedy).unwrap().0).into();
        assert_eq!(world.enter_from("g", greedy).unwrap().1, Some("a"));
        for id in &ids[1..3] {
            world.places.begin(*id, Kind::Ordinary).unwrap();
        }
        assert_eq!(world.places.begin(ids[3], Kind::Ordinary), Err(Refusal::Client));
        // Its probes are still answered.
        assert_eq!(world.places.begin(ids[3], Kind::Health), Ok(Kind::Health));
        let (id, _) = world.enter_from("h", other).unwrap();
        assert_eq!(world.places.begin(id, Kind::Ordinary), Ok(Kind::Ordinary));
        // This machine's own clients have a limit only if one was set.
        for _ in 0..20 {
            assert_eq!(world.enter("local").unwrap().1, None);
        }
        world.places.set_bounds(Bounds { per_client: Some(1), ..bounds });
        assert_eq!(world.enter("local").unwrap().1, Some("local"));
        world.check();
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
