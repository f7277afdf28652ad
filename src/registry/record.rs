//! Rows as the words of the model: their keys, what they refer to, and the fields that we do not know.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::row::{Kind, Revision, RowName};
use crate::model::{
    Device, HolderName, Interface, Lease, Need, Seat, Session, SharedPool, Termination, Used,
};

/// A word of the model that is kept as a row.
pub trait Record: Serialize + DeserializeOwned + Clone + PartialEq {
    const KIND: Kind;

    /// Unique among rows of the kind.
    fn key(&self) -> String;

    /// The rows that must be there as long as this one is.
    fn refers(&self) -> Vec<RowName> {
        Vec::new()
    }

    fn row_name(&self) -> RowName {
        RowName::new(Self::KIND, self.key())
    }
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<T> {
    pub value: T,
    /// Fields that a later greyhound wrote: kept when the row is written again.
    pub more: Map<String, Value>,
    pub revision: Revision,
}

impl<T: Record> Stored<T> {
    /// Errors say what is wrong with the value, without its name.
    pub fn read(value: &Value, revision: Revision) -> Result<Self, serde_json::Error> {
        let record = T::deserialize(value)?;
        let Value::Object(known) = serde_json::to_value(&record)? else {
            unreachable!("records are objects")
        };
        let fields = value.as_object().into_iter().flatten();
        let more = fields.filter(|(name, _)| !known.contains_key(*name));
        let more = more.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { value: record, more, revision })
    }
}

/// A record as it is written, with fields that are only kept.
pub fn written<T: Record>(record: &T, more: &Map<String, Value>) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        for (name, value) in more {
            fields.entry(name).or_insert_with(|| value.clone());
        }
    }
    value
}

/// The row that a holder's name stands for, if it stands for one: `session/HOST/NAME`, `interface/CODE/NAME`,
/// `pool/NAME`. Others, such as `host/web1`, are names and nothing else.
pub fn row_of(holder: &HolderName) -> Option<RowName> {
    let (kind, key) = holder.as_str().split_once('/')?;
    let kind = Kind::of_name(kind)?;
    matches!(kind, Kind::Session | Kind::Interface | Kind::Pool).then(|| RowName::new(kind, key))
}

fn device(code: &crate::model::DeviceCode) -> RowName {
    RowName::new(Kind::Device, code.as_str())
}

impl Record for Device {
    const KIND: Kind = Kind::Device;

    fn key(&self) -> String {
        self.code.to_string()
    }
}

impl Record for Interface {
    const KIND: Kind = Kind::Interface;

    fn key(&self) -> String {
        Self::key(self)
    }

    fn refers(&self) -> Vec<RowName> {
        vec![device(&self.device)]
    }
}

impl Record for SharedPool {
    const KIND: Kind = Kind::Pool;

    fn key(&self) -> String {
        self.pool.name.to_string()
    }

    fn refers(&self) -> Vec<RowName> {
        let devices = self.device.iter().chain(&self.allowed).map(device);
        let block = self.carved_from.iter().map(|block| RowName::new(Kind::Pool, block.as_str()));
        devices.chain(block).collect()
    }
}

impl Record for Used {
    const KIND: Kind = Kind::Used;

    fn key(&self) -> String {
        self.prefix.to_string()
    }
}

impl Record for Termination {
    const KIND: Kind = Kind::Termination;

    fn key(&self) -> String {
        self.address.to_string()
    }

    fn refers(&self) -> Vec<RowName> {
        vec![RowName::new(Kind::Interface, format!("{}/{}", self.device, self.interface))]
    }
}

impl Record for Session {
    const KIND: Kind = Kind::Session;

    fn key(&self) -> String {
        Self::key(self).to_string()
    }

    fn refers(&self) -> Vec<RowName> {
        vec![device(&self.device), RowName::new(Kind::Termination, self.termination.to_string())]
    }
}

impl Record for Lease {
    const KIND: Kind = Kind::Lease;

    fn key(&self) -> String {
        self.prefix.to_string()
    }

    fn refers(&self) -> Vec<RowName> {
        let pool = RowName::new(Kind::Pool, self.pool.as_str());
        std::iter::once(pool).chain(row_of(&self.holder)).collect()
    }
}

impl Record for Seat {
    const KIND: Kind = Kind::Seat;

    fn key(&self) -> String {
        Self::key(self)
    }

    fn refers(&self) -> Vec<RowName> {
        vec![RowName::new(Kind::Session, self.session.as_str())]
    }
}

impl Record for Need {
    const KIND: Kind = Kind::Need;

    fn key(&self) -> String {
        self.pool.to_string()
    }

    fn refers(&self) -> Vec<RowName> {
        vec![RowName::new(Kind::Pool, self.pool.as_str())]
    }
}
