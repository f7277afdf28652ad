//! The life of a session: requested by its host, built by both ends, ended, and gone when its edge says so.
//!
//! Until then its addresses are its own: the edge is the fence, and no lease ends by time.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::draft::{Decision, Draft};
use super::interfaces::check_host;
use super::refused::Refused;
use super::row::{Kind, RowName};
use super::supply::{Supply, Want};
use super::tables::Registry;
use crate::model::{
    Device, DeviceCode, DeviceStatus, HostName, Kind as TunnelKind, Lease, Purpose, Seat, Session,
    SessionKey, SessionState, Sharing, Timestamp, TunnelName, Underlay,
};

/// What a client host asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub host: HostName,
    /// The tunnel's name on the client host.
    pub name: TunnelName,
    pub kind: TunnelKind,
    pub device: DeviceCode,
    /// `None`: the lowest that is free for this client.
    pub termination: Option<Ipv4Addr>,
    pub underlay: Underlay,
    pub publish: BTreeSet<Ipv4Addr>,
    pub subscribe: BTreeSet<Ipv4Addr>,
}

/// Takes termination, /31 and client address for a session, or nothing. Asked again with the same words, it is
/// answered with the session that is there.
pub fn request(registry: &Registry, request: &Request, now: Timestamp) -> Result<Decision<Session>, Refused> {
    let key = SessionKey { host: request.host.clone(), name: request.name.clone() };
    if let Some(session) = registry.sessions.get(&key.to_string()) {
        return same(&session.value, request, key);
    }
    check_words(request)?;
    let device = registry.device(&request.device)?;
    let client = request.underlay.seen();
    let termination = place(registry, device, request.termination, client)?;
    let (mut draft, mut supply) = (Draft::new(registry), Supply::new(registry));
    let mut take = |purpose| {
        let want = Want {
            holder: key.holder(),
            purpose,
            count: 1,
            device: Some(&request.device),
            pool: None,
            pinned: None,
            reserve: false,
        };
        let leases = supply.take(&mut draft, &want, now)?;
        let [Lease { prefix, .. }] = leases.as_slice() else { unreachable!("one was asked for") };
        Ok::<_, Refused>(*prefix)
    };
    let session = Session {
        overlay: take(Purpose::Overlay)?,
        client: take(Purpose::Client)?.ip(),
        host: request.host.clone(),
        name: request.name.clone(),
        device: request.device.clone(),
        kind: request.kind,
        termination,
        underlay: request.underlay,
        publish: request.publish.clone(),
        subscribe: request.subscribe.clone(),
        state: SessionState::Requested,
        since: now,
    };
    seats(&session, device.sharing).iter().for_each(|seat| draft.put(seat));
    draft.put(&session);
    supply.tell_needs(&mut draft, &[], now);
    Ok(Decision { transaction: draft.finish()?, value: session })
}

/// The edge has built its end by what the session was when it read it, and read the kernel back. A session that is
/// another by now is to be built anew.
pub fn edge_ready(
    registry: &Registry,
    built: &Session,
    now: Timestamp,
) -> Result<Decision<Session>, Refused> {
    step(registry, &built.key(), now, |session| match session.state {
        _ if !is_built(session, built) => Err(ANOTHER),
        SessionState::Requested | SessionState::EdgeReady => Ok(SessionState::EdgeReady),
        SessionState::Ready => Ok(SessionState::Ready),
        SessionState::Ending => Err("it is to be taken down"),
    })
}

/// The host has built its end, too; as [`edge_ready`].
pub fn host_ready(
    registry: &Registry,
    built: &Session,
    now: Timestamp,
) -> Result<Decision<Session>, Refused> {
    step(registry, &built.key(), now, |session| match session.state {
        _ if !is_built(session, built) => Err(ANOTHER),
        SessionState::EdgeReady | SessionState::Ready => Ok(SessionState::Ready),
        SessionState::Requested => Err("its edge is not ready yet"),
        SessionState::Ending => Err("it is to be taken down"),
    })
}

const ANOTHER: &str = "it has changed since its tunnel was built: build it anew";

fn is_built(session: &Session, built: &Session) -> bool {
    let Session { state, since, .. } = session.clone();
    *session == Session { state, since, ..built.clone() }
}

/// The client has another address in the underlay: the session keeps all that it has, and its edge builds its end anew.
pub fn follow(
    registry: &Registry,
    key: &SessionKey,
    underlay: Underlay,
    now: Timestamp,
) -> Result<Decision<Session>, Refused> {
    let mut session = registry.session(key)?.clone();
    if session.state == SessionState::Ending {
        let what = "it is to be taken down";
        return Err(Refused::State { session: key.clone(), state: session.state, what });
    }
    check_underlay(underlay)?;
    let mut draft = Draft::new(registry);
    if session.underlay != underlay {
        let seat = |underlay: Underlay| Seat::of_client(session.termination, underlay.seen(), key);
        let (before, after) = (seat(session.underlay), seat(underlay));
        if let Some(other) =
            registry.seats.get(&after.key()).filter(|other| other.value.session != after.session)
        {
            return Err(Refused::Taken { address: session.termination, by: other.value.session.clone() });
        }
        draft.delete(&before);
        draft.put(&after);
        session = Session { underlay, state: SessionState::Requested, since: now, ..session };
        draft.put(&session);
    }
    Ok(Decision { transaction: draft.finish()?, value: session })
}

/// From now on both ends take it down. Ended again, nothing changes.
pub fn end(registry: &Registry, key: &SessionKey, now: Timestamp) -> Result<Decision<Session>, Refused> {
    step(registry, key, now, |_| Ok(SessionState::Ending))
}

/// The edge has read back that its end is gone: the session is no more, and its addresses are free. A session that is
/// gone already stays so. `forced`: an operator says so of an edge that cannot, whatever the state.
pub fn confirm_gone(
    registry: &Registry,
    key: &SessionKey,
    forced: bool,
    now: Timestamp,
) -> Result<Decision<Option<Session>>, Refused> {
    let mut draft = Draft::new(registry);
    let Some(session) = registry.sessions.get(&key.to_string()).map(|session| &session.value) else {
        return Ok(Decision { transaction: draft.finish()?, value: None });
    };
    if session.state != SessionState::Ending && !forced {
        let what = "end it first: its host may still use it";
        return Err(Refused::State { session: key.clone(), state: session.state, what });
    }
    let mut supply = Supply::new(registry);
    supply.give_back(&mut draft, &key.holder());
    let seats = registry.seats.values().filter(|seat| seat.value.session == key.to_string());
    seats.for_each(|seat| draft.delete(&seat.value));
    draft.delete(session);
    supply.tell_needs(&mut draft, &[], now);
    Ok(Decision { transaction: draft.finish()?, value: Some(session.clone()) })
}

/// The terminations of a device that a session of this client could have now, by address; or why there is none.
pub fn free_terminations(
    registry: &Registry,
    device: &Device,
    client: Ipv4Addr,
) -> Result<Vec<Ipv4Addr>, Refused> {
    check_device(registry, device)?;
    let mut free: Vec<_> = registry
        .terminations_of(&device.code)
        .filter(|address| check_seat(registry, device.sharing, *address, client).is_ok())
        .collect();
    free.sort();
    if free.is_empty() {
        return Err(Refused::NoTermination { code: device.code.clone(), client });
    }
    Ok(free)
}

fn check_underlay(underlay: Underlay) -> Result<(), Refused> {
    check_host(underlay.bound, "client's underlay address")?;
    check_host(underlay.seen(), "client's public address")
}

/// What can be said of a request alone.
fn check_words(request: &Request) -> Result<(), Refused> {
    let Request { kind, underlay, publish, subscribe, .. } = request;
    check_underlay(*underlay)?;
    let mut groups = publish.iter().chain(subscribe).peekable();
    if *kind == TunnelKind::Unicast && groups.peek().is_some() {
        return Err(Refused::UnicastGroups);
    }
    match groups.find(|group| !group.is_multicast()) {
        Some(address) => Err(Refused::NoGroup(*address)),
        None => Ok(()),
    }
}

/// The termination that was asked for, or the lowest that is free.
fn place(
    registry: &Registry,
    device: &Device,
    asked: Option<Ipv4Addr>,
    client: Ipv4Addr,
) -> Result<Ipv4Addr, Refused> {
    let Some(address) = asked else {
        return free_terminations(registry, device, client).map(|free| free[0]);
    };
    check_device(registry, device)?;
    if !registry.terminations_of(&device.code).any(|offered| offered == address) {
        return Err(Refused::NotOffered { address, code: device.code.clone() });
    }
    check_seat(registry, device.sharing, address, client).map(|()| address)
}

/// May a device have one session more?
pub fn check_device(registry: &Registry, device: &Device) -> Result<(), Refused> {
    let code = device.code.clone();
    if device.status != DeviceStatus::Activated {
        return Err(Refused::NotActivated { code, status: device.status });
    }
    let sessions = registry.sessions_of(&device.code).count() as u64;
    match device.max_sessions {
        Some(max) if sessions >= max => Err(Refused::Full { code, max }),
        _ => Ok(()),
    }
}

/// The kernel tells tunnels apart by their two ends: one client never has a termination twice.
fn check_seat(
    registry: &Registry,
    sharing: Sharing,
    termination: Ipv4Addr,
    client: Ipv4Addr,
) -> Result<(), Refused> {
    let seats = registry.seats.values().map(|seat| &seat.value);
    let mut of_it = seats.filter(|seat| seat.termination == termination);
    let in_the_way = |seat: &&Seat| match (sharing, seat.client) {
        (Sharing::Exclusive, _) | (Sharing::PerClient, None) => true,
        (Sharing::PerClient, Some(other)) => other == client,
    };
    match of_it.find(in_the_way) {
        Some(seat) => Err(Refused::Taken { address: termination, by: seat.session.clone() }),
        None => Ok(()),
    }
}

fn seats(session: &Session, sharing: Sharing) -> Vec<Seat> {
    let (key, termination) = (session.key(), session.termination);
    let pair = Seat::of_client(termination, session.underlay.seen(), &key);
    match sharing {
        Sharing::Exclusive => vec![Seat::alone(termination, &key), pair],
        Sharing::PerClient => vec![pair],
    }
}

fn same(session: &Session, request: &Request, key: SessionKey) -> Result<Decision<Session>, Refused> {
    let Request { host: _, name: _, kind, device, termination, underlay, publish, subscribe } = request;
    if session.state == SessionState::Ending {
        let what = "wait until its edge has taken it down, or use another name";
        return Err(Refused::State { session: key, state: session.state, what });
    }
    let agrees = session.kind == *kind
        && session.device == *device
        && termination.is_none_or(|address| address == session.termination)
        && session.underlay == *underlay
        && session.publish == *publish
        && session.subscribe == *subscribe;
    if agrees {
        return Ok(Decision { transaction: Default::default(), value: session.clone() });
    }
    let what = format!("{} to device {}; end it, or use another name", session.kind, session.device);
    Err(Refused::Differs { row: RowName::new(Kind::Session, key.to_string()), what })
}

fn step(
    registry: &Registry,
    key: &SessionKey,
    now: Timestamp,
    next: impl FnOnce(&Session) -> Result<SessionState, &'static str>,
) -> Result<Decision<Session>, Refused> {
    let mut session = registry.session(key)?.clone();
    let state = next(&session);
    let state = state.map_err(|what| Refused::State { session: key.clone(), state: session.state, what })?;
    if state != session.state {
        session.state = state;
        session.since = now;
    }
    let mut draft = Draft::new(registry);
    draft.put(&session);
    Ok(Decision { transaction: draft.finish()?, value: session })
}

impl Registry {
    /// The session of this key, or an error that says that there is none.
    pub fn session(&self, key: &SessionKey) -> Result<&Session, Refused> {
        let absent = || Refused::Absent(RowName::new(Kind::Session, key.to_string()));
        self.sessions.get(&key.to_string()).map(|session| &session.value).ok_or_else(absent)
    }

    /// The sessions of a device, by key, those that are ending too.
    pub fn sessions_of(&self, device: &DeviceCode) -> impl Iterator<Item = &Session> {
        self.sessions.values().map(|session| &session.value).filter(move |session| session.device == *device)
    }

    /// The sessions of a client host, by key.
    pub fn sessions_from(&self, host: &HostName) -> impl Iterator<Item = &Session> {
        self.sessions.values().map(|session| &session.value).filter(move |session| session.host == *host)
    }

    /// The addresses that a device offers, taken or not.
    pub fn terminations_of(&self, device: &DeviceCode) -> impl Iterator<Item = Ipv4Addr> {
        let all = self.terminations.values().map(|termination| &termination.value);
        all.filter(move |offer| offer.device == *device).map(|offer| offer.address)
    }
}

#[cfg(test)]
mod tests;
