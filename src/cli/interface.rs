//! `greyhound interface`: interfaces of devices, and the terminations that they offer.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context as _, ensure};

use super::Ended;
use super::context::Context;
use super::output::{rows, table};
use super::shelf::{self, joined, lines, shown};
use crate::inventory::change;
use crate::model::{DeviceCode, Interface, InterfaceName};
use crate::reconcile;
use crate::registry::record::Record as _;
use crate::registry::{Decision, Kind, Refused, Registry, RowName, interfaces};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every interface of the inventory.
    List {
        /// Only of this device.
        #[arg(long, value_name = "CODE")]
        device: Option<DeviceCode>,
    },
    /// One interface.
    Show {
        /// CODE/NAME: its device and its name there.
        #[arg(value_name = "CODE/NAME")]
        name: Name,
    },
    /// Add an interface. Its addresses are terminations with --tunnel-termination.
    Add {
        /// CODE/NAME: its device and its name there, such as ams-1/lo.
        #[arg(value_name = "CODE/NAME")]
        name: Name,
        /// Its addresses are terminations: they are probed, and take sessions.
        #[arg(long)]
        tunnel_termination: bool,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change an interface. What is not named stays.
    Set {
        /// CODE/NAME: its device and its name there.
        #[arg(value_name = "CODE/NAME")]
        name: Name,
        /// Are its addresses terminations?
        #[arg(long, value_name = "true|false")]
        tunnel_termination: Option<bool>,
        #[command(flatten)]
        fields: Fields,
        /// Take an address away. One with a session stays.
        #[arg(long, value_name = "ADDRESS")]
        remove_address: Vec<Ipv4Addr>,
    },
    /// Remove an interface and give its terminations back. One with a session stays.
    Remove {
        /// CODE/NAME: its device and its name there.
        #[arg(value_name = "CODE/NAME")]
        name: Name,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct Fields {
    /// Who contributes it.
    #[arg(long)]
    owner: Option<String>,
    /// Add this very address. Can be given again.
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<Ipv4Addr>,
    /// Lease what is missing to so many terminations from the device's pools, all or none.
    #[arg(long, value_name = "N")]
    terminations: Option<usize>,
}

/// A device and the name of one of its interfaces.
#[derive(Clone, Debug)]
pub struct Name(DeviceCode, InterfaceName);

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (code, name) = text.split_once('/').ok_or("write CODE/NAME, such as ams-1/lo")?;
        let say = |error: crate::model::InvalidName| error.to_string();
        Ok(Self(code.parse().map_err(say)?, name.parse().map_err(say)?))
    }
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::List { device } => {
            context.with_inventory(|inventory| list(context, &shelf::registry(inventory)?, device.as_ref()))
        }
        Verb::Show { name } => context.with_inventory(|inventory| {
            let interface = find(&shelf::registry(inventory)?, name)?;
            context.tell(&interface, || text(&interface))
        }),
        Verb::Add { name, tunnel_termination, fields } => {
            let termination = *tunnel_termination || fields.terminations.is_some();
            put(context, name, fields, Some(termination), None)
        }
        Verb::Set { name, tunnel_termination, fields, remove_address } => {
            put(context, name, fields, *tunnel_termination, Some(remove_address))
        }
        Verb::Remove { name } => {
            let key = bare(name).key();
            let decide = |registry: &Registry| interfaces::remove(registry, &key, reconcile::now());
            context.change_inventory(decide, |_| format!("Interface {key} is removed."))
        }
    }
}

/// `without`: what to take away from one that must be there; `None`: it is new.
fn put(
    context: &Context,
    name: &Name,
    fields: &Fields,
    termination: Option<bool>,
    without: Option<&Vec<Ipv4Addr>>,
) -> anyhow::Result<Ended> {
    let (now, terminations) = (reconcile::now(), fields.terminations);
    ensure!(
        terminations.is_none() || termination != Some(false),
        "--terminations makes it a termination interface: leave --tunnel-termination false out"
    );
    context.with_inventory(|inventory| {
        let mut interface = change::change(inventory, |registry| match without {
            None => add(registry, &fields.applied(bare(name), termination, &[]), now),
            Some(without) => {
                let interface = fields.applied(find(registry, name)?, termination, without);
                interfaces::put(registry, &interface, now)
            }
        })?;
        if let Some(count) = terminations {
            let names = (&name.0, &name.1);
            interface =
                change::change(inventory, |registry| interfaces::bootstrap(registry, names, count, now))
                    .with_context(|| {
                        format!("interface {} is there, without more terminations", interface.key())
                    })?;
        }
        let text = || format!("Interface {} is in the inventory.\n{}", interface.key(), text(&interface));
        context.tell(&interface, text)
    })
}

impl Fields {
    /// The interface with what was named changed.
    fn applied(&self, before: Interface, termination: Option<bool>, without: &[Ipv4Addr]) -> Interface {
        let kept = before.addresses.iter().filter(|address| !without.contains(address));
        Interface {
            owner: self.owner.clone().unwrap_or(before.owner),
            addresses: kept.chain(&self.address).copied().collect(),
            tunnel_termination: termination.unwrap_or(before.tunnel_termination),
            ..before
        }
    }
}

/// Added again, it may have leased terminations since, and keeps them.
fn add(registry: &Registry, interface: &Interface, now: u64) -> Result<Decision<Interface>, Refused> {
    match registry.interfaces.get(&interface.key()).map(|there| &there.value) {
        Some(there) if is_same(there, interface) => interfaces::put(registry, there, now),
        Some(_) => Err(Refused::Present(interface.row_name())),
        None => interfaces::put(registry, interface, now),
    }
}

fn is_same(there: &Interface, added: &Interface) -> bool {
    there.owner == added.owner
        && there.tunnel_termination == added.tunnel_termination
        && there.addresses.is_superset(&added.addresses)
}

fn bare(Name(device, name): &Name) -> Interface {
    Interface {
        device: device.clone(),
        name: name.clone(),
        owner: String::new(),
        addresses: BTreeSet::new(),
        tunnel_termination: false,
    }
}

fn find(registry: &Registry, name: &Name) -> Result<Interface, Refused> {
    let key = bare(name).key();
    let found = registry.interfaces.get(&key).map(|interface| interface.value.clone());
    found.ok_or_else(|| Refused::Absent(RowName::new(Kind::Interface, key)))
}

fn list(context: &Context, registry: &Registry, device: Option<&DeviceCode>) -> anyhow::Result<Ended> {
    let all = registry.interfaces.values().map(|interface| &interface.value);
    let interfaces: Vec<_> =
        all.filter(|interface| device.is_none_or(|device| interface.device == *device)).collect();
    context.tell(&interfaces, || {
        let mut table = table(&["device", "name", "owner", "terminations", "addresses"]);
        for interface in &interfaces {
            table.add_row([
                interface.device.to_string(),
                interface.name.to_string(),
                shown(&interface.owner),
                if interface.tunnel_termination { "yes" } else { "no" }.to_owned(),
                joined(&interface.addresses),
            ]);
        }
        rows(&table, "No interface is in the inventory.")
    })
}

fn text(interface: &Interface) -> String {
    lines(&[
        ("device", interface.device.to_string()),
        ("name", interface.name.to_string()),
        ("owner", shown(&interface.owner)),
        ("tunnel termination", if interface.tunnel_termination { "yes" } else { "no" }.to_owned()),
        ("addresses", joined(&interface.addresses)),
    ])
}
