//! What the scenarios of the netlink room share: names, steps, and iproute2 as the witness.

use crate::support::{Result, World};
use greyhound::model::marks::{ADDRESS_PROTOCOL, LINK_GROUP, ROUTE_PROTOCOL};
use greyhound::model::{
    Address, DesiredLink, Gre, Link, LinkName, Observed, Route, RouteKind, Rule, Scope, Tuple,
};
use greyhound::netlink::{Netlink, StepError};
use greyhound::plan::{PlannedStep, Step};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

pub fn desired(link: &str, tuple: Tuple) -> DesiredLink {
    DesiredLink { name: name(link), gre: Gre::new(tuple), mtu: 1476, multicast: false, vrf: None }
}

/// Local 10.0.0.N (0: any), remote 10.9.0.M.
pub fn tuple(local: u8, remote: u8, key: Option<u32>) -> Tuple {
    let local = if local == 0 { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::new(10, 0, 0, local) };
    Tuple { local, remote: Ipv4Addr::new(10, 9, 0, remote), key }
}

pub fn numbered(number: u16) -> DesiredLink {
    let [high, low] = number.to_be_bytes();
    let tuple = Tuple { local: [10, 0, 0, 1].into(), remote: [10, 8, high, low].into(), key: None };
    desired(&format!("gh-t{number}"), tuple)
}

pub fn overlay(number: u16) -> Step {
    let [high, low] = (2 * number).to_be_bytes();
    let link = format!("gh-t{number}");
    Step::AddAddress(address(&link, &format!("169.254.{high}.{low}/31"), Scope::Link, &link))
}

/// Results of the links first, then of their addresses.
pub fn create(netlink: &mut Netlink, numbers: std::ops::Range<u16>) -> Vec<Result<(), StepError>> {
    let observed = observe(netlink);
    let links = numbers.clone().map(|number| Step::CreateLink(numbered(number)));
    apply_on(netlink, links.chain(numbers.map(overlay)), &observed)
}

pub fn delete_numbered(observed: &Observed, number: u16) -> Step {
    let name = format!("gh-t{number}");
    Step::DeleteLink { index: observed.link(&name).unwrap().index, name }
}

pub fn address(link: &str, address: &str, scope: Scope, label: &str) -> Address<LinkName> {
    Address {
        link: name(link),
        address: address.parse().unwrap(),
        scope,
        label: label.into(),
        protocol: ADDRESS_PROTOCOL,
    }
}

pub fn address_of(observed: &Observed, link: &str) -> Address {
    let index = observed.link(link).unwrap().index;
    observed.addresses.iter().find(|address| address.link == index).unwrap().clone()
}

pub fn route(destination: &str, prefsrc: Option<&str>, metric: u32, table: u32) -> Route<LinkName> {
    Route {
        table,
        destination: destination.parse().unwrap(),
        metric,
        tos: 0,
        link: Some(name("gh-x")),
        gateway: None,
        prefsrc: prefsrc.map(|prefsrc| prefsrc.parse().unwrap()),
        protocol: ROUTE_PROTOCOL,
        scope: Scope::Link,
        kind: RouteKind::Unicast,
    }
}

pub fn rule(priority: u32, table: u32) -> Rule {
    Rule {
        priority,
        invert: false,
        fwmark: None,
        table,
        suppress_prefixlength: None,
        protocol: ROUTE_PROTOCOL,
        exotic: false,
    }
}

pub fn name(name: &str) -> LinkName {
    LinkName::new(name).unwrap()
}

pub fn observe(netlink: &mut Netlink) -> Observed {
    netlink.observe(&BTreeSet::new()).unwrap()
}

pub fn apply_on(
    netlink: &mut Netlink,
    steps: impl IntoIterator<Item = Step>,
    observed: &Observed,
) -> Vec<Result<(), StepError>> {
    let steps: Vec<_> = steps.into_iter().map(|step| PlannedStep { tunnel: None, step }).collect();
    let results = netlink.apply(&steps, observed, &mut || {});
    assert_eq!(results.len(), steps.len());
    results
}

pub fn apply_all(netlink: &mut Netlink, steps: impl IntoIterator<Item = Step>) {
    let observed = observe(netlink);
    for result in apply_on(netlink, steps, &observed) {
        result.unwrap();
    }
}

pub fn says(result: &Result<(), StepError>, words: &[&str]) {
    let said = result.as_ref().expect_err("a failure").to_string();
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

/// The link is as desired: by our own observation, and by iproute2's.
pub fn expect(netlink: &mut Netlink, desired: &DesiredLink) -> Link {
    let observed = observe(netlink);
    let link = observed.link(desired.name.as_str()).unwrap().clone();
    let DesiredLink { name, gre, mtu, multicast, vrf } = desired;
    assert_eq!(link.gre(), Some(gre));
    let master = vrf.as_ref().map(|vrf| observed.link(vrf.as_str()).unwrap().index);
    assert_eq!((link.mtu, link.multicast, link.master), (*mtu, *multicast, master));
    assert_eq!((link.group, link.up), (LINK_GROUP, true));
    witness(&links_of_ip()[name.as_str()], desired);
    link
}

pub fn witness(seen: &Value, desired: &DesiredLink) {
    let DesiredLink { name: _, gre, mtu, multicast, vrf } = desired;
    let flags: Vec<_> = seen["flags"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(flags.contains(&"UP"));
    assert_eq!(flags.contains(&"MULTICAST"), *multicast);
    assert_eq!(seen["mtu"], *mtu);
    assert_eq!(seen["group"], LINK_GROUP.to_string());
    assert_eq!(seen["master"].as_str(), vrf.as_ref().map(LinkName::as_str));
    let data = &seen["linkinfo"]["info_data"];
    let Gre { local, remote, ikey, okey, iflags, oflags, ttl, tos, pmtudisc, ignore_df, fwmark, exotic: _ } =
        gre;
    let any = |address: &Ipv4Addr| if address.is_unspecified() { "any".into() } else { address.to_string() };
    assert_eq!(data["local"], any(local));
    assert_eq!(data["remote"], any(remote));
    let key = |key: &Option<u32>| key.map(|key| Ipv4Addr::from(key).to_string());
    assert_eq!(data["ikey"].as_str().map(str::to_owned), key(ikey));
    assert_eq!(data["okey"].as_str().map(str::to_owned), key(okey));
    let is = |name: &str| data[name].as_bool().unwrap_or(false);
    assert_eq!((is("icsum"), is("iseq")), (iflags & 0x8000 != 0, iflags & 0x1000 != 0));
    assert_eq!((is("ocsum"), is("oseq")), (oflags & 0x8000 != 0, oflags & 0x1000 != 0));
    assert_eq!(data["ttl"].as_u64().unwrap_or(0), u64::from(ttl.wire()));
    let tos_seen = data["tos"].as_str().map_or(0, |tos| u8::from_str_radix(&tos[2..], 16).unwrap());
    assert_eq!(tos_seen, tos.wire());
    assert_eq!((is("pmtudisc"), is("ignore_df")), (*pmtudisc, *ignore_df));
    let mark = data["fwmark"].as_str().map_or(0, |mark| u32::from_str_radix(&mark[2..], 16).unwrap());
    assert_eq!(mark, *fwmark);
}

pub fn links_of_ip() -> BTreeMap<String, Value> {
    let name = |link: &Value| link["ifname"].as_str().unwrap().to_owned();
    ip_json("link show").into_iter().map(|link| (name(&link), link)).collect()
}

pub fn ip_json(arguments: &str) -> Vec<Value> {
    serde_json::from_str(&ip(&format!("-d -j {arguments}"))).unwrap()
}

pub fn ip(arguments: &str) -> String {
    ip_args(&arguments.split(' ').collect::<Vec<_>>())
}

pub fn ip_args(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn ip_batch(lines: impl Iterator<Item = String>) {
    let mut command = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let lines: Vec<_> = lines.collect();
    command.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    assert!(command.wait().unwrap().success(), "ip -batch");
}

/// Shows it in a network namespace of its own.
pub fn inside(world: &World, show: impl FnOnce() + Send) -> Result<()> {
    world.host("box")?.within(|| {
        show();
        Ok(())
    })
}
