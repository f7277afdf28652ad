//! Each tunnel's local address: what to ask for, and what was got.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::alloc::{Ask, Foreign};
use crate::model::{
    HolderName, Lease, LeaseState, Link, Local, Observed, Owned, Pool, PoolName, Purpose, Tunnel, TunnelName,
};
use crate::plan::addresses::is_labelled;
use crate::store::{Change, Error, Supply};

/// Each enabled tunnel's local address, or why it has none.
pub type Locals = BTreeMap<TunnelName, Result<Ipv4Addr, String>>;

/// Gives every enabled tunnel its local address. One that gets none holds up no other.
pub fn lease(
    tunnels: &BTreeMap<TunnelName, Tunnel>,
    supply: &Supply<'_>,
    observed: &Observed,
    change: &mut Change<'_>,
) -> Result<Locals, Error> {
    let leases = change.leases()?.into_iter();
    let active = leases.filter(|lease| lease.state == LeaseState::Active);
    let holders: BTreeSet<HolderName> = active.map(|lease| lease.holder).collect();
    let mut locals = Locals::new();
    let enabled = tunnels.values().filter(|tunnel| tunnel.enable);
    let asked = enabled.map(|tunnel| {
        let wanted = ask(tunnel);
        let hint = match &wanted {
            Wanted::Host(_) => None,
            Wanted::Leased(ask) => hint(tunnel, ask, &holders, observed),
        };
        (tunnel, wanted, hint)
    });
    let mut asked: Vec<_> = asked.collect();
    // Who asks for an address by its number comes first, then who has one in the kernel, or another might be given it.
    asked.sort_by_key(|(tunnel, _, hint)| (matches!(tunnel.local, Local::Auto { .. }), hint.is_none()));
    for (tunnel, wanted, hint) in asked {
        let local = match wanted {
            Wanted::Host(address) => Ok(address),
            Wanted::Leased(ask) => {
                let hinted = hint.map(|hint| one(change, supply, &hint)).transpose()?.and_then(Result::ok);
                match hinted {
                    Some(address) => Ok(address),
                    None => one_or_the_probes(change, supply, &ask)?,
                }
            }
        };
        locals.insert(tunnel.name.clone(), local);
    }
    Ok(locals)
}

/// The address that probes leave from for tunnels that have none, so that what is measured then is measured from where
/// a tunnel of this host will be. It is leased when it is first needed, or is needed always (`standing`), and stays as
/// long as a pool has it and no tunnel needs it; `None`: no pool has one.
pub fn probe(
    tunnels: &BTreeMap<TunnelName, Tunnel>,
    standing: bool,
    locals: &Locals,
    supply: &Supply<'_>,
    change: &mut Change<'_>,
) -> Result<Option<Ipv4Addr>, Error> {
    let ask = Ask::new(HolderName::probe(), Purpose::Termination);
    let mut held = the_probes(change)?;
    if held.as_ref().is_some_and(|lease| !covered(supply.pools, lease)) {
        change.release(&ask.holder, supply.now)?;
        held = None;
    }
    let homeless = locals.iter().any(|(name, local)| local.is_err() && tunnels.contains_key(name));
    if held.is_none() && !homeless && !standing {
        return Ok(None);
    }
    Ok(one(change, supply, &ask)?.ok())
}

/// Addresses that are not to be leased: those on this host that are not marked as ours on the loopback,
/// those that GRE links of nobody we know are bound to, and the tunnels' remotes, which other hosts have.
pub fn foreign(observed: &Observed, tunnels: &BTreeMap<TunnelName, Tunnel>, owned: &Owned) -> Foreign {
    let mut foreign = Foreign::new();
    for address in observed.addresses.iter().filter(|address| !is_labelled(address)) {
        let link = observed.links.get(&address.link).map_or("a link that is gone", |link| link.name.as_str());
        let what = || format!("an address of this host, on {link}");
        foreign.entry(address.address.ip()).or_insert_with(what);
    }
    let known = |link: &&Link| {
        let tunnel = TunnelName::of_link(&link.name);
        tunnel.is_some_and(|name| tunnels.contains_key(&name) || owned.claims.contains_key(&name))
    };
    for link in observed.links.values().filter(|link| !known(link)) {
        let Some(gre) = link.gre() else { continue };
        foreign.entry(gre.local).or_insert_with(|| format!("the local address of link {}", link.name));
    }
    for tunnel in tunnels.values() {
        for remote in &tunnel.remotes {
            foreign.entry(*remote).or_insert_with(|| format!("the remote of tunnel {}", tunnel.name));
        }
    }
    foreign
}

/// Does this tunnel lease its local address?
pub fn leases(tunnel: &Tunnel) -> bool {
    matches!(ask(tunnel), Wanted::Leased(_))
}

/// Is what was leased still of its pool?
fn covered(pools: &[Pool], lease: &Lease) -> bool {
    pools.iter().any(|pool| pool.name == lease.pool && pool.contains(lease.prefix.ip()))
}

/// The lease of the probes, if they have one.
fn the_probes(change: &mut Change<'_>) -> Result<Option<Lease>, Error> {
    Ok(change.held(&HolderName::probe())?.into_iter().next())
}

/// A tunnel comes before the probes: where it gets nothing else, it gets what they have.
fn one_or_the_probes(
    change: &mut Change<'_>,
    supply: &Supply<'_>,
    ask: &Ask,
) -> Result<Result<Ipv4Addr, String>, Error> {
    let got = one(change, supply, ask)?;
    let would_do = |lease: &Lease| {
        ask.pool.as_ref().is_none_or(|pool| *pool == lease.pool)
            && ask.pinned.is_none_or(|address| address == lease.prefix.ip())
    };
    if got.is_ok() || !the_probes(change)?.is_some_and(|lease| would_do(&lease)) {
        return Ok(got);
    }
    // Since the beginning of time: nobody ever had a tunnel to it, so it need not rest.
    change.release(&HolderName::probe(), 0)?;
    one(change, supply, ask)
}

fn one(change: &mut Change<'_>, supply: &Supply<'_>, ask: &Ask) -> Result<Result<Ipv4Addr, String>, Error> {
    match change.lease(supply, ask) {
        Ok(leases) => {
            let first = leases.first().map(|lease| lease.prefix.network());
            Ok(first.ok_or_else(|| "no address was leased".to_owned()))
        }
        Err(Error::Refused { holder: _, source }) => Ok(Err(source.to_string())),
        Err(error) => Err(error),
    }
}

enum Wanted {
    Host(Ipv4Addr),
    Leased(Ask),
}

fn ask(tunnel: &Tunnel) -> Wanted {
    let ask = Ask::new(tunnel.name.holder(), Purpose::Termination);
    // Who names a pool of the reserve tier allows it.
    let of = |pool: &PoolName| Ask { pool: Some(pool.clone()), reserve_allowed: true, ..ask.clone() };
    match &tunnel.local {
        Local::Host(address) => Wanted::Host(*address),
        Local::Auto { pool: None } => Wanted::Leased(ask),
        Local::Auto { pool: Some(pool) } => Wanted::Leased(of(pool)),
        Local::Leased { pool, address } => Wanted::Leased(Ask { pinned: Some(*address), ..of(pool) }),
    }
}

/// A tunnel without a lease, whose link is in the kernel already with one of its remotes, asks first
/// for the local address of that link: so a host that lost its state takes its tunnels back as they are.
fn hint(tunnel: &Tunnel, ask: &Ask, holders: &BTreeSet<HolderName>, observed: &Observed) -> Option<Ask> {
    if ask.pinned.is_some() || holders.contains(&ask.holder) {
        return None;
    }
    let gre = observed.link(tunnel.name.link().as_str())?.gre()?;
    let same = gre.ikey == tunnel.key && tunnel.remotes.contains(&gre.remote);
    same.then(|| Ask { pinned: Some(gre.local), ..ask.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::model::{Address, LinkKind, Scope};
    use crate::store::State;

    const DECLARED: &str = "
        [[tunnel]]
        name = \"ams\"
        kind = \"unicast\"
        local = \"172.16.0.1\"
        remote = [\"192.0.2.1\", \"192.0.2.2\"]
        overlay = \"169.254.10.0/31\"
    ";

    fn link(index: u32, name: &str, kind: LinkKind) -> (u32, Link) {
        let (name, mtu, up) = (name.to_owned(), 1476, true);
        let (group, multicast, master, addrgen_none) = (0, false, None, false);
        (index, Link { index, name, kind, mtu, group, up, multicast, master, addrgen_none })
    }

    fn bound_to(local: &str) -> LinkKind {
        let gre = serde_json::json!({
            "local": local, "remote": "203.0.113.99", "ikey": null, "okey": null, "iflags": 0, "oflags": 0,
            "ttl": { "fixed": 64 }, "tos": { "fixed": 0 }, "pmtudisc": true, "ignore_df": false, "fwmark": 0,
            "exotic": false
        });
        LinkKind::Gre(serde_json::from_value(gre).unwrap())
    }

    #[test]
    fn each_foreign_address_says_what_it_is() {
        let config = config::parse(DECLARED, "x.toml").unwrap();
        let on_eth0 = Address {
            link: 2,
            address: "192.0.2.1/24".parse().unwrap(),
            scope: Scope::Global,
            label: "eth0".to_owned(),
            protocol: 0,
        };
        let links = [
            link(2, "eth0", LinkKind::Other(String::new())),
            link(7, "theirs", bound_to("198.51.100.11")),
            link(8, "gh-ams", bound_to("172.16.0.1")),
        ];
        let observed = Observed { links: links.into(), addresses: [on_eth0].into(), ..Observed::default() };
        let foreign = foreign(&observed, &config.tunnels, &Owned::default());
        let says: Vec<_> = foreign.iter().map(|(address, what)| format!("{address}: {what}")).collect();
        let each = [
            "192.0.2.1: an address of this host, on eth0",
            "192.0.2.2: the remote of tunnel ams",
            "198.51.100.11: the local address of link theirs",
        ];
        assert_eq!(says, each);
    }

    /// Two tunnels that lease, from a pool of two and from one of one.
    fn pools(second: &str) -> config::Config {
        let pool = |name: &str, range: &str| {
            format!("[[pool]]\nname = \"{name}\"\npurpose = \"termination\"\nranges = [\"{range}\"]\n")
        };
        let tunnel = |name: &str, overlay: &str, remote: &str, pool: &str| {
            format!(
                "[[tunnel]]\nname = \"{name}\"\nkind = \"unicast\"\nlocal = \"auto\"\npool = \"{pool}\"\n\
                 remote = \"{remote}\"\noverlay = \"{overlay}\"\n"
            )
        };
        let text = pool("one", "198.51.100.8/32")
            + &pool("two", "198.51.100.16/32")
            + &tunnel("a", "169.254.10.0/31", "192.0.2.1", "one")
            + &tunnel("b", "169.254.10.2/31", "192.0.2.2", second);
        config::parse(&text, "test.toml").unwrap()
    }

    fn leased(state: &mut State, config: &config::Config) -> (Locals, Option<Ipv4Addr>) {
        let supply = Supply { pools: &config.pools, foreign: &Foreign::new(), rest: 3600, now: 1_000_000 };
        let both = state.change::<_, Error>(|change| {
            let locals = lease(&config.tunnels, &supply, &Observed::default(), change)?;
            let probe = probe(&config.tunnels, false, &locals, &supply, change)?;
            Ok((locals, probe))
        });
        both.unwrap()
    }

    #[test]
    fn the_probes_have_what_is_left_and_give_it_up_at_once_for_a_tunnel() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path()).unwrap();
        let sixteen = Ipv4Addr::new(198, 51, 100, 16);
        let b = TunnelName::new("b").unwrap();
        let (locals, probe) = leased(&mut state, &pools("one"));
        assert!(locals[&b].is_err());
        assert_eq!(probe, Some(sixteen));
        // Kept over another look, and when nobody needs it.
        assert_eq!(leased(&mut state, &pools("one")).1, probe);
        let (locals, probe) = leased(&mut state, &pools("two"));
        assert_eq!((locals[&b].clone(), probe), (Ok(sixteen), None));
    }

    #[test]
    fn without_their_pool_the_probes_have_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path()).unwrap();
        assert!(leased(&mut state, &pools("one")).1.is_some());
        let mut config = pools("one");
        config.pools.retain(|pool| pool.name.as_str() == "one");
        assert_eq!(leased(&mut state, &config).1, None);
    }
}
