//! A plan as text, in iproute2's words: `+` is added, `-` goes, `~` changes in place.

use std::fmt::Write as _;

use crate::model::{Address, DesiredLink, Gre, LinkName, Observed, Route, Rule, Tos};

use super::{Difference, Plan, Step};

/// The whole plan, a line a step, with what is held, refused, left and noted behind it.
pub fn text(plan: &Plan, observed: &Observed) -> String {
    let mut out = String::new();
    for planned in &plan.steps {
        let _ = writeln!(out, "{}", step(&planned.step, observed));
    }
    for tunnel in &plan.adopted {
        let _ = writeln!(out, "= {tunnel}: {} is already as declared; it is adopted", tunnel.link());
    }
    for (tunnel, reason) in &plan.held {
        let _ = writeln!(out, "! {tunnel}: waits: {reason}");
    }
    for (tunnel, reasons) in &plan.refused {
        for reason in reasons {
            let _ = writeln!(out, "! {tunnel}: refused: {reason}");
        }
    }
    orphans(plan, observed, &mut out);
    for note in &plan.notes {
        let _ = writeln!(out, "# {note}");
    }
    out
}

/// How many steps of each sort, in one line.
pub fn summary(plan: &Plan) -> String {
    let (mut add, mut change, mut delete) = (0_usize, 0_usize, 0_usize);
    for planned in &plan.steps {
        match planned.step {
            Step::CreateLink(_) | Step::AddAddress(_) | Step::AddRoute(_) | Step::AddRule(_) => add += 1,
            Step::ChangeLink { .. } | Step::RecreateLink { .. } => change += 1,
            Step::DeleteLink { .. } | Step::DeleteAddress(_) | Step::DeleteRoute(_) | Step::DeleteRule(_) => {
                delete += 1
            }
        }
    }
    let refused = plan.refused.len() + plan.held.len();
    match (plan.is_empty(), refused) {
        (true, 0) => "The kernel is as declared: nothing to do.".to_owned(),
        (true, _) => format!("Nothing to do for the others; {refused} tunnel(s) cannot be as declared."),
        (false, 0) => format!("{add} to add, {change} to change, {delete} to delete."),
        (false, _) => format!(
            "{add} to add, {change} to change, {delete} to delete; {refused} tunnel(s) cannot be as declared."
        ),
    }
}

/// One step, in iproute2's words.
pub fn step(step: &Step, observed: &Observed) -> String {
    let name = |index: u32| observed.links.get(&index).map_or("?", |link| link.name.as_str());
    match step {
        Step::DeleteRule(rule) => format!("- rule {}", rule_text(rule)),
        Step::DeleteRoute(route) => {
            format!("- route {}", route_text(route, route.link.map_or("-", name)))
        }
        Step::DeleteAddress(address) => format!("- address {}", address_text(address, name(address.link))),
        Step::DeleteLink { index: _, name } => format!("- link {name}"),
        Step::CreateLink(link) => format!("+ link {}", link_text(link)),
        Step::ChangeLink { index, link: _, differences } => {
            format!("~ link {} {}", name(*index), differences_text(differences))
        }
        Step::RecreateLink { index, link, differences } => format!(
            "- link {}\n+ link {}\n  (the kernel cannot change {}: a new ifindex, open sockets on the link and \
             memberships are lost)",
            name(*index),
            link_text(link),
            differences_text(differences)
        ),
        Step::AddAddress(address) => format!("+ address {}", address_text(address, address.link.as_str())),
        Step::AddRoute(route) => {
            format!("+ route {}", route_text(route, route.link.as_ref().map_or("-", LinkName::as_str)))
        }
        Step::AddRule(rule) => format!("+ rule {}", rule_text(rule)),
    }
}

fn orphans(plan: &Plan, observed: &Observed, out: &mut String) {
    let name = |index: u32| observed.links.get(&index).map_or("?", |link| link.name.as_str());
    for link in &plan.orphans.links {
        let tuple = link.gre().map_or_else(String::new, |gre| format!(" {}", gre.tuple()));
        let _ = writeln!(out, "? link {}{tuple}: an orphan; flush --orphans removes it", link.name);
    }
    for address in &plan.orphans.addresses {
        let text = address_text(address, name(address.link));
        let _ = writeln!(out, "? address {text}: an orphan; flush --orphans removes it");
    }
    for route in &plan.orphans.routes {
        let text = route_text(route, route.link.map_or("-", name));
        let _ = writeln!(out, "? route {text}: an orphan; flush --orphans removes it");
    }
}

fn link_text(link: &DesiredLink) -> String {
    let DesiredLink { name, gre, mtu, multicast, vrf } = link;
    let mut text = format!("{name} type gre {} mtu {mtu}", gre_text(gre));
    if *multicast {
        text.push_str(" multicast on");
    }
    if let Some(vrf) = vrf {
        let _ = write!(text, " vrf {vrf}");
    }
    text
}

fn gre_text(gre: &Gre) -> String {
    let mut text = format!("{} ttl {}", gre.tuple(), gre.ttl);
    if gre.tos != Tos::Fixed(0) {
        let _ = write!(text, " tos {}", gre.tos);
    }
    if !gre.pmtudisc {
        text.push_str(" nopmtudisc");
    }
    if gre.ignore_df {
        text.push_str(" ignore-df");
    }
    text
}

fn differences_text(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn address_text<L>(address: &Address<L>, link: &str) -> String {
    let Address { link: _, address, scope, label, protocol: _ } = address;
    if label == link {
        format!("{address} dev {link} scope {scope}")
    } else {
        format!("{address} dev {link} scope {scope} label {label}")
    }
}

fn route_text<L>(route: &Route<L>, link: &str) -> String {
    let mut text = format!("{} dev {link} table {}", route.destination, route.table);
    if route.metric != 0 {
        let _ = write!(text, " metric {}", route.metric);
    }
    if let Some(source) = route.prefsrc {
        let _ = write!(text, " src {source}");
    }
    text
}

fn rule_text(rule: &Rule) -> String {
    let mut text = format!("priority {}", rule.priority);
    if let Some((mark, _)) = rule.fwmark {
        let _ = write!(text, " fwmark {mark:#x}");
    }
    let _ = write!(text, " lookup {}", rule.table);
    if let Some(length) = rule.suppress_prefixlength {
        let _ = write!(text, " suppress_prefixlength {length}");
    }
    text
}
