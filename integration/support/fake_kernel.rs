//! A kernel of the model: it takes steps as the real one does, as far as `plan` can tell.

use std::collections::BTreeSet;

use greyhound::model::{Address, DesiredLink, Link, LinkKind, LinkName, Observed, Route, marks};
use greyhound::plan::Step;

/// Carries a step out, or says why the real kernel would not.
pub fn apply(kernel: &mut Observed, step: &Step) -> Result<(), String> {
    match step {
        Step::CreateLink(link) => create_link(kernel, link),
        Step::ChangeLink { index, link, differences: _ } => change_link(kernel, *index, link),
        Step::RecreateLink { index, link, differences: _ } => {
            delete_link(kernel, *index)?;
            create_link(kernel, link)
        }
        Step::DeleteLink { index, name: _ } => delete_link(kernel, *index),
        Step::AddAddress(address) => add_address(kernel, address),
        Step::DeleteAddress(address) => {
            remove(&mut kernel.addresses, address, "address")?;
            let source = Some(address.address.ip());
            kernel.routes.retain(|route| route.prefsrc != source);
            Ok(())
        }
        Step::AddRoute(route) => add_route(kernel, route),
        Step::DeleteRoute(route) => remove(&mut kernel.routes, route, "route"),
        Step::AddRule(rule) => {
            kernel.rules.insert(rule.clone()).then_some(()).ok_or("EEXIST rule".to_owned())
        }
        Step::DeleteRule(rule) => remove(&mut kernel.rules, rule, "rule"),
    }
}

fn remove<T: Ord + std::fmt::Debug>(set: &mut BTreeSet<T>, value: &T, what: &str) -> Result<(), String> {
    set.remove(value).then_some(()).ok_or_else(|| format!("no such {what}: {value:?}"))
}

fn create_link(kernel: &mut Observed, link: &DesiredLink) -> Result<(), String> {
    let index = kernel.links.keys().next_back().map_or(1, |last| last + 1);
    let made = as_link(kernel, index, link);
    insert_link(kernel, made)
}

fn change_link(kernel: &mut Observed, index: u32, link: &DesiredLink) -> Result<(), String> {
    let was = kernel.links.remove(&index).ok_or("ENODEV")?;
    let made = as_link(kernel, index, link);
    insert_link(kernel, made).inspect_err(|_| {
        kernel.links.insert(index, was);
    })
}

fn insert_link(kernel: &mut Observed, link: Link) -> Result<(), String> {
    let tuple = link.gre().map(greyhound::model::Gre::tuple);
    let clash = kernel.links.values().find(|l| l.name == link.name || l.gre().map(|g| g.tuple()) == tuple);
    if let Some(clash) = clash {
        return Err(format!("EEXIST: {link:?} clashes with {clash:?}"));
    }
    kernel.links.insert(link.index, link);
    Ok(())
}

fn as_link(kernel: &Observed, index: u32, link: &DesiredLink) -> Link {
    let DesiredLink { name, gre, mtu, multicast, vrf } = link;
    Link {
        index,
        name: name.to_string(),
        kind: LinkKind::Gre(gre.clone()),
        mtu: *mtu,
        group: marks::LINK_GROUP,
        up: true,
        multicast: *multicast,
        master: vrf.as_ref().and_then(|vrf| kernel.link(vrf.as_str())).map(|vrf| vrf.index),
        addrgen_none: true,
    }
}

fn delete_link(kernel: &mut Observed, index: u32) -> Result<(), String> {
    kernel.links.remove(&index).ok_or("ENODEV")?;
    kernel.addresses.retain(|address| address.link != index);
    kernel.routes.retain(|route| route.link != Some(index));
    Ok(())
}

fn index_of(kernel: &Observed, name: &LinkName) -> Result<u32, String> {
    kernel.link(name.as_str()).map(|link| link.index).ok_or_else(|| format!("ENODEV {name}"))
}

fn add_address(kernel: &mut Observed, address: &Address<LinkName>) -> Result<(), String> {
    let link = index_of(kernel, &address.link)?;
    let Address { link: _, address, scope, label, protocol } = address.clone();
    if kernel.addresses.iter().any(|a| a.link == link && a.address == address) {
        return Err(format!("EEXIST {address}"));
    }
    kernel.addresses.insert(Address { link, address, scope, label, protocol });
    Ok(())
}

fn add_route(kernel: &mut Observed, route: &Route<LinkName>) -> Result<(), String> {
    let link = route.link.as_ref().map(|name| index_of(kernel, name)).transpose()?;
    if kernel.routes.iter().any(|present| present.key() == route.key()) {
        return Err(format!("EEXIST {}", route.destination));
    }
    let Route { table, destination, metric, tos, link: _, gateway, prefsrc, protocol, scope, kind } =
        route.clone();
    let made = Route { table, destination, metric, tos, link, gateway, prefsrc, protocol, scope, kind };
    kernel.routes.insert(made);
    Ok(())
}
