//! The mirror brought up to date: what is stale in it is read again, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::error::Error;
use super::mirror::{Mirror, Needs};
use super::observe::{self, Which};
use super::socket::Transport;
use crate::model::{Address, Link, Observed, Path, Route, Rule};

/// From so many closures on, looking at everything is cheaper.
const CLOSURES: usize = 8;

/// As many links are read one by one before a dump of all is cheaper.
const LINKS: usize = 256;

/// What was read can show more that has to be read; from so many rounds on, looking at everything
/// ends it.
const ROUNDS: usize = 4;

/// Where it is read: the kernel, or in tests one that is made up.
pub(super) trait Source {
    fn everything(&mut self, remotes: &BTreeSet<Ipv4Addr>) -> Result<Observed, Error>;
    /// Those that are there.
    fn links(&mut self, indexes: &BTreeSet<u32>) -> Result<BTreeMap<u32, Link>, Error>;
    fn addresses_of(&mut self, link: u32) -> Result<BTreeSet<Address>, Error>;
    fn routes_of(&mut self, link: u32, table: u32) -> Result<BTreeSet<Route>, Error>;
    fn routes(&mut self) -> Result<BTreeSet<Route>, Error>;
    fn rules(&mut self) -> Result<BTreeSet<Rule>, Error>;
    fn paths(
        &mut self,
        remotes: &BTreeSet<Ipv4Addr>,
        links: &BTreeMap<u32, Link>,
    ) -> Result<BTreeMap<Ipv4Addr, Path>, Error>;
}

/// Looks at everything.
pub(super) fn refresh(source: &mut impl Source, mirror: &mut Mirror) -> Result<(), Error> {
    let observed = source.everything(mirror.remotes())?;
    mirror.replace(observed);
    Ok(())
}

/// Nothing is stale after it. After an error, what was not read still is.
pub(super) fn reread(source: &mut impl Source, mirror: &mut Mirror) -> Result<(), Error> {
    for _ in 0..ROUNDS {
        if !mirror.is_stale() {
            return Ok(());
        }
        let needs = mirror.needs();
        if needs.everything || needs.closures.len() > CLOSURES || needs.links.len() > LINKS {
            break;
        }
        read(source, mirror, &needs)?;
    }
    if mirror.is_stale() { refresh(source, mirror) } else { Ok(()) }
}

/// Paths last: they stand on all others.
fn read(source: &mut impl Source, mirror: &mut Mirror, needs: &Needs) -> Result<(), Error> {
    if !needs.links.is_empty() {
        let mut found = source.links(&needs.links)?;
        needs.links.iter().for_each(|index| mirror.link_read(*index, found.remove(index)));
    }
    for (link, tables) in &needs.closures {
        let addresses = source.addresses_of(*link)?;
        let mut routes = BTreeSet::new();
        for table in tables {
            routes.extend(source.routes_of(*link, *table)?);
        }
        mirror.closure_read(*link, &addresses, tables, &routes);
    }
    if needs.routes {
        mirror.routes_read(source.routes()?);
    }
    if needs.rules {
        mirror.replace_rules(&source.rules()?);
    }
    if !needs.paths.is_empty() {
        let paths = source.paths(&needs.paths, &mirror.observed().links)?;
        mirror.replace_paths(&needs.paths, &paths);
    }
    Ok(())
}

impl Source for Transport {
    fn everything(&mut self, remotes: &BTreeSet<Ipv4Addr>) -> Result<Observed, Error> {
        observe::observe(self, remotes)
    }

    fn links(&mut self, indexes: &BTreeSet<u32>) -> Result<BTreeMap<u32, Link>, Error> {
        let wanted: Vec<Which> = indexes.iter().map(|index| Which::Index(*index)).collect();
        let found = observe::look(self, &wanted)?;
        Ok(found.into_iter().flatten().map(|link| (link.index, link)).collect())
    }

    fn addresses_of(&mut self, link: u32) -> Result<BTreeSet<Address>, Error> {
        observe::addresses_of(self, link)
    }

    fn routes_of(&mut self, link: u32, table: u32) -> Result<BTreeSet<Route>, Error> {
        observe::routes_of(self, link, table)
    }

    fn routes(&mut self) -> Result<BTreeSet<Route>, Error> {
        observe::routes_looked_at(self)
    }

    fn rules(&mut self) -> Result<BTreeSet<Rule>, Error> {
        observe::rules(self)
    }

    fn paths(
        &mut self,
        remotes: &BTreeSet<Ipv4Addr>,
        links: &BTreeMap<u32, Link>,
    ) -> Result<BTreeMap<Ipv4Addr, Path>, Error> {
        observe::paths(self, remotes, links)
    }
}
