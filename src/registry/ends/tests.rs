use super::super::testing::{NOW, ask, code, pool, stocked};
use super::super::{Refused, pools, sessions};
use super::*;
use crate::model::{PoolName, SessionKey, Sharing, Tier};

fn net(text: &str) -> Ipv4Network {
    text.parse().unwrap()
}

fn web() -> HostName {
    HostName::new("host-1").unwrap()
}

/// A unicast and a multicast session of host-1 on ams-1, and one of host-2 on fra-1.
fn registry() -> Registry {
    let mut paper = stocked(Sharing::Exclusive);
    paper.change(|r| sessions::request(r, &ask("host-1", "uni", "ams-1"), NOW)).unwrap();
    let groups = [[239, 1, 0, 1].into()];
    let multi = sessions::Request {
        kind: Kind::Multicast,
        subscribe: groups.into(),
        ..ask("host-1", "multi", "ams-1")
    };
    paper.change(|r| sessions::request(r, &multi, NOW)).unwrap();
    paper.change(|r| sessions::request(r, &ask("host-2", "uni", "fra-1"), NOW)).unwrap();
    paper.registry()
}

fn ours(registry: &Registry, pools: &[Pool], routes: &Routes) -> BTreeMap<TunnelName, Tunnel> {
    of_host(registry, &web(), &Client { pools, routes })
}

#[test]
fn both_ends_of_a_session_fit_each_other() {
    let registry = registry();
    let host = ours(&registry, &[], &Routes::Listed(vec![net("10.0.0.0/8")]));
    let edge = of_edge(&registry, &code("ams-1"));
    assert_eq!((host.len(), edge.tunnels.len()), (2, 2));
    for tunnel in host.values() {
        let theirs = edge.tunnels.values().find(|there| there.peer() == tunnel.overlay.ip()).unwrap();
        assert_eq!((theirs.overlay.ip(), theirs.kind), (tunnel.peer(), tunnel.kind));
        let (Local::Host(here), Local::Host(there)) = (&tunnel.local, &theirs.local) else {
            panic!("leased")
        };
        assert_eq!((&tunnel.remotes[..], &theirs.remotes[..]), (&[*there][..], &[*here][..]));
        assert_eq!(theirs.routes, [Ipv4Network::from(tunnel.client.unwrap())]);
    }
    let [multi, uni] = ["multi", "uni"].map(|name| &host[&TunnelName::new(name).unwrap()]);
    assert_eq!((&uni.routes[..], &uni.groups[..]), (&[net("10.0.0.0/8")][..], &[][..]));
    assert_eq!((&multi.routes[..], &multi.groups[..]), (&[][..], &[net("239.1.0.1/32")][..]));
}

#[test]
fn an_edge_offers_all_its_addresses_and_builds_only_its_own_sessions() {
    let edge = of_edge(&registry(), &code("fra-1"));
    assert_eq!(
        edge.terminations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["203.0.113.8", "203.0.113.9"]
    );
    assert_eq!(edge.tunnels.len(), 1);
    assert_eq!(of_edge(&registry(), &code("lon-1")), Edge::default());
}

#[test]
fn the_inventory_as_routes_is_every_device_and_every_other_client() {
    let host = ours(&registry(), &[], &Routes::Inventory);
    let routes = &host[&TunnelName::new("uni").unwrap()].routes;
    assert_eq!(routes[..], [net("198.51.100.8/29"), net("203.0.113.8/29"), net("203.0.114.3/32")]);
}

#[test]
fn an_address_of_our_own_ranges_is_leased() {
    let pool = Pool {
        name: PoolName::new("loopbacks").unwrap(),
        purpose: Purpose::Termination,
        tier: Tier::Primary,
        ranges: vec!["192.0.2.48/29".parse().unwrap()],
        quota: None,
        exclude: Vec::new(),
    };
    let host = ours(&registry(), &[pool], &Routes::Listed(Vec::new()));
    let address = [192, 0, 2, b'1'].into();
    let leased = Local::Leased { pool: PoolName::new("loopbacks").unwrap(), address };
    assert!(host.values().all(|tunnel| tunnel.local == leased));
}

#[test]
fn a_session_that_ends_is_built_by_nobody() -> Result<(), Refused> {
    let mut paper = stocked(Sharing::Exclusive);
    paper.change(|r| sessions::request(r, &ask("host-1", "uni", "ams-1"), NOW))?;
    let key: SessionKey = "host-1/uni".parse().unwrap();
    paper.change(|r| sessions::end(r, &key, NOW))?;
    let registry = paper.registry();
    assert!(ours(&registry, &[], &Routes::Inventory).is_empty());
    assert!(of_edge(&registry, &code("ams-1")).tunnels.is_empty());
    Ok(())
}

#[test]
fn each_31_has_a_place_that_pools_above_it_do_not_change() {
    let mut paper = stocked(Sharing::Exclusive);
    let overlays = ["169.254.10.0/31", "169.254.10.8/31"].map(net);
    assert_eq!(overlays.map(|overlay| place(&paper.registry(), overlay)), [0, 4]);
    let above = pool("more", Purpose::Overlay, &["169.254.20.0/30", "169.254.30.0/30"]);
    paper.change(|r| pools::put(r, &above, NOW)).unwrap();
    let all = overlays.into_iter().chain(["169.254.20.0/31", "169.254.20.2/31", "169.254.30.2/31"].map(net));
    let places: Vec<_> = all.map(|overlay| place(&paper.registry(), overlay)).collect();
    assert_eq!(places, [0, 4, 5, 6, 8]);
}
