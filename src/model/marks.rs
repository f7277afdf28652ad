//! The marks by which greyhound knows its own kernel objects, and by which others can match them.
//!
//! Every number is fixed and documented, so that firewalls, routing daemons and scripts can refer
//! to it. Where one can pick freely it carries 47, the IP protocol number of GRE.

/// Links of ours are named with this prefix and the tunnel's name.
pub const LINK_PREFIX: &str = "gh-";

/// `IFLA_GROUP` of every link of ours: "gh" in ASCII. Never deleted as a group: others may join it.
pub const LINK_GROUP: u32 = 0x6768;

/// The first of the `IFLA_GROUP`s that links pass through on their way to deletion.
/// A deletion looks for a group from here on that no link is in, and uses only that one.
pub const SCRATCH_GROUP: u32 = 0x6768_0000;

/// The suffix of the label (`IFA_LABEL`) of every loopback address of ours: `lo:gh`.
pub const LABEL_SUFFIX: &str = ":gh";

/// `IFA_PROTO` of every address of ours, where the kernel keeps it (5.18 and later).
/// Free in linux/if_addr.h, which uses 1 to 3.
pub const ADDRESS_PROTOCOL: u8 = 147;

/// `rtm_protocol` of every route and `FRA_PROTOCOL` of every rule of ours.
/// Free in linux/rtnetlink.h and in iproute2's rt_protos.
pub const ROUTE_PROTOCOL: u8 = 147;

/// The routing table of our routes outside VRFs.
pub const TABLE: u32 = 4700;

/// The firewall mark of outer packets (`IFLA_GRE_FWMARK`) and of probes (`SO_MARK`).
/// Its bits lie outside the masks of kube-proxy (0xc000), tailscale (0xff0000) and Calico (0xffff0000).
pub const FWMARK: u32 = 0x47;

/// Priority of the rule that sends marked packets to the main table.
pub const RULE_UNDERLAY: u32 = 4700;
/// Priority of the rule by which packets without the mark look up our table, its default route left out.
pub const RULE_ROUTES: u32 = 4701;
/// Priority of the rule that lets main's routes, but not its default, come before our default route.
pub const RULE_MAIN: u32 = 4702;
/// Priority of the rule by which packets without the mark look up our table, its default route included.
pub const RULE_DEFAULT: u32 = 4703;

/// `RT_TABLE_MAIN` (linux/rtnetlink.h).
pub const TABLE_MAIN: u32 = 254;

/// The label of our addresses on the loopback link of that name.
/// `None` when it would not fit into IFNAMSIZ - 1 = 15 bytes (linux/if.h).
pub fn label(loopback: &str) -> Option<String> {
    let label = format!("{loopback}{LABEL_SUFFIX}");
    (label.len() <= 15).then_some(label)
}
