//! Rows as any store keeps them, and what is asked of a store. Values are JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A number that grows with every transaction of a store. 0: before the first.
pub type Revision = u64;

/// The most conditions of a transaction, and the most writes: etcd takes 128 of each unless it is told otherwise
/// (`--max-txn-ops`).
pub const LARGEST: usize = 128;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The form of the rows.
    Meta,
    Device,
    Interface,
    Pool,
    /// Addresses used elsewhere.
    Used,
    /// An address that an interface offers.
    Termination,
    Session,
    /// An address or prefix taken from a pool.
    Lease,
    /// A session's place at a termination.
    Seat,
    /// Word that a pool is running out.
    Need,
    /// Whoever begins or ceases to refer to a row writes the row's fence: counts and removals are exact by it.
    Fence,
}

impl Kind {
    /// Every kind, what is referred to before what refers to it.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Device,
        Self::Interface,
        Self::Pool,
        Self::Used,
        Self::Termination,
        Self::Session,
        Self::Lease,
        Self::Seat,
        Self::Need,
        Self::Fence,
    ];

    /// Are there rows that refer to rows of this kind?
    pub fn is_referred_to(self) -> bool {
        matches!(self, Self::Device | Self::Interface | Self::Pool | Self::Termination | Self::Session)
    }

    /// The word that stores have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Device => "device",
            Self::Interface => "interface",
            Self::Pool => "pool",
            Self::Used => "used",
            Self::Termination => "termination",
            Self::Session => "session",
            Self::Lease => "lease",
            Self::Seat => "seat",
            Self::Need => "need",
            Self::Fence => "fence",
        }
    }

    /// The kind of that [`name`](Self::name); `None` for a word that is none.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowName {
    pub kind: Kind,
    pub key: String,
}

impl RowName {
    pub fn new(kind: Kind, key: impl Into<String>) -> Self {
        Self { kind, key: key.into() }
    }

    /// The row that whoever begins or ceases to refer to this one writes.
    pub fn fence(&self) -> Self {
        Self::new(Kind::Fence, format!("{}/{}", self.kind, self.key))
    }
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// A row as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: RowName,
    pub value: Value,
    /// Of the transaction that wrote it last.
    pub revision: Revision,
}

/// All rows of some kinds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Of the last transaction that it has.
    pub revision: Revision,
    pub rows: Vec<Row>,
}

/// What must still be so when a transaction is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub row: RowName,
    /// `None`: the row is absent.
    pub at: Option<Revision>,
}

/// One change of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    Put(RowName, Value),
    Delete(RowName),
}

impl Write {
    /// The row that it changes.
    pub fn row(&self) -> &RowName {
        match self {
            Self::Put(row, _) | Self::Delete(row) => row,
        }
    }
}

/// All of the writes if all of the conditions hold, else nothing. No row is written twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    pub conditions: Vec<Condition>,
    pub writes: Vec<Write>,
}

impl Transaction {
    /// Is there nothing to be done?
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Does it fit into one transaction of any store?
    pub fn fits(&self) -> bool {
        self.conditions.len() <= LARGEST && self.writes.len() <= LARGEST
    }

    /// The same writes, in their order, in transactions that fit, each with the conditions of the rows that it
    /// writes. What is done half-way is done again by working it out anew.
    pub fn split(self) -> Vec<Self> {
        if self.fits() {
            return vec![self];
        }
        let Self { mut conditions, writes } = self;
        let mut parts: Vec<Self> = Vec::new();
        for write in writes {
            if parts.last().is_none_or(|part| part.writes.len() == LARGEST) {
                parts.push(Self::default());
            }
            let Some(part) = parts.last_mut() else { continue };
            if let Some(at) = conditions.iter().position(|condition| condition.row == *write.row()) {
                part.conditions.push(conditions.swap_remove(at));
            }
            part.writes.push(write);
        }
        parts
    }
}
