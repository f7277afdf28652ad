//! Sessions, as they stand in JSON.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A session of this host, or with this device, as the inventory has it and as this host sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// `HOST/NAME`.
    pub session: String,
    /// Its tunnel on this host.
    pub tunnel: String,
    /// `unicast` or `multicast`.
    pub kind: String,
    pub device: String,
    /// The termination in use.
    #[schema(value_type = String, format = Ipv4)]
    pub termination: Ipv4Addr,
    /// The /31: the edge has its first address, the client the second.
    pub overlay: String,
    /// The client's address inside.
    #[schema(value_type = String, format = Ipv4)]
    pub client: Ipv4Addr,
    /// The address that the client's tunnel is bound to.
    #[schema(value_type = String, format = Ipv4)]
    pub bound: Ipv4Addr,
    /// What the world sees of it, behind a 1:1 NAT.
    #[schema(value_type = Option<String>, format = Ipv4)]
    pub public: Option<Ipv4Addr>,
    #[schema(value_type = Vec<String>)]
    pub publish: Vec<Ipv4Addr>,
    #[schema(value_type = Vec<String>)]
    pub subscribe: Vec<Ipv4Addr>,
    /// `requested`, `edge-ready`, `ready` or `ending`.
    pub state: String,
    /// Since when, in seconds since 1970-01-01T00:00:00Z.
    pub since: u64,
    /// How far it has come.
    pub steps: StepsView,
    /// Why its tunnel is not as it should be.
    pub reasons: Vec<String>,
    /// The effective latency of the termination in use, in milliseconds; null: it is not known here.
    pub latency_ms: Option<f64>,
    /// The nearest termination, when that is another.
    pub best: Option<BestView>,
}

/// How far a session has come; all of it was observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepsView {
    /// The edge has read its end back from its kernel.
    pub edge_ready: bool,
    /// This host has its own: link, addresses and routes.
    pub link_up: bool,
    /// The other end has answered through the tunnel, and still does.
    pub answered: bool,
}

/// A termination that is nearer than the one in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BestView {
    pub device: String,
    #[schema(value_type = String, format = Ipv4)]
    pub termination: Ipv4Addr,
    pub latency_ms: f64,
    /// Why the session is not there: one sentence.
    pub why: String,
}

/// What `connect` is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectAsk {
    /// `unicast` or `multicast`.
    pub kind: String,
    /// What the tunnel is to be called; null: the kind, and a number where that is taken.
    pub name: Option<String>,
    /// Only on this device.
    pub device: Option<String>,
    /// Only to this termination.
    #[schema(value_type = Option<String>, format = Ipv4)]
    pub termination: Option<Ipv4Addr>,
    /// Groups that the client sends to.
    #[schema(value_type = Vec<String>)]
    pub publish: Vec<Ipv4Addr>,
    /// Groups that the client wants.
    #[schema(value_type = Vec<String>)]
    pub subscribe: Vec<Ipv4Addr>,
}

impl StepsView {
    /// How many there are.
    pub fn count(self) -> usize {
        let Self { edge_ready, link_up, answered } = self;
        [edge_ready, link_up, answered].into_iter().filter(|done| *done).count()
    }
}
