//! plan(desired, observed, owned) -> ordered steps. Pure and total.
//!
//! | file | what is in it |
//! |---|---|
//! | [`mod@desire`] | declared tunnels and their local addresses into what should be |
//! | [`ownership`] | whose each link is: ours, adopted, orphan, foreign |
//! | [`difference`] | what of a link is not as declared |
//! | [`links`] | what becomes of each link, and in which order |
//! | [`addresses`], [`routes`] | the same for what belongs to links, and for rules |
//! | [`notes`] | what an operator should know of the host |
//! | [`step`] | one change of the kernel |
//! | [`render`] | a plan as text |
//! | [`elsewhere`] | what a device needs that does not run greyhound: planned on an empty host |
//! | [`commands`], [`eos`] | that as a script of iproute2, and as a configuration of Arista EOS |

pub mod addresses;
pub mod commands;
pub mod desire;
pub mod difference;
pub mod elsewhere;
pub mod eos;
pub mod links;
pub mod notes;
pub mod ownership;
pub mod render;
pub mod routes;
pub mod step;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Address, Desired, Link, Observed, Owned, Route, TunnelName};

pub use desire::{Declared, desire};
pub use links::Fate;
pub use step::{Difference, PlannedStep, Step};

use links::LinkPlan;
use ownership::{Ownership, Ownerships};

/// The ordered difference between what is and what should be, and what stands in its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<PlannedStep>,
    /// What becomes of the link of each declared tunnel that does not wait.
    pub fates: BTreeMap<TunnelName, Fate>,
    /// Tunnels that wait for something, and why. What the kernel has of them stays.
    pub held: BTreeMap<TunnelName, String>,
    /// Tunnels that cannot be as declared, and what stands in the way. All but that is done.
    pub refused: BTreeMap<TunnelName, Vec<String>>,
    /// Found in the kernel with the declared name and tuple, without a claim: to be claimed.
    pub adopted: BTreeSet<TunnelName>,
    pub orphans: Orphans,
    /// What an operator should know, though nothing has to be done about it.
    pub notes: Vec<String>,
}

/// Marked as greyhound's, neither claimed nor declared. Deleted only by `flush --orphans`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
}

impl Plan {
    /// Is the kernel as it should be, as far as it can be?
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Works out the steps from `observed` to `desired`. Equal states give no step; nothing that is
/// not ours is ever named in one.
pub fn plan(desired: &Desired, observed: &Observed, owned: &Owned) -> Plan {
    let owners = Ownerships::new(desired, observed, owned);
    let links = links::decide(desired, observed, &owners);
    let addresses = addresses::plan(desired, observed, owned, &links, &owners);
    let routes = routes::plan(desired, observed, &links, &owners);
    let steps = [
        routes.rule_add,
        routes.delete,
        addresses.stale,
        addresses.loopback_add,
        links.steps(desired, &owners, observed),
        addresses.add,
        routes.add,
        addresses.loopback_delete,
        routes.rule_delete,
    ];
    Plan {
        steps: steps.into_iter().flatten().collect(),
        held: desired.held.clone(),
        refused: refused(&links, routes.blocked),
        adopted: adopted(&links, &owners),
        orphans: Orphans {
            links: owners.orphans().cloned().collect(),
            addresses: addresses.orphans,
            routes: routes.orphans,
        },
        notes: [addresses.notes, routes.notes, notes::strict_filters(desired, observed)].concat(),
        fates: links.fates,
    }
}

fn refused(links: &LinkPlan, blocked: Vec<(TunnelName, String)>) -> BTreeMap<TunnelName, Vec<String>> {
    let mut refused: BTreeMap<TunnelName, Vec<String>> = BTreeMap::new();
    for (tunnel, fate) in &links.fates {
        if let Fate::Refused { reason } = fate {
            refused.entry(tunnel.clone()).or_default().push(reason.clone());
        }
    }
    for (tunnel, reason) in blocked {
        refused.entry(tunnel).or_default().push(reason);
    }
    refused
}

fn adopted(links: &LinkPlan, owners: &Ownerships<'_>) -> BTreeSet<TunnelName> {
    let adopted = |(tunnel, link): (&TunnelName, &Link)| {
        let adopted = matches!(owners.of(link.index), Ownership::Adopted(_));
        (adopted && links.fates.contains_key(tunnel)).then(|| tunnel.clone())
    };
    owners.tunnels().filter_map(adopted).collect()
}
