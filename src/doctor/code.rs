//! What a finding is called, and how bad it is; the words of each are in `table`. Pure.

use serde::Serialize;

use super::table::TABLE;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or soon will not.
    Error,
    /// It works, and should not stay so.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What is found. The worst first, and in the order in which to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    GreMissing,
    KernelOld,
    Declaration,
    Capabilities,
    Store,
    Inventory,
    ApiVersion,
    DaemonStuck,
    Recursion,
    LocalMissing,
    TunnelRefused,
    TunnelHeld,
    GreRefused,
    GreBlocked,
    NoReturnRoute,
    MtuBlackHole,
    RpFilterStrict,
    ForwardingOff,
    RemoteSilent,
    MtuTooLarge,
    TunnelDrifted,
    ForeignManager,
    ForeignAddress,
    Orphan,
    ClockBehind,
    ClockUnsynchronised,
    StoreFileSystem,
    ReleaseVersion,
    DaemonAbsent,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Entry {
    #[serde(skip)]
    pub code: Code,
    /// What it is called, for ever.
    #[serde(rename = "code")]
    pub id: &'static str,
    pub severity: Severity,
    /// Whether it takes packets to find out.
    pub packets: bool,
    pub meaning: &'static str,
    /// What it is seen by.
    pub evidence: &'static str,
    /// What mends it, in general.
    pub mend: &'static str,
}

impl Code {
    /// Its line of the table.
    pub fn entry(self) -> &'static Entry {
        // The table has them in this very order: there is a test.
        &TABLE[self as usize]
    }

    /// Of its name.
    pub fn named(id: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.id == id).map(|entry| entry.code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_codes() {
        for (place, entry) in TABLE.iter().enumerate() {
            assert_eq!(entry.code as usize, place, "{}", entry.id);
            assert_eq!(Code::named(entry.id), Some(entry.code));
        }
        assert_eq!(Code::DaemonAbsent as usize + 1, TABLE.len(), "no code is missing");
    }

    #[test]
    fn the_worst_come_first_and_no_name_comes_twice() {
        assert!(TABLE.is_sorted_by_key(|entry| entry.severity));
        let ids: BTreeSet<_> = TABLE.iter().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), TABLE.len());
        let plain = |id: &str| id.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(ids.iter().all(|id| plain(id)));
    }
}
