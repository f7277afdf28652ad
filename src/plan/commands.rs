//! What a device needs as a shell script of iproute2. On an empty host it makes what greyhound itself would, marks and
//! all, so that a greyhound that is started there later takes everything over.
//!
//! Two things iproute2 cannot say, or not always:
//! - the protocol of an address, before version 6.3. Then it stays away: the label marks loopback addresses, and nothing
//!   compares the protocol of others;
//! - in the command that makes a link, that it makes no IPv6 addresses. It is a command of its own, while the link is
//!   down, and only where the link has IPv6 at all.

use std::fmt::Write as _;

use crate::model::gre::{GRE_CSUM, GRE_SEQ};
use crate::model::{Address, DesiredLink, Gre, LinkName, Route, Rule, Tos, marks};

use super::elsewhere::Elsewhere;
use super::{PlannedStep, Step};

/// What the commands stand on. `proto` is left unquoted where it is used: it is two words or none.
const PREAMBLE: &str = r#"set -e

case "$(ip address help 2>&1)" in
    *ADDRPROTO*) proto="proto PROTOCOL" ;;
    *) proto= ;;
esac

up() {
    if [ -e "/proc/sys/net/ipv6/conf/$1" ]; then
        ip link set dev "$1" addrgenmode none
    fi
    ip link set dev "$1" up
}
"#;

/// The whole script. It changes nothing that is there: it ends at the first command that finds its place taken.
pub fn text(elsewhere: &Elsewhere) -> String {
    let mut out = format!(
        "#!/bin/sh\n\
         # {}\n\
         # For a host that has none of it yet. What is there is not changed: the first that is in the way ends it.\n",
        elsewhere.title()
    );
    for (session, why) in elsewhere.left_out() {
        let _ = writeln!(out, "# Left out: session {session}: {why}");
    }
    out.push_str(&PREAMBLE.replace("PROTOCOL", &marks::ADDRESS_PROTOCOL.to_string()));
    let mut last = None;
    for PlannedStep { tunnel, step } in &elsewhere.steps {
        let (title, commands) = commands(step);
        if last.replace(title) != Some(title) {
            let _ = writeln!(out, "\n# {title}");
        }
        let session = tunnel.as_ref().and_then(|tunnel| elsewhere.sessions.get(tunnel));
        if let (Step::CreateLink(link), Some(session)) = (step, session) {
            let _ = writeln!(out, "# {} is of session {session}", link.name);
        }
        out.push_str(&commands);
    }
    out
}

/// Under which heading a step comes, and its lines.
fn commands(step: &Step) -> (&'static str, String) {
    match step {
        Step::AddRule(rule) => ("Rules", rule_command(rule)),
        Step::AddAddress(address) => ("Addresses", address_command(address)),
        Step::CreateLink(link) => ("Links", link_commands(link)),
        Step::AddRoute(route) => ("Routes", route_command(route)),
        // An empty host has nothing to change or to take away.
        Step::DeleteRule(_) | Step::DeleteRoute(_) | Step::DeleteAddress(_) | Step::DeleteLink { .. } => {
            ("", String::new())
        }
        Step::ChangeLink { .. } | Step::RecreateLink { .. } => ("", String::new()),
    }
}

fn rule_command(rule: &Rule) -> String {
    let Rule { priority, invert, fwmark, table, suppress_prefixlength, protocol, exotic: _ } = rule;
    let mut line = format!("ip rule add priority {priority}");
    if *invert {
        line.push_str(" not");
    }
    match fwmark {
        Some((mark, u32::MAX)) => line += &format!(" fwmark {mark:#x}"),
        Some((mark, mask)) => line += &format!(" fwmark {mark:#x}/{mask:#x}"),
        None => {}
    }
    match *table {
        marks::TABLE_MAIN => line.push_str(" table main"),
        table => line += &format!(" table {table}"),
    }
    if let Some(length) = suppress_prefixlength {
        line += &format!(" suppress_prefixlength {length}");
    }
    line + &format!(" protocol {protocol}\n")
}

fn address_command(address: &Address<LinkName>) -> String {
    // All of ours have the same protocol: `$proto`.
    let Address { link, address, scope, label, protocol: _ } = address;
    format!("ip address add {address} dev {link} label {label} scope {scope} $proto\n")
}

fn link_commands(link: &DesiredLink) -> String {
    // On an empty host there is no VRF, and a tunnel that is to be in one waits.
    let DesiredLink { name, gre, mtu, multicast, vrf: _ } = link;
    let multicast = if *multicast { " multicast on" } else { "" };
    let group = marks::LINK_GROUP;
    let gre = gre_words(gre);
    format!("ip link add name {name} mtu {mtu} group {group}{multicast} type gre {gre}\nup {name}\n")
}

fn gre_words(gre: &Gre) -> String {
    let Gre { local, remote, ikey, okey, iflags, oflags, ttl, tos, pmtudisc, ignore_df, fwmark, exotic: _ } =
        gre;
    let mut words = format!("local {local} remote {remote} ttl {ttl}");
    if *tos != Tos::Fixed(0) {
        words += &format!(" tos {tos}");
    }
    for (name, key) in [("ikey", ikey), ("okey", okey)] {
        if let Some(key) = key {
            words += &format!(" {name} {key}");
        }
    }
    let flags = [(iflags, GRE_CSUM, "icsum"), (iflags, GRE_SEQ, "iseq")];
    for (flags, flag, word) in
        flags.into_iter().chain([(oflags, GRE_CSUM, "ocsum"), (oflags, GRE_SEQ, "oseq")])
    {
        if flags & flag != 0 {
            words += &format!(" {word}");
        }
    }
    words.push_str(if *pmtudisc { " pmtudisc" } else { " nopmtudisc" });
    if *ignore_df {
        words.push_str(" ignore-df");
    }
    if *fwmark != 0 {
        words += &format!(" fwmark {fwmark:#x}");
    }
    words
}

fn route_command(route: &Route<LinkName>) -> String {
    // greyhound makes unicast routes only.
    let Route { table, destination, metric, tos, link, gateway, prefsrc, protocol, scope, kind: _ } = route;
    let mut line = format!("ip route add {destination}");
    if *tos != 0 {
        line += &format!(" tos {tos:#04x}");
    }
    if let Some(gateway) = gateway {
        line += &format!(" via {gateway}");
    }
    if let Some(link) = link {
        line += &format!(" dev {link}");
    }
    line += &format!(" table {table} proto {protocol} scope {scope}");
    if *metric != 0 {
        line += &format!(" metric {metric}");
    }
    if let Some(source) = prefsrc {
        line += &format!(" src {source}");
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::elsewhere::tests::{example, is_golden};
    use super::*;
    use crate::model::{RouteKind, Scope, Ttl, Tuple};

    #[test]
    fn the_script_of_an_edge_box() {
        is_golden("iproute2.txt", &text(&example()));
    }

    #[test]
    fn a_link_says_all_that_differs_from_iproute2s_defaults() {
        let tuple = Tuple { local: [10, 0, 0, 1].into(), remote: [10, 9, 0, 1].into(), key: Some(7) };
        let gre = Gre {
            okey: Some(0),
            iflags: GRE_CSUM,
            oflags: GRE_CSUM | GRE_SEQ,
            ttl: Ttl::Inherit,
            tos: Tos::Fixed(0xb8),
            pmtudisc: false,
            ignore_df: true,
            fwmark: 0,
            ..Gre::new(tuple)
        };
        assert_eq!(
            gre_words(&gre),
            "local 10.0.0.1 remote 10.9.0.1 ttl inherit tos 0xb8 ikey 7 okey 0 icsum ocsum oseq nopmtudisc ignore-df"
        );
    }

    #[test]
    fn a_route_says_all_that_it_has() {
        let route = Route {
            table: 4700,
            destination: "10.0.0.0/8".parse().unwrap(),
            metric: 7,
            tos: 8,
            link: Some(LinkName::new("gh-x").unwrap()),
            gateway: Some([10, 0, 0, 1].into()),
            prefsrc: Some([10, 0, 0, 2].into()),
            protocol: 147,
            scope: Scope::Global,
            kind: RouteKind::Unicast,
        };
        assert_eq!(
            route_command(&route),
            "ip route add 10.0.0.0/8 tos 0x08 via 10.0.0.1 dev gh-x table 4700 proto 147 scope global metric 7 src \
             10.0.0.2\n"
        );
    }
}
