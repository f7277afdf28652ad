//! The words of greyhound as types that are valid once built. Pure: no I/O, no clock.
//!
//! | file | what is in it |
//! |---|---|
//! | [`name`] | names of tunnels, links, pools, holders, devices, interfaces, hosts |
//! | [`marks`] | the numbers and labels by which greyhound knows its own objects |
//! | [`filtering`] | which GRE packets a host takes in, as declared |
//! | [`gre`] | a GRE link's parameters: the tuple, TTL, TOS, flags, overhead |
//! | [`kernel`] | kernel objects: links, addresses, routes, rules, paths |
//! | [`tunnel`] | a tunnel as declared |
//! | [`pool`] | ranges, pools, purposes, tiers |
//! | [`probe`] | who is probed, and what came of each probe |
//! | [`probing`] | how terminations are probed, as declared |
//! | [`lease`] | leases and the holders that have them |
//! | [`device`] | devices and their interfaces |
//! | [`role`] | what a host is to the inventory |
//! | [`session`] | the agreement between a client host and a device |
//! | [`stock`] | the inventory's pools, addresses used elsewhere, terminations, seats |
//! | [`sysctl`] | the names of this host's settings |
//! | [`event`] | something that happened |
//! | [`tally`] | what the daemon has counted |
//! | [`state`] | desired, observed and owned: what `plan` stands on |

pub mod device;
pub mod event;
pub mod filtering;
pub mod gre;
pub mod kernel;
pub mod lease;
pub mod marks;
pub mod name;
pub mod pool;
pub mod probe;
pub mod probing;
pub mod role;
pub mod session;
pub mod state;
pub mod stock;
pub mod sysctl;
pub mod tally;
pub mod tunnel;

pub use device::{Device, DeviceStatus, Interface, Sharing};
pub use event::{Event, EventKind};
pub use filtering::Filtering;
pub use gre::{Gre, Tos, Ttl, Tuple};
pub use kernel::{Address, Counters, LOOPBACK, Link, LinkKind, Path, Route, RouteKind, Rule, Scope};
pub use lease::{Lease, LeaseState, Timestamp};
pub use name::{
    DeviceCode, HolderName, HostName, InterfaceName, InvalidName, LinkName, PoolName, TunnelName,
};
pub use pool::{AddressRange, Pool, Purpose, Tier};
pub use probe::{Answer, Method, Oddities, Outcome, Sample, Target, Timing};
pub use probing::{Liveliness, Moving, Probing, Reflecting, STAMP_PORT};
pub use role::{EdgeRole, HostRole, Near, Role, Routes};
pub use session::{Session, SessionKey, SessionState, Underlay};
pub use state::{Claim, Desired, DesiredLink, DesiredTunnel, Observed, Owned};
pub use stock::{Need, Seat, SharedPool, Termination, Used};
pub use tally::{Spread, Tally, TunnelTally};
pub use tunnel::{Chosen, Failure, Kind, Learnt, Local, Tunnel};
