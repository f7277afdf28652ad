//! Which ifindex the next link gets. Pure.

/// The kernel's ifindexes are positive numbers of 32 bits with a sign (`dev_new_index`, net/core/dev.c).
const HIGHEST: u32 = i32::MAX as u32;

/// Chooses ifindexes. They only grow, so that what others remember of a link that is gone never
/// fits a new one; only where somebody has the very highest does the count start again.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    next: u32,
}

impl Indexes {
    /// Those chosen from now on are higher than this one.
    pub fn start_above(&mut self, taken: u32) {
        self.next = if taken >= HIGHEST { 1 } else { self.next.max(taken + 1) };
    }

    /// One that was not chosen before, and of which `is_taken` says no.
    pub fn choose(&mut self, is_taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            let index = self.next.max(1);
            self.next = if index >= HIGHEST { 1 } else { index + 1 };
            if !is_taken(index) {
                return index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_grow_also_when_links_with_high_ones_go() {
        let mut indexes = Indexes::default();
        indexes.start_above(7);
        assert_eq!([indexes.choose(|_| false), indexes.choose(|_| false)], [8, 9]);
        indexes.start_above(3);
        assert_eq!(indexes.choose(|index| index == 10), 11);
    }

    #[test]
    fn the_highest_index_of_all_leaves_room_for_others() {
        let mut indexes = Indexes::default();
        indexes.start_above(HIGHEST);
        assert_eq!(indexes.choose(|index| index <= 4), 5);
        indexes.next = HIGHEST;
        assert_eq!([indexes.choose(|_| false), indexes.choose(|_| false)], [HIGHEST, 1]);
    }
}
