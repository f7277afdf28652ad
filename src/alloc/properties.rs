//! Properties of the choice, against a reference that walks every address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::span::Span;
use super::*;
use crate::model::{AddressRange, HolderName, Lease, LeaseState, Pool, PoolName, Purpose, Tier, Timestamp};

const NOW: Timestamp = 1000;

#[derive(Clone, Debug)]
struct Case {
    pools: Vec<Pool>,
    leases: Vec<Lease>,
    foreign: Foreign,
    in_use: Vec<(Ipv4Addr, HolderName)>,
    rest: u64,
    ask: Ask,
}

impl Case {
    fn book(&self) -> Book {
        let mut book = Book::new(self.leases.clone());
        for (address, holder) in &self.in_use {
            book.set_in_use(*address, holder.clone());
        }
        book
    }

    fn choose(&self) -> Result<Vec<Choice>, Refused> {
        let book = self.book();
        choose(&self.pools, Taken { book: &book, foreign: &self.foreign, rest: self.rest }, &self.ask, NOW)
    }
}

fn holder(n: u8) -> HolderName {
    HolderName::new(&format!("h{n}")).unwrap()
}

fn purpose(overlay: bool) -> Purpose {
    if overlay { Purpose::Overlay } else { Purpose::Termination }
}

/// Disjoint ranges from sorted cut points in 0.0.0.0 to 0.0.0.63, dealt out to three pools.
fn pools() -> impl Strategy<Value = Vec<Pool>> {
    let cuts = prop::collection::btree_set(0u32..64, 2..10);
    let deal = prop::collection::vec((0usize..3, any::<bool>()), 5);
    let kinds =
        prop::collection::vec((prop::option::of(0u64..6), any::<bool>(), prop::bool::weighted(0.2)), 3);
    let exclude = prop::collection::vec((0u32..64, 0u32..4), 0..3);
    (cuts, deal, kinds, exclude).prop_map(|(cuts, deal, kinds, exclude)| {
        let span = |first: u32, last: u32| AddressRange::new(first.into(), last.into()).unwrap();
        let mut pools: Vec<_> = kinds
            .into_iter()
            .enumerate()
            .map(|(n, (quota, reserve, overlay))| Pool {
                name: PoolName::new(&format!("p{n}")).unwrap(),
                purpose: purpose(overlay),
                tier: if reserve { Tier::Reserve } else { Tier::Primary },
                ranges: Vec::new(),
                quota,
                exclude: exclude.iter().map(|(first, more)| span(*first, first + more)).collect(),
            })
            .collect();
        let cuts: Vec<_> = cuts.into_iter().collect();
        for (pair, (pool, front)) in cuts.chunks_exact(2).zip(deal) {
            let ranges = &mut pools[pool].ranges;
            ranges.insert(if front { 0 } else { ranges.len() }, span(pair[0], pair[1]));
        }
        pools
    })
}

fn leases() -> impl Strategy<Value = Vec<Lease>> {
    let one = (0u32..64, 29u8..=32, 0u8..4, any::<bool>(), 900u64..=NOW, prop::bool::weighted(0.2));
    prop::collection::vec(one, 0..24).prop_map(|drawn| {
        let mut leases: Vec<Lease> = Vec::new();
        for (address, length, name, active, since, overlay) in drawn {
            let length = if name % 2 == 0 { 32 } else { length };
            let span = Span::one(Ipv4Addr::from(address)).widened(length);
            let prefix = span.prefix().unwrap();
            if span.first > 0 && !leases.iter().any(|lease| Span::from(lease.prefix).overlaps(span)) {
                let state = if active { LeaseState::Active } else { LeaseState::Resting };
                let (pool, purpose) = (PoolName::new("p0").unwrap(), purpose(overlay));
                leases.push(Lease { prefix, pool, purpose, holder: holder(name), state, since });
            }
        }
        leases
    })
}

fn asks() -> impl Strategy<Value = Ask> {
    let pinned = prop::option::weighted(0.2, 0u32..64);
    let pool = prop::option::weighted(0.2, 0u8..3);
    (0u8..5, 0usize..6, 29u8..=32, pool, pinned, any::<bool>(), any::<bool>()).prop_map(
        |(name, count, unit, pool, pinned, small, reserve_allowed)| Ask {
            count,
            unit: if small { 32 } else { unit },
            pool: pool.map(|n| PoolName::new(&format!("p{n}")).unwrap()),
            pinned: pinned.map(|address| address.into()),
            reserve_allowed,
            ..Ask::new(holder(name), Purpose::Termination)
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    let foreign = prop::collection::btree_map((0u32..64).prop_map(Ipv4Addr::from), "[ab]", 0..4);
    let in_use =
        prop::collection::vec(((0u32..64).prop_map(Ipv4Addr::from), (0u8..4).prop_map(holder)), 0..4);
    (pools(), leases(), foreign, in_use, 0u64..120, asks()).prop_map(
        |(pools, leases, foreign, in_use, rest, ask)| Case { pools, leases, foreign, in_use, rest, ask },
    )
}

/// The leases when the choice has been taken, and what the holder had besides is given back.
fn settled(case: &Case, choices: &[Choice]) -> Vec<Lease> {
    let ask = &case.ask;
    let of = |prefix: Ipv4Network| choices.iter().find(|choice| choice.prefix.overlaps(prefix));
    let mut leases = case.leases.clone();
    leases.retain(|lease| of(lease.prefix).is_none_or(|choice| choice.why == Why::Kept));
    for lease in leases.iter_mut().filter(|lease| of(lease.prefix).is_none()) {
        if (&lease.holder, lease.purpose) == (&ask.holder, ask.purpose) && lease.state == LeaseState::Active {
            (lease.state, lease.since) = (LeaseState::Resting, NOW);
        }
    }
    leases.extend(choices.iter().filter(|choice| choice.why != Why::Kept).map(|choice| Lease {
        prefix: choice.prefix,
        pool: choice.pool.clone(),
        purpose: ask.purpose,
        holder: ask.holder.clone(),
        state: LeaseState::Active,
        since: NOW,
    }));
    leases
}

/// The rule once more, address by address, without any index.
mod reference {
    use super::*;

    /// The prefixes, in order; `None`: fewer than were asked for.
    pub fn choose(case: &Case) -> Option<Vec<Ipv4Network>> {
        let ask = &case.ask;
        let mut kept: Vec<_> = case.leases.iter().filter(|lease| keeps(case, lease)).collect();
        kept.sort_by_key(|lease| (lease.since, lease.prefix));
        let kept: Vec<_> = kept.iter().map(|lease| lease.prefix).take(ask.count).collect();
        let mut chosen = kept.clone();
        let tiers = [Tier::Primary, Tier::Reserve];
        for tier in tiers.iter().filter(|tier| **tier == Tier::Primary || ask.reserve_allowed) {
            for pool in case.pools.iter().filter(|pool| pool.tier == *tier && serves(pool, ask)) {
                let others = |lease: &&Lease| {
                    let own = lease.holder == ask.holder && lease.purpose == ask.purpose;
                    lease.state == LeaseState::Active && (!own || kept.contains(&lease.prefix))
                };
                let active = case.leases.iter().filter(others).filter(|lease| touches(pool, lease)).count();
                let room = pool.quota.map_or(usize::MAX, |quota| (quota as usize).saturating_sub(active));
                let missing = ask.count - chosen.len();
                let open = blocks(case, pool).into_iter().filter(|block| !kept.contains(block));
                chosen.extend(open.take(missing.min(room)).collect::<Vec<_>>());
            }
        }
        (chosen.len() == ask.count).then_some(chosen)
    }

    fn serves(pool: &Pool, ask: &Ask) -> bool {
        pool.purpose == ask.purpose && ask.pool.as_ref().is_none_or(|name| *name == pool.name)
    }

    fn touches(pool: &Pool, lease: &Lease) -> bool {
        lease.prefix.iter().any(|address| pool.contains(address))
    }

    fn keeps(case: &Case, lease: &Lease) -> bool {
        let ask = &case.ask;
        let whole = |range: &AddressRange| lease.prefix.iter().all(|address| range.contains(address));
        let home =
            case.pools.iter().find(|pool| pool.purpose == lease.purpose && pool.ranges.iter().any(whole));
        let home = home.map_or(&lease.pool, |pool| &pool.name);
        let used = |address| case.in_use.contains(&(address, ask.holder.clone()));
        lease.state == LeaseState::Active
            && (&lease.holder, lease.purpose) == (&ask.holder, ask.purpose)
            && lease.prefix.prefix() == ask.unit
            && ask.pinned.is_none_or(|address| address == lease.prefix.ip())
            && ask.pool.as_ref().is_none_or(|pool| pool == home)
            && (!lease.prefix.iter().any(|address| case.foreign.contains_key(&address))
                || lease.prefix.iter().any(used))
    }

    /// Every block that can be had of the pool, in the order of the rule.
    fn blocks(case: &Case, pool: &Pool) -> Vec<Ipv4Network> {
        let mut own = Vec::new();
        let mut fresh = Vec::new();
        let mut rested = Vec::new();
        for range in &pool.ranges {
            for address in u32::from(range.first())..=u32::from(range.last()) {
                let block = Ipv4Network::new(address.into(), case.ask.unit).unwrap();
                let aligned = block.network() == block.ip();
                let pinned = case.ask.pinned.is_none_or(|pinned| pinned == block.ip());
                if !aligned
                    || !pinned
                    || !block.iter().all(|one| range.contains(one) && open(case, pool, one))
                {
                    continue;
                }
                let over: Vec<_> = case.leases.iter().filter(|lease| lease.prefix.overlaps(block)).collect();
                let ends = over.iter().map(|lease| lease.since + case.rest).max();
                match over.as_slice() {
                    [] => fresh.push(block),
                    [one]
                        if one.prefix == block
                            && one.holder == case.ask.holder
                            && one.state == LeaseState::Resting =>
                    {
                        own.push((std::cmp::Reverse(one.since), block));
                    }
                    _ => rested.push((ends, block)),
                }
            }
        }
        own.sort();
        rested.sort();
        let own = own.into_iter().map(|(_, block)| block);
        own.chain(fresh).chain(rested.into_iter().map(|(_, block)| block)).collect()
    }

    fn open(case: &Case, pool: &Pool, address: Ipv4Addr) -> bool {
        let ask = &case.ask;
        let free = |lease: &Lease| match lease.state {
            LeaseState::Active => (&lease.holder, lease.purpose) == (&ask.holder, ask.purpose),
            LeaseState::Resting => lease.holder == ask.holder || lease.since + case.rest <= NOW,
        };
        !address.is_unspecified()
            && !case.foreign.contains_key(&address)
            && !pool.exclude.iter().any(|range| range.contains(address))
            && !case.in_use.iter().any(|(used, holder)| *used == address && *holder != ask.holder)
            && case.leases.iter().filter(|lease| lease.prefix.contains(address)).all(free)
    }
}

proptest! {
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn it_agrees_with_walking_every_address(case in cases()) {
        let pinned_wrongly = case.ask.pinned.is_some_and(|address| {
            case.ask.count > 1 || Ipv4Network::new(address, case.ask.unit).unwrap().network() != address
        });
        let expected = if pinned_wrongly { None } else { reference::choose(&case) };
        let chosen = case.choose().ok().map(|choices| choices.iter().map(|choice| choice.prefix).collect::<Vec<_>>());
        prop_assert_eq!(chosen, expected);
    }

    #[test]
    fn a_book_forgets_what_is_taken_out_of_it(leases in leases(), out in prop::collection::vec(any::<bool>(), 24)) {
        let mut book = Book::new(leases.clone());
        let (gone, left): (Vec<_>, Vec<_>) = leases.into_iter().zip(out).partition(|(_, out)| *out);
        for (lease, _) in &gone {
            prop_assert_eq!(book.remove(lease.prefix), Some(lease.clone()));
        }
        let left = Book::new(left.into_iter().map(|(lease, _)| lease));
        prop_assert_eq!(&book, &left);
        for address in 0..64 {
            let one = Span { first: address, last: address };
            prop_assert_eq!(book.leased_until(one).is_some(), book.over(one).next().is_some());
        }
    }

    #[test]
    fn what_is_chosen_is_whole_inside_its_pool_and_nobody_elses(case in cases()) {
        let Ok(choices) = case.choose() else { return Ok(()) };
        prop_assert_eq!(choices.len(), case.ask.count);
        for (n, Choice { prefix, pool, why }) in choices.iter().enumerate() {
            prop_assert_eq!(prefix.prefix(), case.ask.unit);
            prop_assert_eq!(prefix.network(), prefix.ip());
            prop_assert!(!choices[..n].iter().any(|before| before.prefix.overlaps(*prefix)), "doubled");
            for lease in case.leases.iter().filter(|lease| lease.prefix.overlaps(*prefix)) {
                prop_assert!(lease.state == LeaseState::Resting || lease.holder == case.ask.holder);
            }
            if *why != Why::Kept {
                prop_assert!(!prefix.contains(Ipv4Addr::UNSPECIFIED));
                let pool = case.pools.iter().find(|declared| declared.name == *pool).unwrap();
                prop_assert!(pool.ranges.iter().any(|range| Span::from(*prefix).within((*range).into())));
            }
        }
    }

    #[test]
    fn it_is_deterministic_and_asking_again_changes_nothing(case in cases()) {
        prop_assert_eq!(case.choose(), case.choose());
        let Ok(choices) = case.choose() else { return Ok(()) };
        let after = Case { leases: settled(&case, &choices), ..case.clone() };
        let prefixes = |choices: &[Choice]| choices.iter().map(|choice| choice.prefix).collect::<BTreeSet<_>>();
        let again = after.choose().map_err(|refused| TestCaseError::fail(refused.to_string()))?;
        prop_assert_eq!(prefixes(&again), prefixes(&choices));
        prop_assert!(again.iter().all(|choice| matches!(choice.why, Why::Kept)));
    }

    #[test]
    fn the_explanation_counts_every_address_once_and_knows_the_next(case in cases()) {
        let book = case.book();
        let taken = Taken { book: &book, foreign: &case.foreign, rest: case.rest };
        for (pool, said) in case.pools.iter().zip(explain(&case.pools, taken, NOW).pools) {
            let Sizes { total, excluded, active, resting, foreign, free } = said.sizes;
            prop_assert_eq!(total, pool.ranges.iter().map(AddressRange::size).sum::<u64>());
            prop_assert_eq!(total, excluded + active + resting + foreign + free);
            let ask = |count| Ask {
                count, pool: Some(pool.name.clone()), reserve_allowed: true,
                ..Ask::new(HolderName::new("somebody-new").unwrap(), pool.purpose)
            };
            let available = said.available as usize;
            prop_assert!(choose(&case.pools, taken, &ask(available), NOW).is_ok());
            prop_assert!(choose(&case.pools, taken, &ask(available + 1), NOW).is_err());
            let next = choose(&case.pools, taken, &ask(1), NOW).ok().map(|choices| choices[0].prefix);
            let said = if let Next::Prefix { prefix, .. } = said.next { Some(prefix) } else { None };
            prop_assert_eq!(next, said);
        }
    }
}
