//! What was measured, as it stands in JSON.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far away every termination is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyView {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// By device, the best first.
    pub terminations: Vec<TerminationView>,
    /// Of all replies, those of who was not asked, too.
    pub not_believed: NotBelievedView,
    /// Null: this host answers nobody.
    pub reflector: Option<ReflectorView>,
}

/// Replies that were counted and not believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotBelievedView {
    /// From the right address with a wrong cookie, sequence or timestamp.
    pub forged: u64,
    /// Of a probe that was given up.
    pub late: u64,
    /// Of a probe that was answered.
    pub duplicated: u64,
    /// From an address that was not asked, or not a reply at all.
    pub foreign: u64,
}

/// What this host's STAMP reflector did with all requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReflectorView {
    pub answered: u64,
    pub malformed: u64,
    /// From sources that are not allowed.
    pub forbidden: u64,
    /// From ports of other reflectors, or below 1024: an answer might be answered.
    pub echoing: u64,
    /// More than the source may ask.
    pub limited: u64,
    /// For addresses where it does not answer.
    pub elsewhere: u64,
    /// Answers that could not be sent.
    pub unsent: u64,
}

/// `<device: interface: termination: result>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TerminationView {
    /// The candidates of a declared tunnel count as one device, which has its name.
    pub device: String,
    pub interface: String,
    #[schema(value_type = String, format = Ipv4)]
    pub termination: Ipv4Addr,
    /// Where probes leave from; null: from where the route says.
    #[schema(value_type = Option<String>, format = Ipv4)]
    pub source: Option<Ipv4Addr>,
    pub in_use: bool,
    /// The figure that terminations are compared by; null: it has none.
    pub latency_ms: Option<f64>,
    /// The figure and what it is made of, or why there is none: one sentence.
    pub result: String,
    /// Why its tunnel does not move there for being better, and for how long; null: nothing is in the way.
    pub shunned: Option<String>,
    pub methods: Vec<MethodView>,
}

/// What one method measured, over the last minutes. Times are round trips in milliseconds, null where nothing was
/// answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MethodView {
    /// `icmp` or `stamp`.
    pub method: String,
    /// `reachable`, `unreachable` or `unknown`.
    pub state: String,
    /// Why it is unreachable.
    pub why: Option<String>,
    pub sent: u64,
    pub answered: u64,
    /// 0 to 1.
    pub loss: f64,
    /// On the way there; null: the reflector does not count.
    pub loss_forward: Option<f64>,
    pub loss_backward: Option<f64>,
    pub min_ms: Option<f64>,
    pub median_ms: Option<f64>,
    pub mean_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub jitter_ms: Option<f64>,
    pub last_ms: Option<f64>,
    pub smoothed_ms: Option<f64>,
    /// How long ago the last probe left.
    pub probed_ago_ms: Option<u64>,
    /// Round trips that the kernel's clock could not time, as while it was set.
    pub stepped: u64,
    pub not_believed: NotBelievedView,
    /// The last round trips, the oldest first; null was lost.
    pub series_ms: Vec<Option<f64>>,
}
