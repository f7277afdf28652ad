//! Every metric: name, type, labels, meaning. The order is that of the exposition and of `docs/metrics.md`.

/// What sort of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Gauge,
    /// Only grows, and begins again at zero with what it counts.
    Counter,
    Histogram,
}

/// What is to be known of a metric.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Without the `_total` of counters.
    pub stem: &'static str,
    pub kind: Type,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// A tunnel, and where it leads now.
const TUNNEL: &[&str] = &["tunnel", "kind", "device", "termination"];
const TUNNEL_STATE: &[&str] = &["tunnel", "kind", "device", "termination", "state"];
/// A termination as it is probed.
const TERMINATION: &[&str] = &["device", "interface", "termination", "source"];
const METHOD: &[&str] = &["device", "interface", "termination", "source", "method"];
const POOL: &[&str] = &["pool", "scope", "purpose", "tier"];
const POOL_STATE: &[&str] = &["pool", "scope", "purpose", "tier", "state"];

macro_rules! metrics {
    ($($name:ident $kind:ident $labels:tt $stem:literal $help:literal)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric {
            $($name),*
        }

        impl Metric {
            /// Every one, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub const fn about(self) -> &'static About {
                match self {
                    $(Self::$name => &About {
                        stem: $stem,
                        kind: Type::$kind,
                        labels: metrics!(@ $labels),
                        help: $help,
                    }),*
                }
            }
        }
    };
    (@ []) => { &[] };
    (@ [$($label:literal),+]) => { &[$($label),+] };
    (@ ($labels:ident)) => { $labels };
}

metrics! {
    BuildInfo Gauge ["version"] "greyhound_build_info"
        "Always 1; the label says which version runs."
    StartTime Gauge [] "greyhound_start_time_seconds"
        "When the daemon began, in seconds since 1970. All counters but those of links begin at zero with it."
    Ready Gauge [] "greyhound_ready"
        "1: the daemon has seen the kernel. 0: not yet, and nothing is said of tunnels."
    Keeping Gauge [] "greyhound_keeping"
        "1: the declaration is kept. 0: the last turn failed, or everything was flushed on request."
    Declared Gauge [] "greyhound_tunnels"
        "Tunnels that are shown: the declared ones, those of sessions, and those that are leaving."
    Orphans Gauge [] "greyhound_orphans"
        "Kernel objects marked as greyhound's that are neither claimed nor declared."
    TunnelUp Gauge (TUNNEL) "greyhound_tunnel_up"
        "1: the kernel has the tunnel as declared, which greyhound status shows as up. 0: it has not; greyhound_tunnel_state says what is."
    TunnelState Gauge (TUNNEL_STATE) "greyhound_tunnel_state"
        "Always 1; the label state says how the tunnel is: up, drifted, missing, held, refused, disabled or leaving."
    TunnelAnswers Gauge (TUNNEL) "greyhound_tunnel_answers"
        "1: the other end answers through the tunnel. 0: it no longer does. No sample: it never has, or that is not known yet."
    TunnelUptime Gauge (TUNNEL) "greyhound_tunnel_uptime_seconds"
        "How long the tunnel has been observed up: where the other end answers, since it does, by this daemon; where it never has, since the link came up. No sample while it is not."
    TunnelRtt Gauge (TUNNEL) "greyhound_tunnel_rtt_seconds"
        "The last round trip through the tunnel."
    ReceiveBytes Counter (TUNNEL) "greyhound_tunnel_receive_bytes"
        "Bytes received on the tunnel's link, as the kernel counts them. Begins again at zero when the link is made anew."
    ReceivePackets Counter (TUNNEL) "greyhound_tunnel_receive_packets"
        "Packets received on the tunnel's link. Begins again at zero when the link is made anew."
    ReceiveErrors Counter (TUNNEL) "greyhound_tunnel_receive_errors"
        "Errors on receiving on the tunnel's link. Begins again at zero when the link is made anew."
    TransmitBytes Counter (TUNNEL) "greyhound_tunnel_transmit_bytes"
        "Bytes sent on the tunnel's link, as the kernel counts them. Begins again at zero when the link is made anew."
    TransmitPackets Counter (TUNNEL) "greyhound_tunnel_transmit_packets"
        "Packets sent on the tunnel's link. Begins again at zero when the link is made anew."
    TransmitErrors Counter (TUNNEL) "greyhound_tunnel_transmit_errors"
        "Errors on sending on the tunnel's link. Begins again at zero when the link is made anew."
    Moves Counter (TUNNEL) "greyhound_tunnel_moves"
        "How often the tunnel was moved to another endpoint since the daemon began, by what is measured or by hand."
    Repairs Counter (TUNNEL) "greyhound_tunnel_repairs"
        "How often the tunnel was put right after somebody changed it, since the daemon began."
    Rtt Gauge (METHOD) "greyhound_termination_rtt_seconds"
        "Smoothed round trip to the termination (RFC 6298). No sample where nothing was answered."
    Jitter Gauge (METHOD) "greyhound_termination_jitter_seconds"
        "Mean difference of consecutive round trips to the termination."
    Loss Gauge (METHOD) "greyhound_termination_loss_ratio"
        "Share of the probes of the last minutes that were lost, 0 to 1. No sample where none was sent."
    Reachable Gauge (METHOD) "greyhound_termination_reachable"
        "1: the termination answers. 0: three probes in a row were lost, or one was refused. No sample: not known yet."
    Score Gauge (TERMINATION) "greyhound_termination_score_seconds"
        "Effective latency, by which endpoints are compared; lower is better. No sample: it has none."
    InUse Gauge (TERMINATION) "greyhound_termination_in_use"
        "1: a tunnel of this host leads there, or is to while its link is not there. 0: none does."
    NotBelieved Counter ["reason"] "greyhound_probe_replies_not_believed"
        "Replies to probes that were not believed: forged, late, duplicated or foreign."
    Reflected Counter ["result"] "greyhound_reflector_requests"
        "STAMP requests of others by what was done with them. Begins again at zero with the reflector. No samples: none runs."
    PoolAddresses Gauge (POOL_STATE) "greyhound_pool_addresses"
        "Addresses of the pool by state: free, active, resting, foreign or excluded; each one is counted once."
    PoolAvailable Gauge (POOL) "greyhound_pool_available"
        "How many leases somebody new could have of the pool now."
    PoolLowWater Gauge (POOL) "greyhound_pool_low_water"
        "With so many available or fewer the pool is low. Only pools of the inventory have it."
    PoolQuota Gauge (POOL) "greyhound_pool_quota"
        "The most leases of the pool at once, where there is a limit."
    Leases Gauge ["pool", "purpose", "state"] "greyhound_leases"
        "Leases of this host's own pools by state: active or resting."
    Sessions Gauge ["kind", "state"] "greyhound_sessions"
        "Sessions of this host, or with this device, by state: requested, edge-ready, ready or ending."
    InventoryUp Gauge [] "greyhound_inventory_up"
        "1: the inventory is there. 0: it is away, and what was seen last is kept. No sample: this host has no part in any."
    InventoryOwed Gauge [] "greyhound_inventory_owed"
        "Changes that this host owes the inventory and that cannot be written now."
    FilterUp Gauge [] "greyhound_filter_up"
        "1: the filter is as declared. 0: it is not, and greyhound status says why. No sample: none is declared."
    FilterPairs Gauge [] "greyhound_filter_pairs"
        "Pairs of outer addresses whose GRE is let in."
    FilterDropped Counter [] "greyhound_filter_dropped_packets"
        "GRE packets that were of no tunnel of this host and were dropped. Begins again at zero when somebody deletes the table."
    FilterRepairs Counter [] "greyhound_filter_repairs"
        "How often the filter was put right after somebody changed it, since the daemon began."
    TurnDuration Histogram [] "greyhound_turn_duration_seconds"
        "How long turns took that were carried through: from the first look at the kernel to the last."
    TurnsFailed Counter [] "greyhound_turns_failed"
        "Turns that could not be carried through."
    Steps Counter ["action", "object"] "greyhound_steps"
        "Changes of the kernel that were made: add, change, recreate or delete a link, address, route or rule."
    NetlinkErrors Counter ["request", "error"] "greyhound_netlink_errors"
        "What the kernel refused or did not answer, by what was asked (link, address, route, rule, look, counters) and by the error's name."
    NetlinkRequests Counter ["request"] "greyhound_netlink_requests"
        "What was asked of the kernel: dumps, reads of one thing, changes."
    NetlinkOverruns Counter [] "greyhound_netlink_overruns"
        "How often events of the kernel were lost, and everything was read anew."
    Events Counter ["kind"] "greyhound_events"
        "Events told since the daemon began, by kind, as greyhound events shows them."
}

impl Metric {
    /// As Prometheus knows it.
    pub fn name(self) -> String {
        let About { stem, kind, .. } = self.about();
        match kind {
            Type::Counter => format!("{stem}_total"),
            Type::Gauge | Type::Histogram => (*stem).to_owned(),
        }
    }
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}
