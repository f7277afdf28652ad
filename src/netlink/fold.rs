//! Address, route and rule messages into the model's types. Only what greyhound looks at is
//! decoded, as in `fold_link`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::Ipv4Network;
use netlink_packet_core::{
    DecodeError, NlasIterator, Parseable, ParseableParametrized, parse_u8, parse_u16, parse_u32,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeader};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteLwEnCapType, RouteMetric, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleHeader};

use super::socket::NLMSG_ALIGN;
use crate::model::{Address, Link, Path, Route, RouteKind, Rule, Scope};

/// `struct ifaddrmsg` (linux/if_addr.h), `struct rtmsg` (linux/rtnetlink.h) and
/// `struct fib_rule_hdr` (linux/fib_rules.h), in bytes.
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;
const RULE_HEADER: usize = 12;
/// linux/if_addr.h.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_PROTO: u16 = 11;
/// `RTA_DST`, `RTA_OIF`, `RTA_GATEWAY`, `RTA_PRIORITY`, `RTA_PREFSRC`, `RTA_METRICS`, `RTA_TABLE`
/// (linux/rtnetlink.h).
const ROUTE_ATTRIBUTES: [u16; 7] = [1, 4, 5, 6, 7, 8, 15];
const RTA_MULTIPATH: u16 = 9;
/// What the kernel writes into `FRA_SUPPRESS_PREFIXLEN` of a rule that suppresses nothing
/// (`fib_nl_fill_rule`, net/core/fib_rules.c).
const NO_SUPPRESSION: u32 = u32::MAX;

/// Folds the payload of an `RTM_NEWADDR`; `None` for another family than IPv4.
pub(super) fn address(payload: &[u8]) -> Result<Option<Address>, DecodeError> {
    let header = AddressHeader::parse(payload)?;
    if header.family != AddressFamily::Inet {
        return Ok(None);
    }
    let (mut local, mut peer) = (None, None);
    let (mut label, mut protocol) = (String::new(), 0);
    for nla in attributes(payload, ADDRESS_HEADER) {
        let nla = nla?;
        match nla.kind() {
            IFA_LABEL => label = text(nla.value()),
            IFA_PROTO => protocol = parse_u8(nla.value())?,
            IFA_LOCAL | IFA_ADDRESS => match AddressAttribute::parse(&nla)? {
                AddressAttribute::Local(IpAddr::V4(address)) => local = Some(address),
                AddressAttribute::Address(IpAddr::V4(address)) => peer = Some(address),
                _ => {}
            },
            _ => {}
        }
    }
    let Some(address) = local.or(peer) else { return Ok(None) };
    Ok(Some(Address {
        link: header.index,
        address: network(address, header.prefix_len)?,
        scope: Scope::from_wire(header.scope.into()),
        label,
        protocol,
    }))
}

/// Folds the payload of an `RTM_NEWROUTE`; `None` for a cached exception, which is no route.
pub(super) fn route(payload: &[u8]) -> Result<Option<Route>, DecodeError> {
    let header = RouteHeader::parse(payload)?;
    if header.flags.contains(RouteFlags::Cloned) {
        return Ok(None);
    }
    let mut route = Route {
        table: u32::from(header.table),
        destination: network(Ipv4Addr::UNSPECIFIED, header.destination_prefix_length)?,
        metric: 0,
        tos: header.tos,
        link: None,
        gateway: None,
        prefsrc: None,
        protocol: header.protocol.into(),
        scope: Scope::from_wire(header.scope.into()),
        kind: route_kind(header.kind),
    };
    for attribute in route_attributes(payload, &header) {
        match attribute? {
            RouteAttribute::Table(table) => route.table = table,
            RouteAttribute::Destination(RouteAddress::Inet(address)) => {
                route.destination = network(address, header.destination_prefix_length)?;
            }
            RouteAttribute::Priority(metric) => route.metric = metric,
            RouteAttribute::Oif(index) => route.link = Some(index),
            RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => route.gateway = Some(gateway),
            RouteAttribute::PrefSource(RouteAddress::Inet(source)) => route.prefsrc = Some(source),
            _ => {}
        }
    }
    Ok(Some(route))
}

/// Folds the payload of an `RTM_NEWRULE`.
pub(super) fn rule(payload: &[u8]) -> Result<Rule, DecodeError> {
    let header = RuleHeader::parse(payload)?;
    let mut rule = Rule {
        priority: 0,
        invert: header.flags.contains(RuleFlags::Invert),
        fwmark: None,
        table: u32::from(header.table),
        suppress_prefixlength: None,
        protocol: 0,
        exotic: header.action != RuleAction::ToTable
            || (header.src_len, header.dst_len, header.tos) != (0, 0, 0),
    };
    let (mut mark, mut mask) = (None, None);
    for nla in attributes(payload, RULE_HEADER) {
        match RuleAttribute::parse(&nla?) {
            Ok(RuleAttribute::Priority(priority)) => rule.priority = priority,
            Ok(RuleAttribute::Table(table)) => rule.table = table,
            Ok(RuleAttribute::Protocol(protocol)) => rule.protocol = protocol.into(),
            Ok(RuleAttribute::FwMark(number)) => mark = Some(number),
            Ok(RuleAttribute::FwMask(number)) => mask = Some(number),
            Ok(RuleAttribute::SuppressPrefixLen(NO_SUPPRESSION)) => {}
            Ok(RuleAttribute::SuppressPrefixLen(length)) => rule.suppress_prefixlength = Some(length),
            Ok(_) | Err(_) => rule.exotic = true,
        }
    }
    if mark.is_some() || mask.is_some() {
        rule.fwmark = Some((mark.unwrap_or(0), mask.unwrap_or(u32::MAX)));
    }
    Ok(rule)
}

/// The answer to a route lookup: the way that a packet takes, or the route that the way is from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    link: Option<u32>,
    gateway: Option<Ipv4Addr>,
    source: Option<Ipv4Addr>,
    mtu: Option<u32>,
    /// The links of a route of several.
    hops: Vec<u32>,
}

/// Folds the answer to a route lookup.
pub(super) fn way(payload: &[u8]) -> Result<Way, DecodeError> {
    let mut way = Way::default();
    for attribute in route_attributes(payload, &RouteHeader::parse(payload)?) {
        match attribute? {
            RouteAttribute::Oif(oif) => way.link = Some(oif),
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => way.gateway = Some(address),
            RouteAttribute::PrefSource(RouteAddress::Inet(address)) => way.source = Some(address),
            RouteAttribute::Metrics(metrics) => way.mtu = metrics.iter().find_map(metric_mtu),
            _ => {}
        }
    }
    for nla in attributes(payload, ROUTE_HEADER) {
        let nla = nla?;
        if nla.kind() == RTA_MULTIPATH {
            way.hops = hops(nla.value())?;
        }
    }
    Ok(way)
}

impl Way {
    /// `route`: the entry of the routing table that this way is from. The MTU is the entry's, else the least of its
    /// links: what a way itself says may come from a message that a packet was too big, which anybody can forge, and
    /// which the kernel forgets after ten minutes. `None` for a link that is not in `links`.
    pub(super) fn path(&self, route: Option<&Self>, links: &BTreeMap<u32, Link>) -> Option<Path> {
        let link = links.get(&self.link?)?;
        let hops = route.iter().flat_map(|route| &route.hops);
        let least = hops.filter_map(|index| links.get(index)).map(|link| link.mtu).min();
        let mtu = route.and_then(|route| route.mtu).or(least).unwrap_or(link.mtu);
        Some(Path { link: link.index, gateway: self.gateway, source: self.source, mtu, strict_rp: false })
    }
}

/// The link of each `struct rtnexthop` (linux/rtnetlink.h): its length is in the first two bytes, its ifindex in the
/// last four of eight.
fn hops(mut value: &[u8]) -> Result<Vec<u32>, DecodeError> {
    let mut links = Vec::new();
    while let (Some(length), Some(index)) = (value.get(..2), value.get(4..8)) {
        links.push(parse_u32(index)?);
        let length = usize::from(parse_u16(length)?).max(8).next_multiple_of(NLMSG_ALIGN);
        value = value.get(length..).unwrap_or_default();
    }
    Ok(links)
}

/// The attributes of a route that are looked at.
fn route_attributes(
    payload: &[u8],
    header: &RouteHeader,
) -> impl Iterator<Item = Result<RouteAttribute, DecodeError>> {
    let kind = (header.address_family, header.kind, RouteLwEnCapType::None);
    attributes(payload, ROUTE_HEADER).filter_map(move |nla| match nla {
        Ok(nla) if ROUTE_ATTRIBUTES.contains(&nla.kind()) => {
            Some(RouteAttribute::parse_with_param(&nla, kind))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// What follows a header of so many bytes.
fn attributes(payload: &[u8], header: usize) -> NlasIterator<&[u8]> {
    NlasIterator::new(payload.get(header..).unwrap_or_default())
}

/// A name of a device or label: the kernel takes any bytes.
pub(super) fn text(value: &[u8]) -> String {
    let bytes = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

fn metric_mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    }
}

fn route_kind(kind: RouteType) -> RouteKind {
    match kind {
        RouteType::Unicast => RouteKind::Unicast,
        other => RouteKind::Other(other.into()),
    }
}

fn network(address: Ipv4Addr, prefix: u8) -> Result<Ipv4Network, DecodeError> {
    Ipv4Network::new(address, prefix).map_err(|error| DecodeError::from(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LinkKind;
    use crate::netlink::captured;

    #[test]
    fn an_address_is_read() {
        let expected = Address {
            link: 6,
            address: "169.254.10.0/31".parse().unwrap(),
            scope: Scope::Link,
            label: "b2".into(),
            protocol: 0,
        };
        assert_eq!(address(&captured::bytes(captured::ADDRESS)).unwrap(), Some(expected));
    }

    #[test]
    fn a_route_is_read() {
        let expected = Route {
            table: 4700,
            destination: "10.9.0.0/16".parse().unwrap(),
            metric: 7,
            tos: 0,
            link: Some(5),
            gateway: None,
            prefsrc: Some([10, 4, 4, 4].into()),
            protocol: 147,
            scope: Scope::Link,
            kind: RouteKind::Unicast,
        };
        assert_eq!(route(&captured::bytes(captured::ROUTE)).unwrap(), Some(expected));
        let blackhole = route(&captured::bytes(captured::BLACKHOLE)).unwrap().unwrap();
        assert_eq!((blackhole.kind, blackhole.link, blackhole.table), (RouteKind::Other(6), None, 254));
    }

    #[test]
    fn a_cached_exception_is_no_route() {
        assert_eq!(route(&captured::bytes(captured::PATH)).unwrap(), None);
    }

    #[test]
    fn a_paths_mtu_is_the_routes_then_the_links() {
        let link = Link {
            index: 5,
            name: "b2".into(),
            kind: LinkKind::Other(String::new()),
            mtu: 1500,
            group: 0,
            up: true,
            multicast: false,
            master: None,
            addrgen_none: true,
        };
        let narrow = Link { index: 6, mtu: 1450, ..link.clone() };
        let links = BTreeMap::from([(5, link), (6, narrow)]);
        let read = |hex: &str| way(&captured::bytes(hex)).unwrap();
        let without = captured::PATH.replace("0c000800080002007805000", "0c000800080009007805000");
        let (plain, cached) = (read(&without), read(captured::PATH));
        let gateway = Some([169, 254, 10, 1].into());
        let expected =
            Path { link: 5, gateway, source: Some([10, 4, 4, 4].into()), mtu: 1400, strict_rp: false };
        assert_eq!(plain.path(Some(&cached), &links), Some(expected));
        assert_eq!(plain.path(Some(&cached), &BTreeMap::new()), None, "a link that is not known");
        let mtu = |way: &Way, route: Option<&Way>| way.path(route, &links).unwrap().mtu;
        assert_eq!(mtu(&plain, Some(&plain)), 1500);
        assert_eq!(mtu(&cached, Some(&plain)), 1500, "what the kernel has learned is not the route's");
        assert_eq!(mtu(&cached, None), 1500);
        let several = Way { hops: vec![5, 6], ..Way::default() };
        assert_eq!(mtu(&cached, Some(&several)), 1450, "the least of its links");
    }

    #[test]
    fn the_links_of_a_route_of_several_are_read() {
        // Two hops: length, flags, weight, ifindex, and in the first a gateway.
        let hops = |hex: &str| hops(&captured::bytes(hex));
        assert_eq!(hops("1000000005000000080005000a0000010800000006000000").unwrap(), [5, 6]);
        assert_eq!(hops("0000000005000000").unwrap(), [5], "a length of nothing ends");
        assert_eq!(hops("100000").unwrap(), [0; 0]);
    }

    #[test]
    fn rules_of_our_sort_are_read_and_others_are_exotic() {
        let rule = |hex| rule(&captured::bytes(hex)).unwrap();
        let plain = Rule {
            priority: 4701,
            invert: false,
            fwmark: None,
            table: 4700,
            suppress_prefixlength: Some(0),
            protocol: 147,
            exotic: false,
        };
        assert_eq!(rule(captured::RULE_SUPPRESS), plain);
        let fwmark = Some((0x47, u32::MAX));
        let marked = Rule { priority: 4700, fwmark, table: 254, suppress_prefixlength: None, ..plain };
        assert_eq!(rule(captured::RULE_MARK), marked);
        assert!(rule(captured::RULE_EXOTIC).exotic);
        assert!(rule(captured::RULE_L3MDEV).exotic);
    }
}
