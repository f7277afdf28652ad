//! A store made of paper, and an inventory to begin with.

use super::row::{Row, Snapshot, Transaction, Write};
use super::sessions::Request;
use super::{Decision, Refused, Registry, devices, interfaces, pools};
use crate::model::{
    Device, DeviceCode, DeviceStatus, HostName, InterfaceName, Pool, PoolName, Purpose, SharedPool, Sharing,
    Tier, TunnelName, Underlay,
};

pub const NOW: u64 = 1_000;

/// Rows in memory, with the meaning of any store.
#[derive(Clone, Debug, Default)]
pub struct Paper(pub Snapshot);

impl Paper {
    pub fn registry(&self) -> Registry {
        Registry::new(&self.0).unwrap()
    }

    /// Carries a transaction out; false: a condition does not hold.
    pub fn commit(&mut self, transaction: &Transaction) -> bool {
        assert!(transaction.fits(), "{} conditions", transaction.conditions.len());
        let at = |row| self.0.rows.iter().find(|there| there.name == row).map(|there| there.revision);
        if !transaction.conditions.iter().all(|condition| at(condition.row.clone()) == condition.at) {
            return false;
        }
        if transaction.is_empty() {
            return true;
        }
        self.0.revision += 1;
        for write in &transaction.writes {
            self.0.rows.retain(|row| row.name != *write.row());
            if let Write::Put(name, value) = write {
                let (name, value) = (name.clone(), value.clone());
                self.0.rows.push(Row { name, value, revision: self.0.revision });
            }
        }
        true
    }

    /// Decides by what is there, and carries it out.
    pub fn change<T>(
        &mut self,
        decide: impl FnOnce(&Registry) -> Result<Decision<T>, Refused>,
    ) -> Result<T, Refused> {
        let Decision { transaction, value } = decide(&self.registry())?;
        assert!(self.commit(&transaction), "nobody else writes");
        assert_eq!(self.registry().dangling().next(), None);
        Ok(value)
    }

    /// The error of a decision, as it is read.
    pub fn refused<T: std::fmt::Debug>(
        &self,
        decide: impl FnOnce(&Registry) -> Result<Decision<T>, Refused>,
    ) -> String {
        let refused = decide(&self.registry()).unwrap_err();
        let source = std::error::Error::source(&refused).map(|source| format!(": {source}"));
        refused.to_string() + &source.unwrap_or_default()
    }
}

pub fn code(text: &str) -> DeviceCode {
    DeviceCode::new(text).unwrap()
}

pub fn pool_name(text: &str) -> PoolName {
    PoolName::new(text).unwrap()
}

pub fn device(name: &str, prefixes: &[&str]) -> Device {
    Device {
        code: code(name),
        owner: "acme".to_owned(),
        location: "Amsterdam".to_owned(),
        exchange: String::new(),
        sort: "edge".to_owned(),
        public_ip: [192, 0, 2, 1].into(),
        prefixes: prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect(),
        status: DeviceStatus::Activated,
        max_sessions: None,
        sharing: Sharing::Exclusive,
    }
}

pub fn pool(name: &str, purpose: Purpose, ranges: &[&str]) -> SharedPool {
    let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
    SharedPool {
        pool: Pool {
            name: pool_name(name),
            purpose,
            tier: Tier::Primary,
            ranges,
            quota: None,
            exclude: Vec::new(),
        },
        device: None,
        carve: None,
        allowed: Default::default(),
        low_water: 0,
        carved_from: None,
    }
}

/// Two devices with two terminations each, and addresses for five sessions.
pub fn stocked(sharing: Sharing) -> Paper {
    let mut paper = Paper::default();
    for (name, prefix) in [("ams-1", "198.51.100.8/29"), ("fra-1", "203.0.113.8/29")] {
        let device = Device { sharing, ..device(name, &[prefix]) };
        paper.change(|r| devices::put(r, &device, NOW)).unwrap();
        let lo = InterfaceName::new("lo").unwrap();
        paper.change(|r| interfaces::bootstrap(r, (&code(name), &lo), 2, NOW)).unwrap();
    }
    let (inside, clients) = (["169.254.10.0-169.254.10.9"], ["203.0.114.1-203.0.114.5"]);
    paper.change(|r| pools::put(r, &pool("inside", Purpose::Overlay, &inside), NOW)).unwrap();
    paper.change(|r| pools::put(r, &pool("clients", Purpose::Client, &clients), NOW)).unwrap();
    paper
}

/// What a host asks of a device; its address ends like its name.
pub fn ask(host: &str, name: &str, device: &str) -> Request {
    let last = host.bytes().last().unwrap();
    Request {
        host: HostName::new(host).unwrap(),
        name: TunnelName::new(name).unwrap(),
        kind: crate::model::Kind::Unicast,
        device: code(device),
        termination: None,
        underlay: Underlay { bound: [192, 0, 2, last].into(), public: None },
        publish: Default::default(),
        subscribe: Default::default(),
    }
}
