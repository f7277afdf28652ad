//! What is asked for, and what is chosen.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::Serialize;

use crate::model::{HolderName, PoolName, Purpose, Timestamp};

/// What one holder needs for one purpose. Asked again, it is answered with what was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub holder: HolderName,
    pub purpose: Purpose,
    /// All of them or none.
    pub count: usize,
    /// Prefix length of each.
    pub unit: u8,
    /// Only from this pool; `None`: from every pool of the purpose.
    pub pool: Option<PoolName>,
    /// Exactly this address, or the prefix that begins with it. Goes with a count of one.
    pub pinned: Option<Ipv4Addr>,
    /// May pools of the reserve tier be drawn from?
    pub reserve_allowed: bool,
}

impl Ask {
    /// One of the purpose's own unit, from any primary pool.
    pub fn new(holder: HolderName, purpose: Purpose) -> Self {
        let unit = purpose.unit();
        Self { holder, purpose, count: 1, unit, pool: None, pinned: None, reserve_allowed: false }
    }
}

/// One chosen prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    pub prefix: Ipv4Network,
    pub pool: PoolName,
    #[serde(flatten)]
    pub why: Why,
}

/// By which part of the rule it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Why {
    /// The holder has it already.
    Kept,
    /// The holder gave it back itself.
    Own,
    /// It is the address that was asked for.
    Pinned,
    NeverUsed,
    /// Its rest ended then.
    Rested {
        since: Timestamp,
    },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kept => "its holder has it already",
            Self::Own => "its holder gave it back itself",
            Self::Pinned => "it was asked for by its number",
            Self::NeverUsed => "the lowest that was never leased",
            Self::Rested { .. } => "the one whose rest ended longest ago",
        })
    }
}
