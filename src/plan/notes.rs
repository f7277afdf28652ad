//! What an operator should know of the host, though no step comes of it.

use std::collections::BTreeMap;

use ipnetwork::Ipv4Network;

use crate::model::{Desired, Observed, TunnelName, kernel, marks, sysctl};

/// A link with a strict reverse-path filter looks the source of what comes in up without our mark. If that source is
/// routed into a tunnel, it would not leave by this link, and the packet is dropped: so are all outer packets of a
/// remote whose address a declared route covers. One note a link, with the first such remote.
pub fn strict_filters(desired: &Desired, observed: &Observed) -> Vec<String> {
    let into = routed(desired);
    let mut notes = BTreeMap::new();
    for want in desired.tunnels.values() {
        let remote = want.link.gre.remote;
        let Some(path) = observed.paths.get(&remote).filter(|path| path.strict_rp) else { continue };
        if let (Some(tunnel), Some(link)) =
            (kernel::covering(&into, remote, path), observed.links.get(&path.link))
        {
            let name = &link.name;
            let setting = sysctl::of_link(name, "rp_filter");
            notes.entry(path.link).or_insert_with(|| {
                format!(
                    "strict rp_filter on {name} drops answers whose source is routed into a tunnel, as {remote} is \
                     into {tunnel}: set {setting} to 2"
                )
            });
        }
    }
    notes.into_values().collect()
}

/// What packets without our mark are sent into tunnels for, outside VRFs.
fn routed(desired: &Desired) -> BTreeMap<Ipv4Network, &TunnelName> {
    let ours = |(tunnel, want)| {
        let want: &crate::model::DesiredTunnel = want;
        let routes = want.routes.iter().filter(|route| route.table == marks::TABLE);
        routes.map(move |route| (route.destination, tunnel))
    };
    desired.tunnels.iter().flat_map(ours).collect()
}
