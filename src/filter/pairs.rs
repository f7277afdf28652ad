//! Who is let in: what the tunnels that should be take, and what any link takes that is there. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::ruleset::{Pair, Ruleset, Span};
use crate::model::{Desired, Filtering, Gre, Link, LinkKind, Tunnel, TunnelName};

/// The links that the kernel makes by itself with its modules (net/ipv4/ip_gre.c). They take what no other link takes,
/// which is what is to be dropped.
const FALLBACKS: [&str; 3] = ["gre0", "gretap0", "erspan0"];

/// Who is let in, and what an operator should know of it.
///
/// A pair is there before its link is made or moved, because it is desired, and goes after its link, because that is
/// observed. All remotes of a tunnel are let in, so that a tunnel whose endpoint died does not wait for `nft`; the
/// kernel takes only what the link's own remote sends.
pub fn wanted<'a>(
    filtering: &Filtering,
    tunnels: &BTreeMap<TunnelName, Tunnel>,
    desired: &Desired,
    links: impl Iterator<Item = &'a Link>,
) -> (Ruleset, Vec<String>) {
    let mut ruleset = Ruleset::default();
    for (name, tunnel) in &desired.tunnels {
        let Gre { local, remote, .. } = tunnel.link.gre;
        let declared = tunnels.get(name).into_iter().flat_map(|tunnel| &tunnel.remotes);
        ruleset.pairs.extend(declared.chain([&remote]).map(|remote| Pair { remote: *remote, local }));
    }
    let mut notes = Vec::new();
    let mut sources: Vec<Span> =
        filtering.allow.iter().map(|prefix| (prefix.network(), prefix.broadcast())).collect();
    for link in links {
        let (LinkKind::Gre(gre) | LinkKind::Gretap(gre)) = &link.kind else { continue };
        if FALLBACKS.contains(&link.name.as_str()) {
            continue;
        }
        match of_link(gre) {
            Takes::Pair(pair) => drop(ruleset.pairs.insert(pair)),
            Takes::From(remote) => sources.push((remote, remote)),
            Takes::At(locals) => ruleset.locals.extend(locals),
            Takes::All => {
                sources.push((Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
                notes.push(format!(
                    "the filter lets all GRE in, because {} takes it from everybody",
                    link.name
                ));
            }
        }
    }
    ruleset.sources = super::ruleset::merged(sources);
    (ruleset, notes)
}

/// What a link takes in, by its outer addresses (`ip_tunnel_lookup`, net/ipv4/ip_tunnel.c).
enum Takes {
    Pair(Pair),
    /// To whatever address of this host.
    From(Ipv4Addr),
    /// From everybody.
    At(Vec<Ipv4Addr>),
    All,
}

fn of_link(gre: &Gre) -> Takes {
    let Gre { local, remote, .. } = *gre;
    match (local.is_unspecified(), remote.is_unspecified()) {
        // A group is where packets come to, as an address of this host is; its senders are not known.
        (true, _) if remote.is_multicast() => Takes::At(vec![remote]),
        (false, _) if remote.is_multicast() => Takes::At(vec![local, remote]),
        (false, false) => Takes::Pair(Pair { remote, local }),
        (true, false) => Takes::From(remote),
        (false, true) => Takes::At(vec![local]),
        (true, true) => Takes::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tuple;

    fn link(name: &str, local: [u8; 4], remote: [u8; 4]) -> Link {
        let gre = Gre::new(Tuple { local: local.into(), remote: remote.into(), key: None });
        let kind = LinkKind::Gre(gre);
        let name = name.to_owned();
        Link {
            index: 7,
            name,
            kind,
            mtu: 1476,
            group: 0,
            up: true,
            multicast: false,
            master: None,
            addrgen_none: true,
        }
    }

    fn of(links: &[Link]) -> (Ruleset, Vec<String>) {
        wanted(&Filtering::default(), &BTreeMap::new(), &Desired::default(), links.iter())
    }

    const ANY: [u8; 4] = [0; 4];
    const HERE: [u8; 4] = [198, 51, 100, 8];
    const THERE: [u8; 4] = [192, 0, 2, 1];

    #[test]
    fn whatever_a_link_takes_is_let_in_and_no_more() {
        let (ruleset, notes) = of(&[link("a", HERE, THERE)]);
        let pair = Pair { remote: THERE.into(), local: HERE.into() };
        assert_eq!(ruleset, Ruleset { pairs: [pair].into(), ..Ruleset::default() });
        assert_eq!(notes, Vec::<String>::new());
        let (ruleset, _) = of(&[link("a", ANY, THERE)]);
        assert_eq!(ruleset, Ruleset { sources: vec![(THERE.into(), THERE.into())], ..Ruleset::default() });
        let (ruleset, _) = of(&[link("a", HERE, ANY)]);
        assert_eq!(ruleset, Ruleset { locals: [HERE.into()].into(), ..Ruleset::default() });
        let (ruleset, _) = of(&[link("a", HERE, [239, 1, 1, 1])]);
        assert_eq!(ruleset.locals, [HERE.into(), [239, 1, 1, 1].into()].into());
    }

    #[test]
    fn a_link_that_takes_everything_opens_the_filter_and_is_named() {
        let (ruleset, notes) = of(&[link("gre_sys", ANY, ANY)]);
        assert_eq!(ruleset.sources, [(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)]);
        assert_eq!(notes, ["the filter lets all GRE in, because gre_sys takes it from everybody"]);
    }

    #[test]
    fn the_kernels_own_fallbacks_open_nothing() {
        assert_eq!(of(&FALLBACKS.map(|name| link(name, ANY, ANY))), (Ruleset::default(), Vec::new()));
    }

    #[test]
    fn who_is_allowed_is_let_in() {
        let allow = ["192.0.2.0/24".parse().unwrap(), "192.0.3.0/24".parse().unwrap()].into();
        let filtering = Filtering { enable: true, allow };
        let (ruleset, _) = wanted(&filtering, &BTreeMap::new(), &Desired::default(), std::iter::empty());
        assert_eq!(ruleset.sources, [([192, 0, 2, 0].into(), [192, 0, 3, 255].into())]);
    }
}
