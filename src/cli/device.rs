//! `greyhound device`: the boxes that terminate tunnels.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::Serialize;

use super::context::Context;
use super::output::{or_dash, rows, table};
use super::shelf::{self, Limit, edited, joined, lines, shown, word};
use super::{Ended, session};
use crate::model::{Device, DeviceCode, DeviceStatus, Session, Sharing};
use crate::reconcile;
use crate::registry::devices::{self, Registered};
use crate::registry::record::Record as _;
use crate::registry::{Decision, Refused, Registry};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Every device of the inventory.
    List,
    /// One device: what it offers, and its sessions.
    Show {
        /// Its code.
        code: DeviceCode,
    },
    /// Add a device. Added again with the same words, nothing changes.
    Add {
        /// Its code: 1 to 16 of a-z, 0-9, '-' and '_'.
        code: DeviceCode,
        /// The address that it is known by.
        #[arg(long, value_name = "ADDRESS")]
        public_ip: Ipv4Addr,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a device. What is not named stays.
    Set {
        /// Its code.
        code: DeviceCode,
        /// The address that it is known by.
        #[arg(long, value_name = "ADDRESS")]
        public_ip: Option<Ipv4Addr>,
        #[command(flatten)]
        fields: Fields,
        /// Take a prefix of its terminations away, if nothing is leased from it.
        #[arg(long, value_name = "PREFIX")]
        remove_prefix: Vec<Ipv4Network>,
    },
    /// Remove a device, once it has neither interfaces nor sessions.
    Remove {
        /// Its code.
        code: DeviceCode,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct Fields {
    /// Who contributes it.
    #[arg(long)]
    owner: Option<String>,
    /// Where it stands.
    #[arg(long)]
    location: Option<String>,
    /// The exchange that it is at.
    #[arg(long)]
    exchange: Option<String>,
    /// What sort of box it is.
    #[arg(long = "type", value_name = "TYPE")]
    sort: Option<String>,
    /// Add a prefix for its terminations; a /29 or shorter. All addresses of it count. Can be given again.
    #[arg(long, value_name = "PREFIX")]
    prefix: Vec<Ipv4Network>,
    /// pending, activated (takes sessions), draining or suspended (no new ones; those it has stay).
    #[arg(long, value_parser = word(&DeviceStatus::ALL))]
    status: Option<DeviceStatus>,
    /// The most sessions, or none for as many as there are terminations.
    #[arg(long, value_name = "N|none")]
    max_sessions: Option<Limit>,
    /// Who may have one termination: exclusive (one session) or per-client (one session of each client).
    #[arg(long, value_parser = word(&Sharing::ALL))]
    sharing: Option<Sharing>,
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let now = reconcile::now();
    match verb {
        Verb::List => context.with_inventory(|inventory| list(context, &shelf::registry(inventory)?)),
        Verb::Show { code } => {
            context.with_inventory(|inventory| show(context, &shelf::registry(inventory)?, code))
        }
        Verb::Add { code, public_ip, fields } => {
            let device = fields.applied(bare(code, *public_ip), &[]);
            let decide = |registry: &Registry| add(registry, &device, now);
            context.change_inventory(decide, |added| told(added, "is in the inventory"))
        }
        Verb::Set { code, public_ip, fields, remove_prefix } => {
            let decide = |registry: &Registry| {
                let before = registry.device(code)?.clone();
                let public_ip = public_ip.unwrap_or(before.public_ip);
                let device = fields.applied(Device { public_ip, ..before }, remove_prefix);
                devices::put(registry, &device, now)
            };
            context.change_inventory(decide, |set| told(set, "is set"))
        }
        Verb::Remove { code } => context.change_inventory(
            |registry| devices::remove(registry, code),
            |_| format!("Device {code} is removed."),
        ),
    }
}

impl Fields {
    /// The device with what was named changed.
    fn applied(&self, device: Device, without: &[Ipv4Network]) -> Device {
        let text = |named: &Option<String>, before: &str| named.clone().unwrap_or_else(|| before.to_owned());
        let network =
            |prefix: &Ipv4Network| Ipv4Network::new(prefix.network(), prefix.prefix()).unwrap_or(*prefix);
        let prefixes: Vec<_> = self.prefix.iter().map(network).collect();
        let without: Vec<_> = without.iter().map(network).collect();
        Device {
            owner: text(&self.owner, &device.owner),
            location: text(&self.location, &device.location),
            exchange: text(&self.exchange, &device.exchange),
            sort: text(&self.sort, &device.sort),
            prefixes: edited(&device.prefixes, &prefixes, &without),
            status: self.status.unwrap_or(device.status),
            max_sessions: self.max_sessions.map_or(device.max_sessions, |limit| limit.0),
            sharing: self.sharing.unwrap_or(device.sharing),
            ..device
        }
    }
}

fn bare(code: &DeviceCode, public_ip: Ipv4Addr) -> Device {
    Device {
        code: code.clone(),
        owner: String::new(),
        location: String::new(),
        exchange: String::new(),
        sort: String::new(),
        public_ip,
        prefixes: Vec::new(),
        status: DeviceStatus::default(),
        max_sessions: None,
        sharing: Sharing::default(),
    }
}

fn add(registry: &Registry, device: &Device, now: u64) -> Result<Decision<Registered>, Refused> {
    match registry.devices.get(device.code.as_str()) {
        Some(before) if before.value != *device => Err(Refused::Present(device.row_name())),
        _ => devices::put(registry, device, now),
    }
}

fn told(registered: &Registered, what: &str) -> String {
    let Registered { device, capacity, warnings } = registered;
    let Device { code, status, .. } = device;
    let first =
        format!("Device {code} {what}: {status}, room for {capacity} termination(s) in its prefixes.\n");
    let warnings = warnings.iter().map(|warning| format!("! {warning}\n"));
    std::iter::once(first).chain(warnings).collect()
}

/// A device and what is counted of it.
#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    device: &'a Device,
    /// Addresses of its prefixes.
    capacity: u64,
    terminations: Vec<Ipv4Addr>,
    sessions: Vec<&'a Session>,
}

fn view<'a>(registry: &'a Registry, device: &'a Device) -> View<'a> {
    let mut terminations: Vec<_> = registry.terminations_of(&device.code).collect();
    terminations.sort();
    let sessions = registry.sessions_of(&device.code).collect();
    View { device, capacity: devices::capacity(device), terminations, sessions }
}

fn list(context: &Context, registry: &Registry) -> anyhow::Result<Ended> {
    let views: Vec<_> = registry.devices.values().map(|device| view(registry, &device.value)).collect();
    context.tell(&views, || {
        let mut table = table(&[
            "code",
            "status",
            "public ip",
            "owner",
            "location",
            "exchange",
            "type",
            "sharing",
            "sessions",
            "most",
            "terminations",
            "prefixes",
        ]);
        for View { device, capacity: _, terminations, sessions } in &views {
            table.add_row([
                device.code.to_string(),
                device.status.to_string(),
                device.public_ip.to_string(),
                shown(&device.owner),
                shown(&device.location),
                shown(&device.exchange),
                shown(&device.sort),
                device.sharing.to_string(),
                sessions.len().to_string(),
                or_dash(device.max_sessions),
                terminations.len().to_string(),
                joined(&device.prefixes),
            ]);
        }
        rows(&table, "No device is in the inventory.")
    })
}

fn show(context: &Context, registry: &Registry, code: &DeviceCode) -> anyhow::Result<Ended> {
    let view = view(registry, registry.device(code)?);
    context.tell(&view, || {
        let View { device, capacity, terminations, sessions } = &view;
        let about = lines(&[
            ("code", device.code.to_string()),
            ("status", device.status.to_string()),
            ("public ip", device.public_ip.to_string()),
            ("owner", shown(&device.owner)),
            ("location", shown(&device.location)),
            ("exchange", shown(&device.exchange)),
            ("type", shown(&device.sort)),
            ("sharing", device.sharing.to_string()),
            ("prefixes", format!("{} ({capacity} addresses)", joined(&device.prefixes))),
            ("terminations", joined(terminations)),
            (
                "sessions",
                format!(
                    "{} of {}",
                    sessions.len(),
                    device.max_sessions.map_or("any".into(), |n| n.to_string())
                ),
            ),
        ]);
        format!("{about}\n{}", session::text(sessions))
    })
}
