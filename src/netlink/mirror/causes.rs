//! What happened to the kernel's objects, in short sentences, by the place where it happened.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Sentences kept of one place; more tell nobody more.
const SENTENCES: usize = 12;

/// Places with sentences that are not ours. Those of ours are as many as there are tunnels.
const FOREIGN: usize = 256;

/// Where something happened.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// To the link of this name, its addresses, its routes.
    Link(String),
    /// To the way to this remote.
    Path(Ipv4Addr),
    /// To rules, and to routes without a link.
    Elsewhere,
}

/// What happened, by place. Bounded: a foreign storm leaves room for what is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes {
    by_place: BTreeMap<Place, Vec<String>>,
    foreign: usize,
}

impl Causes {
    /// What happened there, in order.
    pub fn of(&self, place: &Place) -> &[String] {
        self.by_place.get(place).map_or(&[], Vec::as_slice)
    }

    /// Of how many places there is something to tell.
    pub fn places(&self) -> usize {
        self.by_place.len()
    }

    /// The link is gone, which is all that counts now.
    pub(super) fn link_gone(&mut self, link: &str, ours: bool) {
        let place = Place::Link(link.to_owned());
        self.by_place.get_mut(&place).map(Vec::clear);
        self.add(place, ours, format!("link {link} deleted"));
    }

    pub(super) fn add(&mut self, place: Place, ours: bool, sentence: String) {
        if !ours && !self.by_place.contains_key(&place) {
            if self.foreign >= FOREIGN {
                return;
            }
            self.foreign += 1;
        }
        let sentences = self.by_place.entry(place).or_default();
        if sentences.len() < SENTENCES {
            sentences.push(sentence);
        }
    }
}
