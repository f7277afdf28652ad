//! The file as it is written: types and keys are right, values not yet checked.
//!
//! Every key is optional here, so that one that is wrong or missing hides no other problem. The
//! comments become the schema's descriptions and the help of errors: each says what to write, on one line.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::At;
use super::either::{OneOrMany, Scalar};
use super::schema;

/// The declaration of greyhound: which tunnels there are, and which addresses they may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "greyhound.toml")]
#[expect(dead_code, reason = "entries are read one by one; this is here for its keys and its schema")]
pub struct File {
    /// Where the daemon keeps its things; a `[daemon]` table.
    #[serde(default)]
    pub daemon: Daemon,
    /// How terminations are probed and when tunnels move; a `[probe]` table.
    #[serde(default)]
    pub probe: Probe,
    /// Answers to others' STAMP probes, where there is a `[reflector]` table.
    #[serde(default)]
    pub reflector: Reflector,
    /// The inventory that this host shares with others, where there is an `[inventory]` table.
    #[serde(default)]
    pub inventory: Inventory,
    /// Metrics by HTTP over TCP, where there is a `[metrics]` table.
    #[serde(default)]
    pub metrics: Metrics,
    /// How this host connects to the inventory's devices; a `[host]` table.
    #[serde(default)]
    pub host: Host,
    /// The device that this edge box is; a `[device]` table.
    #[serde(default)]
    pub device: Device,
    /// Which GRE packets this host takes in; a `[filter]` table.
    #[serde(default)]
    pub filter: Filter,
    /// Addresses that greyhound may give out; one `[[pool]]` table each.
    #[serde(default)]
    pub pool: Vec<Pool>,
    /// Tunnels that should exist; one `[[tunnel]]` table each.
    #[serde(default)]
    pub tunnel: Vec<Tunnel>,
}

/// Where the daemon keeps its things. All of it is optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Daemon {
    /// The API's unix socket: an absolute path of at most 107 bytes. Default "/run/greyhound/greyhound.sock".
    #[serde(default)]
    #[schemars(schema_with = "schema::socket")]
    pub socket: Option<At<String>>,
    /// The directory of claims and leases: an absolute path. Default "/var/lib/greyhound".
    #[serde(default)]
    #[schemars(schema_with = "schema::state_dir")]
    pub state_dir: Option<At<String>>,
    /// The link that leased addresses are put on: "lo" or an existing dummy, a name of at most 12 bytes. Default "lo".
    #[serde(default)]
    #[schemars(schema_with = "schema::loopback")]
    pub loopback: Option<At<String>>,
    /// How long a released address rests before another holder gets it: a whole number and s, m, h or d, such as "90s", "15m", "2d"; "0s" for not at all; at most 3650d. Default "1h".
    #[serde(default)]
    #[schemars(schema_with = "schema::rest")]
    pub rest: Option<At<String>>,
    /// Who may read over the API: "group" (root and members of the group) or "all". Default "group".
    #[serde(default)]
    #[schemars(schema_with = "schema::readers")]
    pub readers: Option<At<String>>,
    /// The group whose members may change things over the API, as root may. Default "greyhound".
    #[serde(default)]
    #[schemars(schema_with = "schema::group")]
    pub group: Option<At<String>>,
    /// What this host is to its inventory: "host" connects to devices, "edge" is one. Default "host".
    #[serde(default)]
    #[schemars(schema_with = "schema::role")]
    pub role: Option<At<String>>,
}

/// How terminations are probed and when tunnels move. All of it is optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// How terminations are asked: "icmp", "stamp" or both. Default ["icmp", "stamp"].
    #[serde(default)]
    #[schemars(schema_with = "schema::methods")]
    pub methods: Option<At<Vec<At<String>>>>,
    /// How often each termination is asked by each method: "100ms" to "1h". Default "10s".
    #[serde(default)]
    #[schemars(schema_with = "schema::interval")]
    pub interval: Option<At<String>>,
    /// The UDP port of the terminations' STAMP reflectors: 1 to 65535. Default 862.
    #[serde(default)]
    #[schemars(schema_with = "schema::port")]
    pub port: Option<At<i64>>,
    /// The most probes a second, all terminations together: 10 to 100000. Default 2000.
    #[serde(default)]
    #[schemars(schema_with = "schema::probes")]
    pub packets: Option<At<i64>>,
    /// A tunnel moves to an endpoint that is better by this much at least: "0ms" to "10s". Default "5ms".
    #[serde(default)]
    #[schemars(schema_with = "schema::margin")]
    pub margin: Option<At<String>>,
    /// And better by so many percent of the latency in use: 0 to 99. Default 20.
    #[serde(default)]
    #[schemars(schema_with = "schema::percent")]
    pub percent: Option<At<i64>>,
    /// And for so long: "0s" to "1d". Default "30s".
    #[serde(default)]
    #[schemars(schema_with = "schema::hold")]
    pub hold: Option<At<String>>,
    /// So long after a move, or after an endpoint was dead, no tunnel moves for being better: "0s" to "1d". Default "60s".
    #[serde(default)]
    #[schemars(schema_with = "schema::hold_down")]
    pub hold_down: Option<At<String>>,
    /// How often the other end is asked through the tunnel: "100ms" to "60s". Default: "300ms" if it answers STAMP, else "1s".
    #[serde(default)]
    #[schemars(schema_with = "schema::liveness_interval")]
    pub liveness_interval: Option<At<String>>,
    /// After so many intervals without an answer a tunnel is down: 3 to 20. Default: 3 if the other end answers STAMP, else 5.
    #[serde(default)]
    #[schemars(schema_with = "schema::liveness_multiplier")]
    pub liveness_multiplier: Option<At<i64>>,
}

/// Answers to others' STAMP probes, on the local addresses and inside the tunnels of this host.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reflector {
    /// Who is answered: prefixes such as "198.51.100.0/24"; "0.0.0.0/0" for everybody.
    #[schemars(required, schema_with = "schema::allow")]
    pub allow: Option<At<Vec<At<String>>>>,
    /// The UDP port that it listens on: 1 to 65535. Default 862.
    #[serde(default)]
    #[schemars(schema_with = "schema::port")]
    pub port: Option<At<i64>>,
    /// The most answers a second to one source: 1 to 100000. Default 100.
    #[serde(default)]
    #[schemars(schema_with = "schema::answers")]
    pub packets: Option<At<i64>>,
}

/// Where the inventory of devices, pools and sessions is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Its file, in a directory of its own on a local disk: an absolute path such as "/var/lib/greyhound-inventory/inventory.db".
    #[schemars(required, schema_with = "schema::inventory_path")]
    pub path: Option<At<String>>,
}

/// Where Prometheus reads metrics over TCP. `GET /v1/metrics` on the API's socket needs no such table.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The address and port of `GET /metrics`, such as "127.0.0.1:9862" or "[::1]:9862". Whoever reaches it may read all metrics, and nothing else.
    #[schemars(required, schema_with = "schema::listen")]
    pub listen: Option<At<String>>,
}

/// How this host connects to the inventory's devices. All of it is optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// What this host is called in the inventory: 1 to 40 of a-z, 0-9, '-', '_' and '.'. Default: its hostname.
    #[serde(default)]
    #[schemars(schema_with = "schema::host_name")]
    pub name: Option<At<String>>,
    /// What its tunnels are bound to: "auto" (an address of its own termination pools, else the one that the route to the termination would use), or an address of this host. Default "auto".
    #[serde(default)]
    #[schemars(schema_with = "schema::local")]
    pub local: Option<At<String>>,
    /// Its address as the world sees it, behind a 1:1 NAT, such as "192.0.2.10". Default: the one that its tunnels are bound to.
    #[serde(default)]
    #[schemars(schema_with = "schema::client")]
    pub public_address: Option<At<String>>,
    /// What is routed into its unicast tunnels: prefixes such as ["10.20.0.0/16"], or "inventory" for those of all devices and clients. Default [].
    #[serde(default)]
    #[schemars(schema_with = "schema::host_routes")]
    pub routes: Option<At<OneOrMany>>,
    /// How much further than the best another device may be, once the best has no termination left: "0ms" to "10s". Default "5ms".
    #[serde(default)]
    #[schemars(schema_with = "schema::near")]
    pub near: Option<At<String>>,
}

/// The device that this edge box is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its code: 1 to 16 of a-z, 0-9, '-' and '_', starting with a letter or a digit.
    #[schemars(required, schema_with = "schema::code")]
    pub code: Option<At<String>>,
    /// The address that it is known by, such as "192.0.2.1".
    #[schemars(required, schema_with = "schema::client")]
    pub public_ip: Option<At<String>>,
    /// Who contributes it. Default "".
    #[serde(default)]
    #[schemars(schema_with = "schema::text")]
    pub owner: Option<At<String>>,
    /// Where it stands. Default "".
    #[serde(default)]
    #[schemars(schema_with = "schema::text")]
    pub location: Option<At<String>>,
    /// The exchange that it is at. Default "".
    #[serde(default)]
    #[schemars(schema_with = "schema::text")]
    pub exchange: Option<At<String>>,
    /// What sort of box it is. Default "".
    #[serde(default, rename = "type")]
    #[schemars(schema_with = "schema::text")]
    pub sort: Option<At<String>>,
    /// Contributed for its terminations, a /29 or shorter each, such as ["198.51.100.8/29"]; all addresses count. Default []: they come from general pools.
    #[serde(default)]
    #[schemars(schema_with = "schema::routes")]
    pub prefixes: Option<At<Vec<At<String>>>>,
    /// The name of the interface that offers its terminations. Default "lo".
    #[serde(default)]
    #[schemars(schema_with = "schema::interface")]
    pub interface: Option<At<String>>,
    /// It offers so many terminations at least: 2 to 1024. Default: as many as its prefixes have, 2 at least and 8 at most.
    #[serde(default)]
    #[schemars(schema_with = "schema::terminations")]
    pub terminations: Option<At<i64>>,
    /// Who may have one termination, until an operator says otherwise: "exclusive" (one session) or "per-client" (one session of each client). Default "exclusive".
    #[serde(default)]
    #[schemars(schema_with = "schema::sharing")]
    pub sharing: Option<At<String>>,
    /// The most sessions, until an operator says otherwise: 0 to 1000000. Default: as many as there are terminations for.
    #[serde(default)]
    #[schemars(schema_with = "schema::max_sessions")]
    pub max_sessions: Option<At<i64>>,
}

/// Which GRE packets this host takes in. All of it is optional.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// GRE to this host that is of none of its tunnels is dropped, by a table of nftables: true or false. Default: true with role = "edge", else false.
    #[serde(default)]
    #[schemars(schema_with = "schema::filter")]
    pub enable: Option<At<bool>>,
    /// Sources whose GRE is taken besides, to whatever address: prefixes such as ["192.0.2.0/24"]. Default [].
    #[serde(default)]
    #[schemars(schema_with = "schema::filter_allow")]
    pub allow: Option<At<Vec<At<String>>>>,
}

/// Addresses that greyhound may give out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The pool's name: 1 to 32 of a-z, 0-9, '-' and '_', starting with a letter or a digit.
    #[schemars(required, schema_with = "schema::pool_name")]
    pub name: Option<At<String>>,
    /// What its addresses are for: "termination" (local addresses of tunnels), "overlay" (addresses inside tunnels) or "client".
    #[schemars(required, schema_with = "schema::purpose")]
    pub purpose: Option<At<String>>,
    /// "primary", or "reserve": never touched unless a tunnel names the pool or one of its addresses. Default "primary".
    #[serde(default)]
    #[schemars(schema_with = "schema::tier")]
    pub tier: Option<At<String>>,
    /// Its addresses, drawn from in this order: ranges such as "198.51.100.8-198.51.100.15" and prefixes such as "203.0.113.0/29".
    #[schemars(required, schema_with = "schema::ranges")]
    pub ranges: Option<At<Vec<At<String>>>>,
    /// The most leases that may be active at once: 1 to the number of addresses that are not excluded. Default: no limit.
    #[serde(default)]
    #[schemars(schema_with = "schema::quota")]
    pub quota: Option<At<i64>>,
    /// Addresses of its ranges that are never given out: ranges, prefixes or single addresses such as "203.0.113.1/32". Default [].
    #[serde(default)]
    #[schemars(schema_with = "schema::exclude")]
    pub exclude: Option<At<Vec<At<String>>>>,
}

/// A GRE tunnel that should exist. Its kernel link is named gh- and the tunnel's name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// The tunnel's name: 1 to 12 of a-z, 0-9, '-' and '_', starting with a letter or a digit.
    #[schemars(required, schema_with = "schema::tunnel_name")]
    pub name: Option<At<String>>,
    /// What it carries: "unicast" or "multicast".
    #[schemars(required, schema_with = "schema::kind")]
    pub kind: Option<At<String>>,
    /// The outer source address: "auto" (leased from a termination pool), an address of a termination pool, or an address of this host.
    #[schemars(required, schema_with = "schema::local")]
    pub local: Option<At<String>>,
    /// The termination pool that local = "auto" is leased from. Default: the primary termination pools, in their order.
    #[serde(default)]
    #[schemars(schema_with = "schema::pool")]
    pub pool: Option<At<String>>,
    /// The outer destination: an address such as "192.0.2.1", or a list of up to 64 candidates; the first until probing ranks them.
    #[schemars(required, schema_with = "schema::remote")]
    pub remote: Option<At<OneOrMany>>,
    /// Our address inside the tunnel with the prefix that it shares with the peer, a /31 or a /30, such as "169.254.10.0/31".
    #[schemars(required, schema_with = "schema::overlay")]
    pub overlay: Option<At<String>>,
    /// Prefixes routed into the tunnel, such as ["10.20.0.0/16"]. Default [].
    #[serde(default)]
    #[schemars(schema_with = "schema::routes")]
    pub routes: Option<At<Vec<At<String>>>>,
    /// Multicast groups routed into the tunnel, for kind = "multicast": addresses or prefixes of 224.0.0.0/4, such as ["239.1.2.3"]. Default [].
    #[serde(default)]
    #[schemars(schema_with = "schema::groups")]
    pub groups: Option<At<Vec<At<String>>>>,
    /// TTL of the outer header: 1 to 255, or "inherit" to take the inner packet's. Default 64.
    #[serde(default)]
    #[schemars(schema_with = "schema::ttl")]
    pub ttl: Option<At<Scalar>>,
    /// TOS octet of the outer header: an even number from 0 to 254, or "inherit" to take the inner packet's. Default 0.
    #[serde(default)]
    #[schemars(schema_with = "schema::tos")]
    pub tos: Option<At<Scalar>>,
    /// GRE key, both ways: 0 to 4294967295, or the same as a dotted quad such as "0.0.0.42". Default: no key, which is not key 0.
    #[serde(default)]
    #[schemars(schema_with = "schema::key")]
    pub key: Option<At<Scalar>>,
    /// MTU of the tunnel in bytes: 68 to 65511, to 65507 with a key. Default: what the underlay carries to the remote, less the headers.
    #[serde(default)]
    #[schemars(schema_with = "schema::mtu")]
    pub mtu: Option<At<i64>>,
    /// The outer header carries DF, so that the path's MTU is found: true or false. Default true.
    #[serde(default)]
    #[schemars(schema_with = "schema::yes")]
    pub pmtudisc: Option<At<bool>>,
    /// The inner packet's DF is not honoured; needs pmtudisc = false: true or false. Default false.
    #[serde(default, rename = "ignore-df")]
    #[schemars(schema_with = "schema::no")]
    pub ignore_df: Option<At<bool>>,
    /// The VRF link that the inside of the tunnel is in, by name. It must exist. Default: none.
    #[serde(default)]
    #[schemars(schema_with = "schema::vrf")]
    pub vrf: Option<At<String>>,
    /// Metric of the tunnel's routes: 0 to 4294967295, the lower is preferred. Default 0.
    #[serde(default)]
    #[schemars(schema_with = "schema::metric")]
    pub metric: Option<At<i64>>,
    /// An address of global scope on the tunnel, preferred source of its routes, such as "203.0.113.77". Default: none.
    #[serde(default)]
    #[schemars(schema_with = "schema::client")]
    pub client: Option<At<String>>,
    /// Whether the tunnel is in the kernel; its lease is kept in any case: true or false. Default true.
    #[serde(default)]
    #[schemars(schema_with = "schema::yes")]
    pub enable: Option<At<bool>>,
}
