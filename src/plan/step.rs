//! A step: one change of the kernel. What goes or changes is named by the ifindex that was observed.

use std::fmt;

use serde::Serialize;

use crate::model::{Address, DesiredLink, LinkName, Route, Rule, TunnelName};

/// One change of one kernel object. `netlink` carries it out and decides nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    DeleteRule(Rule),
    DeleteRoute(Route),
    DeleteAddress(Address),
    DeleteLink {
        index: u32,
        name: String,
    },
    CreateLink(DesiredLink),
    /// In place: same ifindex, and with it open sockets, memberships, addresses and routes.
    ChangeLink {
        index: u32,
        link: DesiredLink,
        differences: Vec<Difference>,
    },
    /// Delete, then create, where the kernel cannot change in place.
    RecreateLink {
        index: u32,
        link: DesiredLink,
        differences: Vec<Difference>,
    },
    AddAddress(Address<LinkName>),
    /// Never replaces: a route of the same key that somebody else made is an error.
    AddRoute(Route<LinkName>),
    AddRule(Rule),
}

/// A step, and the tunnel it is for; loopback addresses and rules serve all tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    pub tunnel: Option<TunnelName>,
    pub step: Step,
}

/// One attribute that is not as declared, in iproute2's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub attribute: &'static str,
    pub observed: String,
    pub desired: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.attribute, self.observed, self.desired)
    }
}
