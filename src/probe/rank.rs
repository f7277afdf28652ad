//! Terminations in order: one ranking for whoever shows it or chooses by it. Pure.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use super::score::{Health, Latency, Standing};

/// Terminations so close to the best are as good as it.
pub const WITHIN: Duration = Duration::from_millis(5);

/// A termination that may be ranked: `<device: interface: termination: result>`. Each address occurs once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub device: String,
    pub interface: String,
    pub address: Ipv4Addr,
    /// Its place in the declaration, which breaks ties.
    #[serde(skip)]
    pub declared: usize,
    #[serde(flatten)]
    pub health: Health,
}

impl Entry {
    pub fn latency(&self) -> Option<Latency> {
        self.health.latency()
    }

    /// Measured ones by their figure, then stale, then unknown, then unreachable ones; equals as declared, then
    /// by address.
    pub(super) fn key(&self) -> (u8, Option<Latency>, usize, Ipv4Addr) {
        let class = match self.health.standing {
            Standing::Measured(_) => 0,
            Standing::Stale { .. } => 1,
            Standing::Unknown => 2,
            Standing::Unreachable { .. } => 3,
        };
        (class, self.latency(), self.declared, self.address)
    }
}

/// Terminations, the best first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Ranking(Vec<Entry>);

impl Ranking {
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(Entry::key);
        Self(entries)
    }

    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    pub fn get(&self, address: Ipv4Addr) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.address == address)
    }

    /// The lowest latency; `None`: nobody has one.
    pub fn best(&self) -> Option<&Entry> {
        self.0.first().filter(|entry| entry.latency().is_some())
    }

    /// The best, and all that are no more than `margin` (usually [`WITHIN`]) behind it.
    pub fn within(&self, margin: Duration) -> &[Entry] {
        let best = self.best().and_then(Entry::latency);
        let near = |entry: &Entry| match (entry.latency(), best) {
            (Some(latency), Some(best)) => latency.span() - best.span() <= margin,
            _ => false,
        };
        &self.0[..self.0.partition_point(near)]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::score::Score;
    use super::*;
    use crate::model::Method;

    pub fn measured(ms: u64) -> Standing {
        let effective = Latency::new(Duration::from_millis(ms));
        let (smoothed, none) = (effective.span(), Duration::ZERO);
        Standing::Measured(Score {
            effective,
            method: Method::Icmp,
            smoothed,
            for_jitter: none,
            for_loss: none,
        })
    }

    pub fn entry(last: u8, standing: Standing) -> Entry {
        Entry {
            device: format!("d{last}"),
            interface: "ge0".to_owned(),
            address: Ipv4Addr::new(192, 0, 2, last),
            declared: 0,
            health: Health { standing, answered_at: None, answering_since: None },
        }
    }

    fn standing() -> impl Strategy<Value = Standing> {
        prop_oneof![
            // Few figures, so that there are ties.
            4 => (0u64..12).prop_map(measured),
            1 => Just(Standing::Stale { ago: Duration::from_secs(60) }),
            1 => Just(Standing::Unknown),
            1 => Just(Standing::Unreachable { why: "lost".to_owned(), since: Duration::ZERO }),
        ]
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        prop::collection::vec((standing(), 0usize..3), 0..12).prop_map(|all| {
            let entry = |(last, (standing, declared))| Entry { declared, ..entry(last as u8, standing) };
            all.into_iter().enumerate().map(entry).collect()
        })
    }

    proptest! {
        #[test]
        fn the_order_of_the_input_does_not_matter((straight, mixed) in entries().prop_flat_map(|all| {
            (Just(all.clone()), Just(all).prop_shuffle())
        })) {
            prop_assert_eq!(Ranking::new(straight), Ranking::new(mixed));
        }

        #[test]
        fn who_has_no_figure_is_behind_all_that_have_one(all in entries()) {
            let ranking = Ranking::new(all);
            let figures: Vec<_> = ranking.entries().iter().map(Entry::latency).collect();
            let measured = figures.iter().take_while(|latency| latency.is_some()).count();
            prop_assert!(figures[measured..].iter().all(Option::is_none));
            prop_assert!(figures[..measured].is_sorted());
            prop_assert_eq!(ranking.best().is_some(), measured > 0);
        }

        #[test]
        fn near_the_best_are_those_and_only_those(all in entries()) {
            let ranking = Ranking::new(all);
            let near = ranking.within(WITHIN);
            let limit = ranking.best().and_then(Entry::latency).map(|best| best.span() + WITHIN);
            for (n, entry) in ranking.entries().iter().enumerate() {
                let is = entry.latency().is_some_and(|latency| Some(latency.span()) <= limit);
                prop_assert_eq!(is, n < near.len());
            }
        }
    }

    #[test]
    fn equals_stand_as_declared_and_then_by_address() {
        let declared = |last, declared| Entry { declared, ..entry(last, measured(7)) };
        let ranking = Ranking::new(vec![declared(9, 1), declared(3, 2), declared(2, 2), declared(8, 0)]);
        let order: Vec<u8> = ranking.entries().iter().map(|entry| entry.address.octets()[3]).collect();
        assert_eq!(order, [8, 9, 2, 3]);
    }

    #[test]
    fn nobody_answers_nobody_is_best() {
        let lost = Standing::Unreachable { why: "lost".to_owned(), since: Duration::ZERO };
        let ranking = Ranking::new(vec![entry(1, lost), entry(2, Standing::Unknown)]);
        assert_eq!(ranking.best(), None);
        assert!(ranking.within(WITHIN).is_empty());
    }
}
