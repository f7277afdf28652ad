//! Reading the kernel: dumps, filtered by the kernel where it can, and route lookups.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use netlink_packet_core::DecodeError;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask};
use netlink_packet_route::route::{RouteFlags, RouteProtocol, RouteType};
use netlink_packet_route::rule::RuleMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rtnetlink::{LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use super::answer::Answer;
use super::error::{Error, Refusal};
use super::message::request;
use super::socket::{BATCH, Request, Transport};
use super::{fold, fold_link, rp_filter};
use crate::model::marks::{FWMARK, ROUTE_PROTOCOL, TABLE};
use crate::model::{Address, Link, Observed, Path, Route, Rule};

/// linux/rtnetlink.h.
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWRULE: u16 = 32;

/// Everything, one sort after the other. What names a link that the dump of links had not yet is
/// left out, so every ifindex in the result is in its `links`.
pub(super) fn observe(transport: &mut Transport, remotes: &BTreeSet<Ipv4Addr>) -> Result<Observed, Error> {
    let links = links(transport)?;
    let mut addresses = addresses(transport)?;
    let mut routes = routes_looked_at(transport)?;
    let rules = rules(transport)?;
    let paths = paths(transport, remotes, &links)?;
    addresses.retain(|address| links.contains_key(&address.link));
    routes.retain(|route| route.link.is_none_or(|link| links.contains_key(&link)));
    Ok(Observed { links, addresses, routes, rules, paths })
}

/// Those with our protocol number, and all of our table.
pub(super) fn routes_looked_at(transport: &mut Transport) -> Result<BTreeSet<Route>, Error> {
    let mut looked_at = routes(transport, Some(ROUTE_PROTOCOL), None, |_| true)?;
    looked_at.extend(routes(transport, None, Some(TABLE), |_| true)?);
    Ok(looked_at)
}

/// All links, by ifindex.
pub(super) fn links(transport: &mut Transport) -> Result<BTreeMap<u32, Link>, Error> {
    let name = "dump of the links";
    let builder = LinkMessageBuilder::<LinkUnspec>::new().append_extra_attribute(skip_statistics());
    transport.dump(name, &RouteNetlinkMessage::GetLink(builder.build()), |links, answer| {
        if let Some(link) = folded(name, answer, RTM_NEWLINK, fold_link::link)? {
            BTreeMap::insert(links, link.index, link);
        }
        Ok(())
    })
}

/// One link by ifindex or by name, or several: an answer for each, `None` where there is no such link.
pub(super) fn look(transport: &mut Transport, wanted: &[Which]) -> Result<Vec<Option<Link>>, Error> {
    let name = "read of links";
    let mut found = Vec::with_capacity(wanted.len());
    for batch in wanted.chunks(BATCH) {
        let requests = batch.iter().map(Which::request).collect();
        found.extend(transport.read(name, requests, |answer| match answer {
            Ok(answer) => folded(name, answer, RTM_NEWLINK, fold_link::link),
            Err(refusal) if refusal.is(Errno::ENODEV) => Ok(None),
            Err(refusal) => Err(Error::Refused { request: name, refusal }),
        })?);
    }
    Ok(found)
}

/// How a link is looked for.
pub(super) enum Which {
    Index(u32),
    Name(String),
}

impl Which {
    fn request(&self) -> Request {
        let builder = match self {
            Self::Index(index) => LinkUnspec::new_with_index(*index),
            Self::Name(name) => LinkUnspec::new_with_name(name),
        };
        request(RouteNetlinkMessage::GetLink(builder.append_extra_attribute(skip_statistics()).build()), 0)
    }
}

/// IPv4 addresses of all links.
pub(super) fn addresses(transport: &mut Transport) -> Result<BTreeSet<Address>, Error> {
    let name = "dump of the addresses";
    transport.dump(name, &get_addresses(0), |addresses, answer| fold_address(name, addresses, answer))
}

/// IPv4 addresses of one link; none of a link that is gone.
pub(super) fn addresses_of(transport: &mut Transport, link: u32) -> Result<BTreeSet<Address>, Error> {
    let name = "read of a link's addresses";
    let read = transport
        .select(name, &get_addresses(link), |addresses, answer| fold_address(name, addresses, answer));
    none_if(Errno::ENODEV, read)
}

/// 0: of all links.
fn get_addresses(link: u32) -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.index = link;
    RouteNetlinkMessage::GetAddress(message)
}

fn fold_address(name: &'static str, into: &mut BTreeSet<Address>, answer: &Answer) -> Result<(), Error> {
    into.extend(folded(name, answer, RTM_NEWADDR, fold::address)?.flatten());
    Ok(())
}

/// IPv4 routes, filtered in the kernel by protocol and by table (`NETLINK_GET_STRICT_CHK`), and
/// here by `keep`, message by message: a table may have a million.
pub(super) fn routes(
    transport: &mut Transport,
    protocol: Option<u8>,
    table: Option<u32>,
    keep: impl Fn(&Route) -> bool,
) -> Result<BTreeSet<Route>, Error> {
    let name = "dump of the routes";
    let request = get_routes(protocol, table, None);
    let dump = transport.dump(name, &request, |routes, answer| fold_route(name, routes, answer, &keep));
    // A table that nobody has put a route into does not exist.
    none_if(Errno::ENOENT, dump)
}

/// The routes by one link alone in one table, as far as greyhound looks at them.
pub(super) fn routes_of(transport: &mut Transport, link: u32, table: u32) -> Result<BTreeSet<Route>, Error> {
    let name = "read of a link's routes";
    let protocol = (table != TABLE).then_some(ROUTE_PROTOCOL);
    let request = get_routes(protocol, Some(table), Some(link));
    // A route of several links is dumped for each of them.
    let keep = |route: &Route| route.link == Some(link);
    let read = transport.select(name, &request, |routes, answer| fold_route(name, routes, answer, keep));
    none_if(Errno::ENODEV, none_if(Errno::ENOENT, read))
}

fn get_routes(protocol: Option<u8>, table: Option<u32>, link: Option<u32>) -> RouteNetlinkMessage {
    let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .protocol(protocol.map_or(RouteProtocol::Unspec, RouteProtocol::from))
        .kind(RouteType::Unspec)
        .table_id(table.unwrap_or(0));
    if let Some(link) = link {
        builder = builder.output_interface(link);
    }
    let mut message = builder.build();
    if table.is_none_or(|table| table > 255) {
        message.header.table = 0;
    }
    RouteNetlinkMessage::GetRoute(message)
}

fn fold_route(
    name: &'static str,
    into: &mut BTreeSet<Route>,
    answer: &Answer,
    keep: impl Fn(&Route) -> bool,
) -> Result<(), Error> {
    into.extend(folded(name, answer, RTM_NEWROUTE, fold::route)?.flatten().filter(keep));
    Ok(())
}

/// A refusal that says that there is nothing to read from.
fn none_if<T>(errno: Errno, read: Result<BTreeSet<T>, Error>) -> Result<BTreeSet<T>, Error> {
    match read {
        Err(Error::Refused { refusal, .. }) if refusal.is(errno) => Ok(BTreeSet::new()),
        other => other,
    }
}

/// IPv4 routing rules.
pub(super) fn rules(transport: &mut Transport) -> Result<BTreeSet<Rule>, Error> {
    let name = "dump of the rules";
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    transport.dump(name, &RouteNetlinkMessage::GetRule(message), |rules, answer| {
        BTreeSet::extend(rules, folded(name, answer, RTM_NEWRULE, fold::rule)?);
        Ok(())
    })
}

/// The kernel's lookup for each remote, with the mark that outer packets carry.
/// A remote that the kernel has no way to is absent.
pub(super) fn paths(
    transport: &mut Transport,
    remotes: &BTreeSet<Ipv4Addr>,
    links: &BTreeMap<u32, Link>,
) -> Result<BTreeMap<Ipv4Addr, Path>, Error> {
    let name = "route lookup";
    let mut paths = BTreeMap::new();
    let remotes: Vec<_> = remotes.iter().copied().collect();
    for batch in remotes.chunks(BATCH / 2) {
        let both = |remote: &Ipv4Addr| [lookup(*remote, false), lookup(*remote, true)];
        let requests = batch.iter().flat_map(both).collect();
        let answers = transport.read(name, requests, |answer| match answer {
            Ok(answer) => folded(name, answer, RTM_NEWROUTE, fold::way),
            Err(refusal) if is_no_way(&refusal) => Ok(None),
            Err(refusal) => Err(Error::Refused { request: name, refusal }),
        })?;
        for (remote, answers) in batch.iter().zip(answers.chunks(2)) {
            let [Some(way), route] = answers else { continue };
            paths.extend(way.path(route.as_ref(), links).map(|path| (*remote, path)));
        }
    }
    rp_filter::mark(&mut paths, links);
    Ok(paths)
}

/// `route`: the entry of the routing table is asked for, not what becomes of it with what the kernel has learned.
fn lookup(remote: Ipv4Addr, route: bool) -> Request {
    let mut message = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(remote, 32)
        .mark(FWMARK)
        .protocol(RouteProtocol::Unspec)
        .kind(RouteType::Unspec)
        .table_id(0)
        .build();
    message.header.flags.set(RouteFlags::FibMatch, route);
    request(RouteNetlinkMessage::GetRoute(message), 0)
}

/// No route, or one of the types unreachable, prohibit and blackhole (`fib_props`, net/ipv4/fib_semantics.c).
fn is_no_way(refusal: &Refusal) -> bool {
    [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EACCES, Errno::EINVAL]
        .into_iter()
        .any(|errno| refusal.is(errno))
}

/// The statistics are most of a link's message, and nobody here reads them.
fn skip_statistics() -> LinkAttribute {
    LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])
}

fn folded<T>(
    name: &'static str,
    answer: &Answer,
    kind: u16,
    fold: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<Option<T>, Error> {
    if answer.kind != kind {
        return Ok(None);
    }
    fold(answer.payload).map(Some).map_err(Error::decode(name))
}
