//! A map that holds so many and no more: who was not heard of for the longest goes. Pure.

use std::collections::BTreeMap;

/// The most recently used of all keys.
#[derive(Clone, Debug)]
pub struct Recent<K, V> {
    most: usize,
    uses: u64,
    values: BTreeMap<K, (u64, V)>,
    /// Keys by their last use.
    order: BTreeMap<u64, K>,
}

impl<K: Copy + Ord, V> Recent<K, V> {
    /// Holds `most` at the most, and at least one.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), uses: 0, values: BTreeMap::new(), order: BTreeMap::new() }
    }

    /// Does something with the value of a key, which counts as a use; it is made when there is none.
    pub fn with<R>(&mut self, key: K, make: impl FnOnce() -> V, work: impl FnOnce(&mut V) -> R) -> R {
        self.uses += 1;
        let (used, value) = self.values.entry(key).or_insert_with(|| (0, make()));
        self.order.remove(used);
        *used = self.uses;
        let result = work(value);
        self.order.insert(self.uses, key);
        // The key itself was used last, so it stays.
        self.shrink();
        result
    }

    /// Another limit; who is beyond it goes now.
    pub fn limit(&mut self, most: usize) {
        self.most = most.max(1);
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.order.len() > self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.values.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_was_used_longest_ago_goes() {
        let mut recent = Recent::new(2);
        let mut use_of = |key, made: u32| recent.with(key, || made, |value| *value);
        assert_eq!([use_of('a', 1), use_of('b', 2), use_of('a', 9), use_of('c', 3)], [1, 2, 1, 3]);
        assert_eq!([use_of('a', 9), use_of('b', 9)], [1, 9], "b had gone");
        recent.limit(1);
        assert_eq!((recent.values.len(), recent.with('b', || 0, |value| *value)), (1, 9));
    }

    proptest! {
        #[test]
        fn it_never_holds_more_and_always_the_latest(
            keys in prop::collection::vec(0_u8..20, 1..200), most in 1_usize..10,
        ) {
            let mut recent = Recent::new(most);
            for (at, key) in keys.iter().enumerate() {
                recent.with(*key, || (), |()| ());
                prop_assert!(recent.values.len() <= most && recent.values.len() == recent.order.len());
                let mut latest: Vec<u8> = Vec::new();
                for key in keys[..=at].iter().rev() {
                    if !latest.contains(key) && latest.len() < most {
                        latest.push(*key);
                    }
                }
                prop_assert!(latest.iter().all(|key| recent.values.contains_key(key)));
            }
        }
    }
}
