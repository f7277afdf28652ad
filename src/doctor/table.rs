//! Every finding that there can be: one table, from which `--list` and docs/doctor.md are made. Pure.

use super::code::{Code, Entry, Severity};

const fn entry(
    code: Code,
    id: &'static str,
    severity: Severity,
    [meaning, evidence, mend]: [&'static str; 3],
) -> Entry {
    Entry { code, id, severity, packets: false, meaning, evidence, mend }
}

/// One that takes packets.
const fn probed(code: Code, id: &'static str, severity: Severity, words: [&'static str; 3]) -> Entry {
    Entry { packets: true, ..entry(code, id, severity, words) }
}

use Code as C;
use Severity::{Error, Note, Warning};

/// All of them.
pub const TABLE: [Entry; 29] = [
    entry(
        C::GreMissing,
        "gre-missing",
        Error,
        [
            "This kernel cannot make GRE links: no tunnel can come up.",
            "module ip_gre is not loaded, and modprobe --dry-run does not find what loads it",
            "take it off the blacklist, or install the distribution's full kernel package, then `modprobe ip_gre`",
        ],
    ),
    entry(
        C::KernelOld,
        "kernel-old",
        Error,
        [
            "greyhound is made for Linux 5.15 and later, and tried on nothing older.",
            "the kernel's release",
            "boot a later kernel",
        ],
    ),
    entry(
        C::Declaration,
        "declaration",
        Error,
        [
            "The declaration is missing or wrong: a daemon does not start with it, and one that runs goes on with what it \
         read before.",
            "the declaration's file, read and checked",
            "`greyhound check` shows every mistake with its line",
        ],
    ),
    entry(
        C::Capabilities,
        "capabilities",
        Error,
        [
            "Without these capabilities links cannot be changed (CAP_NET_ADMIN), terminations cannot be probed (CAP_NET_RAW), \
         or the reflector cannot listen on its port (CAP_NET_BIND_SERVICE).",
            "the effective capabilities of the daemon's process; without a daemon, of this one when it is root's",
            "give the unit the capabilities, or the container",
        ],
    ),
    entry(
        C::Store,
        "store",
        Error,
        [
            "What this host keeps (claims, leases, choices) cannot be used: the daemon does not start, and nothing is \
         changed in the kernel until it can.",
            "the state directory's file: its header, its schema, every page, the network namespace it is of",
            "what the evidence says",
        ],
    ),
    entry(
        C::Inventory,
        "inventory",
        Error,
        [
            "The inventory that hosts share cannot be used as it is, or does not fit together. Tunnels that are up stay; \
         what is new waits.",
            "the inventory's file, and what `greyhound inventory check` looks at",
            "what the evidence says",
        ],
    ),
    entry(
        C::ApiVersion,
        "api-version",
        Error,
        [
            "This program and the daemon are of releases that do not understand each other.",
            "the version of the API that the daemon answers with",
            "`systemctl restart greyhound`: the tunnels stay",
        ],
    ),
    entry(
        C::DaemonStuck,
        "daemon-stuck",
        Error,
        [
            "The daemon is there and its loop does nothing: tunnels stay, but nothing is repaired, moved or leased.",
            "two questions to the daemon's loop, 10 s apart, of which it answers neither in time",
            "`systemctl restart greyhound`: the tunnels stay; before that, keep its journal",
        ],
    ),
    entry(
        C::Recursion,
        "recursion",
        Error,
        [
            "The outer packets of a tunnel are routed into a tunnel of greyhound: they go round and are lost.",
            "the kernel's route to the remote for packets with mark 0x47, and the rule that sends that mark to the main table",
            "delete the route in the main table that leads into the tunnel; `greyhound apply` puts the rule back",
        ],
    ),
    entry(
        C::LocalMissing,
        "local-missing",
        Error,
        [
            "The declared local address is on no link of this host: answers would have nowhere to go, so the tunnel waits.",
            "the declaration, and all addresses of this host",
            "put the address on a link, or declare another `local`",
        ],
    ),
    entry(
        C::TunnelRefused,
        "tunnel-refused",
        Error,
        [
            "Something that is not greyhound's stands where a tunnel should be; it is never touched.",
            "what `greyhound status` says",
            "remove what the evidence names, or declare the tunnel otherwise",
        ],
    ),
    entry(
        C::TunnelHeld,
        "tunnel-held",
        Error,
        [
            "A tunnel waits for something on this host; what the kernel has of it stays.",
            "what `greyhound status` says",
            "what the evidence names",
        ],
    ),
    probed(
        C::GreRefused,
        "gre-refused",
        Error,
        [
            "Somebody on the way, or the other end, says that it does not take the tunnel's GRE packets: it has no tunnel \
         between these two addresses, no GRE, or a firewall that says so.",
            "ICMP errors that quote our GRE packets, while they are sent",
            "make the other end's tunnel (for a session: look at its edge), or let protocol 47 pass where the evidence names",
        ],
    ),
    probed(
        C::GreBlocked,
        "gre-blocked",
        Error,
        [
            "The other end answers, but not through the tunnel: IP protocol 47 is dropped on the way or at an end, in one \
         direction or in both, or the other end has no such tunnel and does not say so.",
            "ICMP and STAMP to the remote are answered, probes through the tunnel are not, and nothing ever came through it; or \
         something did, and the daemon, to whom its other end used to answer, calls it down",
            "let protocol 47 pass both ways between the two addresses, in every firewall on the way",
        ],
    ),
    probed(
        C::NoReturnRoute,
        "no-return-route",
        Error,
        [
            "The other end answers this host, but not the address that the tunnel and its probes leave from: there is no \
         route back to that address.",
            "ICMP and STAMP to the remote from the tunnel's own address and from the one that the route prefers",
            "route the address (its pool) to this host in the underlay",
        ],
    ),
    probed(
        C::MtuBlackHole,
        "mtu-black-hole",
        Error,
        [
            "Full packets of the tunnel vanish on the way, and nobody says so: connections begin and then hang.",
            "echo requests of the tunnel's outer size that may not be fragmented are lost, smaller ones are answered",
            "a smaller MTU for the tunnel, or let ICMP \"fragmentation needed\" pass",
        ],
    ),
    entry(
        C::RpFilterStrict,
        "rp-filter-strict",
        Error,
        [
            "The link drops what comes in from addresses to which packets leave by another link: below a tunnel the outer \
         packets of a remote that is routed into a tunnel, on a tunnel's own link what comes out of it and goes back another \
         way.",
            "the larger of rp_filter of the link and of all is 1, and a tunnel's route covers the remote; or the link is that of \
         a tunnel for groups, or of one for whose routes another tunnel wins",
            "set net/ipv4/conf/LINK/rp_filter to 2; for a tunnel's own link net/ipv4/conf/default/rp_filter as well, which it \
         begins with when it is made anew",
        ],
    ),
    entry(
        C::ForwardingOff,
        "forwarding-off",
        Error,
        [
            "This edge box takes packets out of tunnels and passes none of them on.",
            "net/ipv4/ip_forward, and net/ipv4/conf/*/forwarding of the tunnels and of their underlay links; of packet \
         filters that drop what is forwarded, as Docker's do, it is only said that their rules were not examined",
            "set net/ipv4/ip_forward to 1",
        ],
    ),
    probed(
        C::RemoteSilent,
        "remote-silent",
        Warning,
        [
            "The remote answers neither ICMP nor STAMP, and nothing comes through the tunnel: it is down, cannot be \
         reached, or answers nobody.",
            "ICMP and STAMP to the remote, and probes through the tunnel",
            "look at the other end, and at the way there: `traceroute`",
        ],
    ),
    probed(
        C::MtuTooLarge,
        "mtu-too-large",
        Warning,
        [
            "Full packets of the tunnel are too big for a link on the way. Senders that listen to ICMP learn it, packet by \
         packet; others lose packets.",
            "echo requests of the tunnel's outer size that may not be fragmented are refused as too big",
            "a smaller MTU for the tunnel",
        ],
    ),
    entry(
        C::TunnelDrifted,
        "tunnel-drifted",
        Warning,
        [
            "A declared tunnel is not in the kernel as declared.",
            "what `greyhound status` says",
            "`greyhound apply`, or a daemon that keeps it so",
        ],
    ),
    entry(
        C::ForeignManager,
        "foreign-manager",
        Warning,
        [
            "Another program manages this host's network and was not told to leave greyhound's links, routes, rules or \
         addresses alone: it may take them away when it restarts.",
            "its process in this network namespace, and its configuration files",
            "the drop-ins that leave them alone",
        ],
    ),
    entry(
        C::ForeignAddress,
        "foreign-address",
        Warning,
        [
            "Somebody else put an address for terminations on this host. From this host's own pools it is never leased as long \
         as it is there; if it is leased elsewhere, two hosts have it.",
            "all addresses of this host that have not greyhound's marks and lie in a pool for terminations: declared, of the \
         inventory, or the edge box's own prefixes",
            "exclude it from the pool, or take it off where nothing else hangs on it",
        ],
    ),
    entry(
        C::Orphan,
        "orphan",
        Warning,
        [
            "It has greyhound's marks, but is neither declared nor claimed: a store that was lost, or somebody who uses the \
         same marks. It is never touched without being asked.",
            "what `greyhound status` says",
            "delete it by hand, or declare it: then it is adopted",
        ],
    ),
    entry(
        C::ClockBehind,
        "clock-behind",
        Warning,
        [
            "The clock is behind what was written: it went back. Addresses rest longer than declared, and times of events \
         lie in the future.",
            "this host's clock, and the newest event and lease of its store",
            "set the clock: `chronyc makestep`, or what keeps it",
        ],
    ),
    entry(
        C::ClockUnsynchronised,
        "clock-unsynchronised",
        Warning,
        [
            "Nothing keeps this host's clock right: times of events and leases, which hosts share, drift apart.",
            "what the kernel says of its clock (adjtimex)",
            "run an NTP client: `apt-get install chrony`",
        ],
    ),
    entry(
        C::StoreFileSystem,
        "store-filesystem",
        Warning,
        [
            "The store is on a file system of several hosts, where SQLite's write-ahead log does not work.",
            "the file system of state_dir",
            "declare a `state_dir` on a local disk",
        ],
    ),
    entry(
        C::ReleaseVersion,
        "release-version",
        Warning,
        [
            "This program and the daemon are of different releases: the daemon was not restarted after an upgrade.",
            "the release that the daemon answers with",
            "`systemctl restart greyhound`: the tunnels stay",
        ],
    ),
    entry(
        C::DaemonAbsent,
        "daemon-absent",
        Note,
        [
            "Tunnels stay as they are; nothing is repaired, probed or moved, and no session is built.",
            "nobody listens on the daemon's socket, and something is declared",
            "`systemctl enable --now greyhound`",
        ],
    ),
];
