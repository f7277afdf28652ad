//! What scenarios are written with.
//!
//! | file | gives |
//! |---|---|
//! | `scenario` | `Scenario`: a name, a function, its needs; how it is run, skipped, reported |
//! | `needs`    | `Need`: what a scenario asks of kernel and machine, found out by trying |
//! | `world`    | `World`: the hosts of one scenario, and a folder in memory for its files |
//! | `host`     | `Host`: one network namespace: commands, closures and sysctls in it |
//! | `command`  | `Output` of a finished command, `Process` still running |
//! | `greyhound` | `Greyhound` on a host: its declaration and its verbs; tunnels to declare and their other ends |
//! | `daemon`  | `Daemon`: greyhound's daemon, under the shipped unit (`service`) where systemd runs, else as a process that `notify` hears |
//! | `many` | many tunnels, as a declaration and as lines of `ip -batch` |
//! | `underlay` | `Underlay`: hosts around a router, with MTU, netem and cuts |
//! | `capture`  | `Capture`: the packets of one interface, as `packet` decodes them |
//! | `traffic`  | `Sender`, `Receiver`: a numbered UDP stream, to an address or a group |
//! | `limit`    | `Limit`: names a scenario that does not end, with what everything waits for, and ends the run |
//! | `retry`    | `eventually`: what must become true within a time |
//!
//! Everything that is started or made is a guard, and ends with its scope, also in a panic.

pub mod capture;
pub mod command;
pub mod daemon;
pub mod greyhound;
pub mod host;
pub mod limit;
pub mod many;
pub mod needs;
pub mod notify;
pub mod packet;
pub mod retry;
pub mod scenario;
pub mod service;
pub mod traffic;
pub mod underlay;
pub mod world;

pub use anyhow::{Context as _, Result, bail, ensure};
pub use capture::Capture;
pub use daemon::Daemon;
pub use greyhound::Greyhound;
pub use host::Host;
pub use packet::Packet;
pub use retry::eventually;
pub use scenario::Scenario;
pub use traffic::{Receiver, Sender};
pub use underlay::{Leaf, Underlay};
pub use world::World;
