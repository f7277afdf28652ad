//! A plan as text, in iproute2's words: `+` is added, `-` goes, `~` changes in place, `!` is made anew.

use std::fmt::Write as _;

use crate::model::{Address, DesiredLink, Gre, Link, LinkName, Observed, Route, Rule, Tos, marks};

use super::{Difference, Orphans, Plan, Step};

/// The whole plan, a line a step, with what is held, refused, left and noted behind it.
pub fn text(plan: &Plan, observed: &Observed) -> String {
    let mut out = String::new();
    for planned in &plan.steps {
        let (action, _, text) = describe(&planned.step, observed);
        let _ = writeln!(out, "{} {text}", action.symbol());
    }
    for tunnel in &plan.adopted {
        let _ =
            writeln!(out, "= {tunnel}: {} is there with the declared tuple; it is adopted", tunnel.link());
    }
    for (tunnel, reason) in &plan.held {
        let _ = writeln!(out, "! {tunnel}: waits: {reason}");
    }
    for (tunnel, reasons) in &plan.refused {
        for reason in reasons {
            let _ = writeln!(out, "! {tunnel}: refused: {reason}");
        }
    }
    for orphan in orphans(&plan.orphans, observed) {
        let removal = removal(&orphan);
        let _ = writeln!(
            out,
            "? {orphan}: an orphan; {removal} takes it away, greyhound flush --orphans all that is greyhound's"
        );
    }
    for note in &plan.notes {
        let _ = writeln!(out, "# {note}");
    }
    out
}

/// The command that takes one orphan away, which is told in iproute2's words.
pub fn removal(orphan: &str) -> String {
    match orphan.split_once(' ') {
        Some(("link", link)) => {
            format!("ip link delete {}", link.split_whitespace().next().unwrap_or_default())
        }
        Some((object, rest)) => format!("ip {object} delete {rest}"),
        None => "greyhound status".to_owned(),
    }
}

/// How many steps of each sort, in one line. `more`: what is changed besides.
pub fn summary(plan: &Plan, more: impl Iterator<Item = Action>) -> String {
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
    for action in more {
        match action {
            Action::Add => add += 1,
            Action::Change | Action::Recreate => change += 1,
            Action::Delete => delete += 1,
        }
    }
    let refused = plan.refused.len() + plan.held.len();
    match (add + change + delete == 0, refused) {
        (true, 0) => "The kernel is as declared: nothing to do.".to_owned(),
        (true, _) => format!("Nothing to do for the others; {refused} tunnel(s) cannot be as declared."),
        (false, 0) => format!("{add} to add, {change} to change, {delete} to delete."),
        (false, _) => format!(
            "{add} to add, {change} to change, {delete} to delete; {refused} tunnel(s) cannot be as declared."
        ),
    }
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Add,
    Change,
    Recreate,
    Delete,
}

impl Action {
    /// The word in JSON and in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Recreate => "recreate",
            Self::Delete => "delete",
        }
    }

    /// The mark before its line in a plan.
    pub fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Recreate => '!',
            Self::Delete => '-',
        }
    }
}

/// What a step does, to what sort of object, and the object in iproute2's words.
pub fn describe(step: &Step, observed: &Observed) -> (Action, &'static str, String) {
    let name = |index: u32| name_of(index, observed);
    let (action, object, text) = match step {
        Step::DeleteRule(rule) => (Action::Delete, "rule", rule_text(rule)),
        Step::DeleteRoute(route) => {
            (Action::Delete, "route", route_text(route, route.link.map_or("-", name)))
        }
        Step::DeleteAddress(address) => {
            (Action::Delete, "address", address_text(address, name(address.link)))
        }
        Step::DeleteLink { index: _, name } => (Action::Delete, "link", name.clone()),
        Step::CreateLink(link) => (Action::Add, "link", link_text(link)),
        Step::ChangeLink { index, link: _, differences } => {
            (Action::Change, "link", format!("{} {}", name(*index), differences_text(differences)))
        }
        Step::RecreateLink { index, link, differences } => {
            (Action::Recreate, "link", recreate_text(name(*index), link, differences))
        }
        Step::AddAddress(address) => (Action::Add, "address", address_text(address, address.link.as_str())),
        Step::AddRoute(route) => {
            let link = route.link.as_ref().map_or("-", LinkName::as_str);
            (Action::Add, "route", route_text(route, link))
        }
        Step::AddRule(rule) => (Action::Add, "rule", rule_text(rule)),
    };
    (action, object, format!("{object} {text}"))
}

/// Every orphan, in iproute2's words.
pub fn orphans(orphans: &Orphans, observed: &Observed) -> Vec<String> {
    let Orphans { links, addresses, routes } = orphans;
    let link = |link: &Link| {
        let tuple = link.gre().map_or_else(String::new, |gre| format!(" {}", gre.tuple()));
        format!("link {}{tuple}", link.name)
    };
    let address =
        |address: &Address| format!("address {}", address_text(address, name_of(address.link, observed)));
    let route = |route: &Route| {
        let link = route.link.map_or("-", |index| name_of(index, observed));
        format!("route {}", route_text(route, link))
    };
    links.iter().map(link).chain(addresses.iter().map(address)).chain(routes.iter().map(route)).collect()
}

fn name_of(index: u32, observed: &Observed) -> &str {
    observed.links.get(&index).map_or("?", |link| link.name.as_str())
}

fn recreate_text(name: &str, link: &DesiredLink, differences: &[Difference]) -> String {
    format!(
        "{name} made anew as {}: the kernel cannot change {}; the ifindex, open sockets on the link and \
         memberships are lost",
        link_text(link),
        differences_text(differences)
    )
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
        format!("{address} dev {link} label {label} scope {scope}")
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
    if rule.invert {
        text.push_str(" not");
    }
    if let Some((mark, _)) = rule.fwmark {
        let _ = write!(text, " fwmark {mark:#x}");
    }
    let _ = match rule.table {
        marks::TABLE_MAIN => write!(text, " lookup main"),
        table => write!(text, " lookup {table}"),
    };
    if let Some(length) = rule.suppress_prefixlength {
        let _ = write!(text, " suppress_prefixlength {length}");
    }
    text
}
