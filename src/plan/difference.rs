//! What of a link is not as declared. Both sides are taken apart whole: a new field breaks the build.

use crate::model::{DesiredLink, Gre, Link, LinkKind, Observed, marks};

use super::Difference;

/// Every attribute of `link` that is not as in `desired`; empty when it is as it should be.
pub fn differences(link: &Link, desired: &DesiredLink, observed: &Observed) -> Vec<Difference> {
    let Link { index: _, name, kind, mtu, group, up, multicast, master, addrgen_none } = link;
    let DesiredLink { name: want_name, gre: want_gre, mtu: want_mtu, multicast: want_multicast, vrf } =
        desired;
    let mut found = Found::default();
    found.text("name", name, want_name.as_str());
    if let LinkKind::Gre(gre) = kind {
        gre_differences(gre, want_gre, &mut found);
    }
    found.number("mtu", *mtu, *want_mtu);
    found.number("group", *group, marks::LINK_GROUP);
    found.text("state", state(*up), state(true));
    found.text("multicast", switch(*multicast), switch(*want_multicast));
    found.text("master", master_name(*master, observed), vrf.as_ref().map_or("none", |vrf| vrf.as_str()));
    found.text("addrgenmode none", switch(*addrgen_none), switch(true));
    found.0
}

fn gre_differences(gre: &Gre, want: &Gre, found: &mut Found) {
    let Gre { local, remote, ikey, okey, iflags, oflags, ttl, tos, pmtudisc, ignore_df, fwmark, exotic } =
        gre;
    found.display("local", local, &want.local);
    found.display("remote", remote, &want.remote);
    found.text("ikey", &key(*ikey), &key(want.ikey));
    found.text("okey", &key(*okey), &key(want.okey));
    found.number("iflags", u32::from(*iflags), u32::from(want.iflags));
    found.number("oflags", u32::from(*oflags), u32::from(want.oflags));
    found.display("ttl", ttl, &want.ttl);
    found.display("tos", tos, &want.tos);
    found.text("pmtudisc", switch(*pmtudisc), switch(want.pmtudisc));
    found.text("ignore-df", switch(*ignore_df), switch(want.ignore_df));
    found.number("fwmark", *fwmark, want.fwmark);
    let form = |exotic| if exotic { "bound, encapsulated or external" } else { "plain" };
    found.text("gre", form(*exotic), form(want.exotic));
}

#[derive(Default)]
struct Found(Vec<Difference>);

impl Found {
    fn text(&mut self, attribute: &'static str, observed: &str, desired: &str) {
        if observed != desired {
            let (observed, desired) = (observed.to_owned(), desired.to_owned());
            self.0.push(Difference { attribute, observed, desired });
        }
    }

    fn number(&mut self, attribute: &'static str, observed: u32, desired: u32) {
        if observed != desired {
            self.text(attribute, &observed.to_string(), &desired.to_string());
        }
    }

    fn display<T: PartialEq + ToString>(&mut self, attribute: &'static str, observed: &T, desired: &T) {
        if observed != desired {
            self.text(attribute, &observed.to_string(), &desired.to_string());
        }
    }
}

fn master_name(master: Option<u32>, observed: &Observed) -> &str {
    let Some(index) = master else { return "none" };
    observed.links.get(&index).map_or("unknown", |link| link.name.as_str())
}

fn key(key: Option<u32>) -> String {
    key.map_or_else(|| "none".to_owned(), |key| key.to_string())
}

fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn state(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}
