//! The words of greyhound as types that are valid once built. Pure: no I/O, no clock.
//!
//! | file | what is in it |
//! |---|---|
//! | [`name`] | names of tunnels, links, pools and holders |
//! | [`marks`] | the numbers and labels by which greyhound knows its own objects |
//! | [`gre`] | a GRE link's parameters: the tuple, TTL, TOS, flags, overhead |
//! | [`kernel`] | kernel objects: links, addresses, routes, rules, paths |
//! | [`tunnel`] | a tunnel as declared |
//! | [`pool`] | ranges, pools, purposes, tiers |
//! | [`probe`] | who is probed, and what came of each probe |
//! | [`probing`] | how terminations are probed, as declared |
//! | [`lease`] | leases and the holders that have them |
//! | [`event`] | something that happened |
//! | [`state`] | desired, observed and owned: what `plan` stands on |

pub mod event;
pub mod gre;
pub mod kernel;
pub mod lease;
pub mod marks;
pub mod name;
pub mod pool;
pub mod probe;
pub mod probing;
pub mod state;
pub mod tunnel;

pub use event::{Event, EventKind};
pub use gre::{Gre, Tos, Ttl, Tuple};
pub use kernel::{Address, Counters, LOOPBACK, Link, LinkKind, Path, Route, RouteKind, Rule, Scope};
pub use lease::{Lease, LeaseState, Timestamp};
pub use name::{HolderName, InvalidName, LinkName, PoolName, TunnelName};
pub use pool::{AddressRange, Pool, Purpose, Tier};
pub use probe::{Answer, Method, Oddities, Outcome, Sample, Target, Timing};
pub use probing::{Liveliness, Moving, Probing, Reflecting, STAMP_PORT};
pub use state::{Claim, Desired, DesiredLink, DesiredTunnel, Observed, Owned};
pub use tunnel::{Chosen, Failure, Kind, Learnt, Local, Tunnel};
