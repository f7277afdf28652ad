//! Events into the mirror: as little of each is decoded as its meaning needs. Pure.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use netlink_packet_core::{DecodeError, NLM_F_EXCL, NLM_F_REPLACE, NlasIterator, parse_u32};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::LinkHeader;

use super::answer::Answer;
use super::mirror::{Arrival, Foreign, Mirror, is_looked_at};
use super::{fold, fold_link};

/// linux/rtnetlink.h.
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTA_DST: u16 = 1;
const RTA_TABLE: u16 = 15;
/// `struct rtmsg` (linux/rtnetlink.h), in bytes.
const ROUTE_HEADER: usize = 12;

/// Folds one event. An error: it cannot be read, and what it meant is lost.
pub(super) fn fold(mirror: &mut Mirror, event: &Answer) -> Result<(), DecodeError> {
    let payload = event.payload;
    let family = *payload.first().ok_or_else(|| DecodeError::from("an event without a header"))?;
    // Bridges, IPv6 and multicast routing use the same groups for objects of their own.
    let expected = match event.kind {
        RTM_NEWLINK | RTM_DELLINK => AddressFamily::Unspec,
        _ => AddressFamily::Inet,
    };
    if family != u8::from(expected) {
        return Ok(());
    }
    match event.kind {
        RTM_NEWLINK => link(mirror, payload)?,
        RTM_DELLINK => {
            mirror.link_gone(LinkHeader::parse(payload)?.index);
        }
        RTM_NEWADDR => fold::address(payload)?.into_iter().for_each(|address| mirror.address(address)),
        RTM_DELADDR => fold::address(payload)?.iter().for_each(|address| mirror.address_gone(address)),
        RTM_NEWROUTE | RTM_DELROUTE => route(mirror, event)?,
        RTM_NEWRULE => mirror.rule(fold::rule(payload)?),
        RTM_DELRULE => mirror.rule_gone(&fold::rule(payload)?),
        _ => {}
    }
    Ok(())
}

/// Some drivers send parts of a link only, such as wireless events: then it is looked at.
fn link(mirror: &mut Mirror, payload: &[u8]) -> Result<(), DecodeError> {
    let link = fold_link::link(payload)?;
    if link.name.is_empty() || link.mtu == 0 {
        mirror.doubt(link.index);
    } else {
        mirror.link(link);
    }
    Ok(())
}

/// A routing daemon beside us sends these by the hundred thousand: what is not looked at is not
/// decoded beyond its table and destination.
fn route(mirror: &mut Mirror, event: &Answer) -> Result<(), DecodeError> {
    let head = Head::read(event.payload)?;
    let came = event.kind == RTM_NEWROUTE;
    if !is_looked_at(head.protocol, head.table) {
        let replaces = came && event.flags & NLM_F_REPLACE != 0;
        mirror.foreign_route(Foreign { table: head.table, destination: head.destination, replaces });
        return Ok(());
    }
    let Some(route) = fold::route(event.payload)? else { return Ok(()) };
    match came {
        true => mirror.route(route, arrival(event.flags)),
        false => mirror.route_gone(&route),
    }
    Ok(())
}

/// `fib_table_insert` (net/ipv4/fib_trie.c) says in the flags what it found at the route's key.
pub(super) fn arrival(flags: u16) -> Arrival {
    if flags & NLM_F_REPLACE != 0 {
        Arrival::Replaces
    } else if flags & NLM_F_EXCL != 0 {
        Arrival::Alone
    } else {
        Arrival::Beside
    }
}

/// What tells whether a route matters.
struct Head {
    protocol: u8,
    table: u32,
    destination: Ipv4Network,
}

impl Head {
    fn read(payload: &[u8]) -> Result<Self, DecodeError> {
        let Some(&[_, length, _, _, table, protocol, ..]) = payload.get(..ROUTE_HEADER) else {
            return Err("a route without a header".into());
        };
        let (mut table, mut destination) = (u32::from(table), Ipv4Addr::UNSPECIFIED);
        for nla in NlasIterator::new(payload.get(ROUTE_HEADER..).unwrap_or_default()) {
            let nla = nla?;
            match (nla.kind(), nla.value()) {
                (RTA_TABLE, value) => table = parse_u32(value)?,
                (RTA_DST, &[a, b, c, d]) => destination = Ipv4Addr::new(a, b, c, d),
                _ => {}
            }
        }
        let destination =
            Ipv4Network::new(destination, length).map_err(|error| DecodeError::from(error.to_string()))?;
        Ok(Self { protocol, table, destination })
    }
}
