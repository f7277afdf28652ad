//! Single values that are addresses: hosts, overlays, routes, groups, ranges.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::Ipv4Network;

use super::at::At;
use super::diagnostics::Problem;
use super::value::Value;
use crate::model::AddressRange;

/// 224.0.0.0 to 224.0.0.255: never forwarded, whatever the TTL (RFC 5771, 4).
const LINK_LOCAL_GROUPS: [u8; 3] = [224, 0, 0];

/// Any IPv4 address.
pub fn address(text: &At<String>, key: &str) -> Value<Ipv4Addr> {
    let given = text.value.as_str();
    given.parse().map(|address| text.with(address)).map_err(|_| {
        let help = if given.parse::<Ipv6Addr>().is_ok() {
            "write an IPv4 address such as 192.0.2.1; IPv6 is not there yet".to_owned()
        } else if let Some(network) = given.split_once('/').and(given.parse::<Ipv4Network>().ok()) {
            format!("write the address alone: {}", network.ip())
        } else {
            "write an address such as 192.0.2.1".to_owned()
        };
        Problem::new(&text.span, format!("`{key}`: {given:?} is not an IPv4 address"), help)
    })
}

/// An address that one host can have.
pub fn host(text: &At<String>, key: &str, help: &str) -> Value<Ipv4Addr> {
    let address = address(text, key)?;
    match not_a_host(address.value) {
        Some(why) => {
            Err(Problem::new(&text.span, format!("`{key}` cannot be {}: it is {why}", address.value), help))
        }
        None => Ok(address),
    }
}

/// Why no host can have the address.
pub fn not_a_host(address: Ipv4Addr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("the unspecified address"),
        _ if address.octets()[0] == 0 => Some("of 0.0.0.0/8, which is no network"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if address.is_broadcast() => Some("the broadcast address"),
        _ => None,
    }
}

/// Our address in a tunnel: a host of a /30, or either address of a /31.
pub fn overlay(text: &At<String>) -> Value<Ipv4Network> {
    let problem = |message: String, help: String| Err(Problem::new(&text.span, message, help));
    let example = "write our address and the prefix shared with the peer, such as 169.254.10.0/31";
    let Ok(given) = text.value.parse::<Ipv4Network>() else {
        return problem(
            format!("`overlay`: {:?} is not an address with a prefix", text.value),
            example.into(),
        );
    };
    if !matches!(given.prefix(), 30 | 31) {
        let message = format!("`overlay` {given} is neither a /31 nor a /30");
        let help = format!("a tunnel has two ends: write {}/31, or a /30", given.ip());
        return problem(message, help);
    }
    if let Some(why) = [given.network(), given.broadcast()].into_iter().find_map(not_a_host) {
        return problem(format!("`overlay` cannot be {given}: in it is {why}"), example.into());
    }
    if given.prefix() == 30 && (given.ip() == given.network() || given.ip() == given.broadcast()) {
        let what = if given.ip() == given.network() { "network" } else { "broadcast" };
        let first = u32::from(given.network()) + 1;
        let (low, high) = (Ipv4Addr::from(first), Ipv4Addr::from(first + 1));
        let help = format!("write {low}/30 or {high}/30, or use a /31, where both addresses are hosts");
        return problem(format!("`overlay` {given} is the {what} address of its /30"), help);
    }
    Ok(text.with(given))
}

/// A prefix to route into a tunnel.
pub fn route(text: &At<String>) -> Value<Ipv4Network> {
    let network = prefix(text, "routes", "10.20.0.0/16")?;
    let refuse = |why: &str, help: &str| {
        Err(Problem::new(&text.span, format!("`routes`: {} is {why}", network.value), help))
    };
    let (first, prefix) = (network.value.network(), network.value.prefix());
    if first.is_multicast() && prefix >= 4 {
        refuse("multicast", "list it in `groups` of a tunnel with kind = \"multicast\"")
    } else if first.is_loopback() && prefix >= 8 {
        refuse("loopback", "take it out: loopback addresses never leave the host")
    } else if first.octets()[0] == 0 && prefix >= 8 {
        refuse("of 0.0.0.0/8, which is no network", "for the default route write 0.0.0.0/0")
    } else if first.is_broadcast() {
        refuse("the broadcast address", "take it out: limited broadcasts are never routed")
    } else {
        Ok(network)
    }
}

/// A multicast group, or a prefix of them, that can be routed.
pub fn group(text: &At<String>) -> Value<Ipv4Network> {
    let network = prefix(text, "groups", "239.1.2.0/24 or 239.1.2.3")?;
    let refuse = |why: &str| {
        let help = "write groups of 224.0.1.0 to 239.255.255.255, such as 239.1.2.3";
        Err(Problem::new(&text.span, format!("`groups`: {} is {why}", network.value), help))
    };
    let (first, prefix) = (network.value.network(), network.value.prefix());
    if !first.is_multicast() || prefix < 4 {
        refuse("not within 224.0.0.0/4")
    } else if first.octets()[..3] == LINK_LOCAL_GROUPS && prefix >= 24 {
        refuse("link-local (224.0.0.0/24): it is never routed")
    } else {
        Ok(network)
    }
}

pub fn range(text: &At<String>) -> Value<AddressRange> {
    let range: AddressRange = text.value.parse().map_err(|error| {
        let example = "such as 198.51.100.8-198.51.100.15, 198.51.100.8/29 or 198.51.100.8/32";
        Problem::new(
            &text.span,
            format!("{error}"),
            format!("write a range, a prefix or one address, {example}"),
        )
    })?;
    Ok(text.with(range))
}

/// A prefix without host bits.
pub fn prefix(text: &At<String>, key: &str, example: &str) -> Value<Ipv4Network> {
    let Ok(given) = text.value.parse::<Ipv4Network>() else {
        let message = format!("`{key}`: {:?} is not an IPv4 prefix", text.value);
        return Err(Problem::new(&text.span, message, format!("write a prefix such as {example}")));
    };
    if given.ip() != given.network() {
        let message = format!("`{key}`: {given} has bits set beyond its prefix");
        let (network, length, ip) = (given.network(), given.prefix(), given.ip());
        let help = format!("write {network}/{length}, or {ip}/32 for that one address");
        return Err(Problem::new(&text.span, message, help));
    }
    Ok(text.with(given))
}
