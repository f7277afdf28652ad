//! Leases of holders that are nothing to the inventory but a name.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::draft::{Decision, Draft};
use super::record::row_of;
use super::refused::Refused;
use super::row::{Kind, RowName};
use super::supply::{Supply, Want};
use super::tables::Registry;
use crate::model::{DeviceCode, HolderName, Lease, PoolName, Purpose, Timestamp};

/// What a holder asks for.
#[derive(Clone, Debug)]
pub struct Taking {
    pub holder: HolderName,
    pub purpose: Purpose,
    /// From this device's pools first, then from general ones; `None`: from general ones alone.
    pub device: Option<DeviceCode>,
    pub pool: Option<PoolName>,
    pub pinned: Option<Ipv4Addr>,
    /// How many it shall have in all.
    pub count: usize,
    /// Reserves may be drawn from, whomever they allow.
    pub reserve: bool,
}

/// Takes what is missing, all of it or nothing; what the holder has of this purpose by then.
pub fn take(registry: &Registry, taking: &Taking, now: Timestamp) -> Result<Decision<Vec<Lease>>, Refused> {
    let Taking { holder, purpose, device, pool, pinned, count, reserve } = taking;
    refuse_owned(holder, None)?;
    let (mut draft, mut supply) = (Draft::new(registry), Supply::new(registry));
    let want = Want {
        holder: holder.clone(),
        purpose: *purpose,
        count: *count,
        device: device.as_ref(),
        pool: pool.clone(),
        pinned: *pinned,
        reserve: *reserve,
    };
    let leases = supply.take(&mut draft, &want, now)?;
    supply.tell_needs(&mut draft, &[], now);
    Ok(Decision { transaction: draft.finish()?, value: leases })
}

/// Gives one lease back. Those of sessions, interfaces and pools go when these do.
pub fn give_back(
    registry: &Registry,
    prefix: Ipv4Network,
    now: Timestamp,
) -> Result<Decision<Lease>, Refused> {
    let row = RowName::new(Kind::Lease, prefix.to_string());
    let lease = registry.leases.get(&row.key).ok_or(Refused::Absent(row))?.value.clone();
    refuse_owned(&lease.holder, Some(prefix))?;
    let (mut draft, mut supply) = (Draft::new(registry), Supply::new(registry));
    supply.give_back_one(&mut draft, &lease);
    supply.tell_needs(&mut draft, &[], now);
    Ok(Decision { transaction: draft.finish()?, value: lease })
}

fn refuse_owned(holder: &HolderName, prefix: Option<Ipv4Network>) -> Result<(), Refused> {
    match row_of(holder) {
        Some(row) => Err(Refused::Owned { row, prefix }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pools;
    use super::super::testing::{NOW, Paper, pool};
    use super::*;

    fn taking(holder: &str, count: usize) -> Taking {
        let holder = HolderName::new(holder).unwrap();
        let purpose = Purpose::Client;
        Taking { holder, purpose, device: None, pool: None, pinned: None, count, reserve: false }
    }

    #[test]
    fn a_holder_takes_several_at_once_and_gives_each_back() {
        let mut paper = Paper::default();
        let none = paper.refused(|r| take(r, &taking("host/web1", 1), NOW));
        assert!(none.contains("no client pool is there for all"), "{none}");
        paper.change(|r| pools::put(r, &pool("clients", Purpose::Client, &["203.0.113.0/29"]), NOW)).unwrap();
        let leases = paper.change(|r| take(r, &taking("host/web1", 3), NOW)).unwrap();
        assert_eq!(leases.len(), 3);
        assert!(take(&paper.registry(), &taking("host/web1", 3), NOW).unwrap().transaction.is_empty());
        let refused = paper.refused(|r| take(r, &taking("host/web2", 6), NOW));
        assert!(refused.contains("6 asked (/32), 5 free"), "{refused}");
        paper.change(|r| give_back(r, leases[1].prefix, NOW)).unwrap();
        assert_eq!(paper.registry().leases.len(), 2);
    }

    #[test]
    fn what_belongs_to_a_row_goes_with_it() {
        let refused = Paper::default().refused(|r| take(r, &taking("session/a/one", 1), NOW));
        assert_eq!(refused, "session a/one takes and gives its leases itself: choose another holder's name");
    }
}
