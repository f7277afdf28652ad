//! Messages for addresses, routes and rules: a step's words as netlink attributes. Pure.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol};
use netlink_packet_route::route::{RouteMessage, RouteProtocol, RouteType};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::RouteMessageBuilder;

use super::socket::Request;
use crate::model::{Address, Route, RouteKind, Rule};

/// `RTN_UNICAST` (linux/rtnetlink.h).
const RTN_UNICAST: u8 = 1;

/// With `NLM_F_EXCL`: what is there already is never changed.
pub(super) fn add_address(address: &Address) -> Request {
    let mut message = self::address(address);
    let Address { protocol, .. } = address;
    if *protocol != 0 {
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(*protocol)));
    }
    request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Of the same link, prefix and label only.
pub(super) fn delete_address(address: &Address) -> Request {
    request(RouteNetlinkMessage::DelAddress(self::address(address)), 0)
}

/// With `NLM_F_EXCL`: a route of the same key is never replaced, nor another one put beside it.
pub(super) fn add_route(route: &Route) -> Request {
    request(RouteNetlinkMessage::NewRoute(self::route(route)), NLM_F_CREATE | NLM_F_EXCL)
}

/// A route with all of these values only.
pub(super) fn delete_route(route: &Route) -> Request {
    request(RouteNetlinkMessage::DelRoute(self::route(route)), 0)
}

/// With `NLM_F_EXCL`: the kernel would take the same rule any number of times.
pub(super) fn add_rule(rule: &Rule) -> Request {
    request(RouteNetlinkMessage::NewRule(self::rule(rule)), NLM_F_CREATE | NLM_F_EXCL)
}

/// A rule with all of these values.
pub(super) fn delete_rule(rule: &Rule) -> Request {
    request(RouteNetlinkMessage::DelRule(self::rule(rule)), 0)
}

/// A message, and the flags that its header carries beyond `NLM_F_REQUEST`.
pub(super) fn request(message: RouteNetlinkMessage, flags: u16) -> Request {
    let mut request = Request::from(message);
    request.header.flags = flags;
    request
}

/// Filled by hand: rtnetlink's builder knows no label, scope and protocol.
fn address(address: &Address) -> AddressMessage {
    let Address { link, address, scope, label, protocol: _ } = address;
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = address.prefix();
    message.header.scope = scope.wire().into();
    message.header.index = *link;
    let ip = IpAddr::V4(address.ip());
    message.attributes = vec![
        AddressAttribute::Local(ip),
        AddressAttribute::Address(ip),
        AddressAttribute::Label(label.clone()),
    ];
    message
}

fn route(route: &Route) -> RouteMessage {
    let Route { table, destination, metric, tos, link, gateway, prefsrc, protocol, scope, kind } = route;
    let kind = match kind {
        RouteKind::Unicast => RTN_UNICAST,
        RouteKind::Other(kind) => *kind,
    };
    let mut builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .table_id(*table)
        .destination_prefix(destination.network(), destination.prefix())
        .tos(*tos)
        .protocol(RouteProtocol::from(*protocol))
        .scope(scope.wire().into())
        .kind(RouteType::from(kind));
    if *metric != 0 {
        builder = builder.priority(*metric);
    }
    if let Some(link) = *link {
        builder = builder.output_interface(link);
    }
    if let Some(gateway) = *gateway {
        builder = builder.gateway(gateway);
    }
    if let Some(prefsrc) = *prefsrc {
        builder = builder.pref_source(prefsrc);
    }
    let mut message = builder.build();
    if *table > u32::from(u8::MAX) {
        // Where RTA_TABLE stands, the header has no say; the builder left "main" in it.
        message.header.table = 0;
    }
    message
}

fn rule(rule: &Rule) -> RuleMessage {
    let Rule { priority, invert, fwmark, table, suppress_prefixlength, protocol, exotic: _ } = rule;
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.action = RuleAction::ToTable;
    message.header.flags.set(RuleFlags::Invert, *invert);
    message.attributes = vec![
        RuleAttribute::Priority(*priority),
        RuleAttribute::Table(*table),
        RuleAttribute::Protocol(RouteProtocol::from(*protocol)),
    ];
    if let Some((mark, mask)) = *fwmark {
        message.attributes.extend([RuleAttribute::FwMark(mark), RuleAttribute::FwMask(mask)]);
    }
    if let Some(length) = *suppress_prefixlength {
        message.attributes.push(RuleAttribute::SuppressPrefixLen(length));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scope;
    use crate::netlink::fold;

    /// The payload as the kernel would read it.
    fn payload(mut request: Request) -> Vec<u8> {
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        bytes.split_off(16)
    }

    #[test]
    fn an_address_carries_its_label_scope_and_protocol() {
        let address = Address {
            link: 7,
            address: "169.254.10.0/31".parse().unwrap(),
            scope: Scope::Link,
            label: "gh-ams".into(),
            protocol: 147,
        };
        let request = add_address(&address);
        assert_eq!(request.header.flags, NLM_F_CREATE | NLM_F_EXCL);
        assert_eq!(fold::address(&payload(request)).unwrap(), Some(address.clone()));
        let deletion = fold::address(&payload(delete_address(&address))).unwrap();
        assert_eq!(deletion, Some(Address { protocol: 0, ..address }));
    }

    #[test]
    fn a_route_carries_every_field_in_small_and_large_tables() {
        for table in [254, 4700] {
            for metric in [0, 77] {
                let route = Route {
                    table,
                    destination: "10.20.0.0/16".parse().unwrap(),
                    metric,
                    tos: 8,
                    link: Some(7),
                    gateway: Some([10, 0, 0, 1].into()),
                    prefsrc: Some([10, 0, 0, 2].into()),
                    protocol: 147,
                    scope: Scope::Global,
                    kind: RouteKind::Unicast,
                };
                let request = add_route(&route);
                assert_eq!(request.header.flags, NLM_F_CREATE | NLM_F_EXCL);
                assert_eq!(fold::route(&payload(request)).unwrap(), Some(route.clone()));
                assert_eq!(fold::route(&payload(delete_route(&route))).unwrap(), Some(route));
            }
        }
    }

    #[test]
    fn a_rule_carries_every_selector_it_has() {
        let mark = Some((0x47, u32::MAX));
        let rules = [(false, mark, None), (true, mark, Some(0)), (false, None, Some(0)), (false, None, None)];
        for (invert, fwmark, suppress_prefixlength) in rules {
            let rule = Rule {
                priority: 4700,
                invert,
                fwmark,
                table: 4700,
                suppress_prefixlength,
                protocol: 147,
                exotic: false,
            };
            assert_eq!(add_rule(&rule).header.flags, NLM_F_CREATE | NLM_F_EXCL);
            assert_eq!(fold::rule(&payload(add_rule(&rule))).unwrap(), rule);
            assert_eq!(fold::rule(&payload(delete_rule(&rule))).unwrap(), rule);
        }
    }
}
