//! Which GRE packets a host takes in, as declared.

use std::collections::BTreeSet;

use ipnetwork::Ipv4Network;

/// Which GRE packets this host takes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filtering {
    /// Those of its tunnels only, and those of `allow`. Otherwise nothing is filtered.
    pub enable: bool,
    /// Sources whose GRE is taken besides, to whatever address.
    pub allow: BTreeSet<Ipv4Network>,
}
