//! The data that greyhound shows, as it stands in JSON. A field's meaning never changes; new ones may come.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use super::dto_session::{BestView, ConnectAsk, SessionView, StepsView};

pub use super::dto_measured::{LatencyView, MethodView, NotBelievedView, ReflectorView, TerminationView};

/// What would change in the kernel, and what stands in the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// One sentence.
    pub summary: String,
    /// In the order in which they are taken.
    pub steps: Vec<StepView>,
    /// Tunnels that wait for something on this host, and for what.
    pub held: BTreeMap<String, String>,
    /// Tunnels that cannot be as declared, and why.
    pub refused: BTreeMap<String, Vec<String>>,
    /// Tunnels found exactly as declared, and claimed from now on.
    pub adopted: Vec<String>,
    /// Marked as greyhound's, neither claimed nor declared.
    pub orphans: Vec<String>,
    pub notes: Vec<String>,
    /// The whole as text for people.
    pub text: String,
}

/// One change of one kernel object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// `add`, `change`, `recreate` or `delete`.
    pub action: String,
    /// `link`, `address`, `route`, `rule` or `filter`.
    pub object: String,
    /// The tunnel it is for; loopback addresses and rules serve all.
    pub tunnel: Option<String>,
    /// In iproute2's words.
    pub text: String,
    /// Why it was not done, once it was tried.
    pub error: Option<String>,
}

/// What `apply` and `flush` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutcomeView {
    /// One sentence.
    pub summary: String,
    /// Steps taken without an error.
    pub done: usize,
    /// Steps that failed, each with its error.
    pub failed: Vec<StepView>,
    /// Milliseconds from the first look at the kernel to the last.
    pub elapsed_ms: u64,
    /// What is left to do, as read back from the kernel afterwards.
    pub left: PlanView,
}

impl OutcomeView {
    /// Is the kernel as declared, every tunnel of it?
    pub fn is_whole(&self) -> bool {
        self.failed.is_empty()
            && self.left.steps.is_empty()
            && self.left.held.is_empty()
            && self.left.refused.is_empty()
    }
}

/// How a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TunnelState {
    /// The kernel has it as declared.
    Up,
    /// The kernel has it, but not as declared.
    Drifted,
    /// Declared, and not in the kernel.
    Missing,
    /// It waits for something on this host.
    Held,
    /// Something that is not greyhound's stands in the way.
    Refused,
    /// Declared with `enable = false`.
    Disabled,
    /// Claimed, and no longer declared: the next apply removes it.
    Leaving,
}

impl TunnelState {
    /// As tables, JSON and metrics have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Drifted => "drifted",
            Self::Missing => "missing",
            Self::Held => "held",
            Self::Refused => "refused",
            Self::Disabled => "disabled",
            Self::Leaving => "leaving",
        }
    }
}

/// A tunnel, as declared and as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TunnelView {
    pub name: String,
    pub kind: Option<String>,
    pub state: TunnelState,
    /// Why it is not up.
    pub reasons: Vec<String>,
    /// The kernel link's name.
    pub link: String,
    pub ifindex: Option<u32>,
    #[schema(value_type = Option<String>, format = Ipv4)]
    pub local: Option<Ipv4Addr>,
    /// The pool that the local address is leased from.
    pub pool: Option<String>,
    /// The remote in force.
    #[schema(value_type = Option<String>, format = Ipv4)]
    pub remote: Option<Ipv4Addr>,
    /// All candidates.
    #[schema(value_type = Vec<String>)]
    pub remotes: Vec<Ipv4Addr>,
    pub key: Option<u32>,
    /// Our address inside the tunnel and its prefix length.
    pub overlay: Option<String>,
    #[schema(value_type = Option<String>, format = Ipv4)]
    pub peer: Option<Ipv4Addr>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// Bytes that the outer headers add to each packet.
    pub overhead: u32,
    pub vrf: Option<String>,
    #[schema(value_type = Option<String>, format = Ipv4)]
    pub client: Option<Ipv4Addr>,
    pub routes: Vec<String>,
    pub groups: Vec<String>,
    /// Known to the daemon only, like the next two.
    pub counters: Option<CountersView>,
    /// Since when it is up, in seconds since 1970-01-01T00:00:00Z.
    pub up_since: Option<u64>,
    pub last_repair: Option<RepairView>,
    /// What probes say of it.
    pub probe: Option<ProbeView>,
}

/// What a link has carried since it was made, as the kernel counts it (`rtnl_link_stats64`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountersView {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
}

/// The last time that a tunnel was put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairView {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// What was found.
    pub cause: String,
}

/// What probes say of a tunnel, and where it should lead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbeView {
    /// `up`, `down`, `silent` (the peer answers no probe inside the tunnel) or `unknown`.
    pub liveness: String,
    /// Why it is down.
    pub liveness_why: Option<String>,
    /// The last round trip through the tunnel, in milliseconds.
    pub inside_ms: Option<f64>,
    /// The effective latency of the endpoint in use, in milliseconds: the figure that endpoints are compared by.
    pub latency_ms: Option<f64>,
    /// Why it has none.
    pub latency_why: Option<String>,
    /// What was decided last, and by which figures: one sentence.
    pub decision: Option<String>,
    /// The same, to be read by programs.
    #[schema(value_type = Option<Object>)]
    pub decided: Option<Value>,
    /// It is moved by hand only.
    pub held: bool,
}

/// This host's tunnels at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    pub version: String,
    pub config: String,
    pub tunnels: Vec<TunnelView>,
    /// Of this host, or with this device: known to the daemon only.
    #[serde(default)]
    pub sessions: Vec<SessionView>,
    pub orphans: Vec<String>,
    pub notes: Vec<String>,
    #[serde(default)]
    pub filter: FilterView,
}

/// Which GRE this host takes in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FilterView {
    /// GRE that is of none of this host's tunnels is dropped.
    pub enabled: bool,
    /// So many pairs of outer addresses are let in.
    pub pairs: usize,
    /// Packets that were dropped since the filter was made.
    pub dropped: Option<u64>,
    /// How often it was put right since the daemon started.
    pub repairs: u64,
    /// Why it is not as it should be.
    pub trouble: Option<String>,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseView {
    pub prefix: String,
    pub pool: String,
    pub holder: String,
    /// `termination`, `overlay` or `client`.
    pub purpose: String,
    /// `active` or `resting`.
    pub state: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub since: u64,
}

/// How addresses are chosen, and the state of every pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolsView {
    /// The rule, sentence by sentence.
    pub rule: Vec<String>,
    pub pools: Vec<PoolView>,
    /// Active leases that no declared pool covers any more.
    pub strays: Vec<LeaseView>,
}

/// A pool and how full it is. Counts are of addresses; each one is counted once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolView {
    pub name: String,
    /// `termination`, `overlay` or `client`.
    pub purpose: String,
    /// `primary` or `reserve`.
    pub tier: String,
    pub total: u64,
    pub excluded: u64,
    /// Leased, or still in use by a tunnel.
    pub active: u64,
    pub resting: u64,
    /// On this host already, put there by somebody else.
    pub foreign: u64,
    pub free: u64,
    /// The most leases at once.
    pub quota: Option<u64>,
    /// What somebody who never had an address gets, and why, or why nothing.
    pub next: String,
    /// All of its addresses in order, neighbours of one state taken together.
    pub parts: Vec<PartView>,
}

/// Addresses of a pool that are in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartView {
    /// `FIRST-LAST`.
    pub range: String,
    /// One sentence, with the holder and the times.
    pub state: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Grows by one with each event, over restarts too.
    pub seq: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// `start`, `stop`, `reload`, `apply`, `repair`, `adopt`, `refuse`, `hold`, `fail`, `damp`, `resync`, `flush`, `move`, `live`, `session`.
    pub kind: String,
    pub tunnel: Option<String>,
    /// One sentence: what was done, and why.
    pub text: String,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// Of the program.
    pub version: String,
    /// Of the API: grows when something is taken away or changes its meaning.
    pub api: u32,
}

/// A hole in a stream of events: they came faster than they were read, or are no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostView {
    /// The last event before the hole, when one is known.
    pub after: Option<u64>,
    /// How many.
    pub missed: u64,
}

/// What `tunnel move` is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveAsk {
    /// One of the tunnel's remotes.
    #[schema(value_type = String, format = Ipv4)]
    pub to: Ipv4Addr,
}

/// What `flush` is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlushAsk {
    /// Also what is marked as greyhound's, but neither claimed nor declared.
    pub orphans: bool,
}

/// What `apply` and `reload` are asked: there is nothing to choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NothingAsk {}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorView {
    /// One sentence.
    pub error: String,
    /// The mistakes of a declaration, each as `check --json` prints it; or the reasons one by one.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub problems: Vec<Value>,
    /// The same as text for people.
    #[serde(default)]
    pub text: Option<String>,
}
