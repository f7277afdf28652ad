//! What happened to the kernel's objects, in short sentences, by link.

use std::collections::BTreeMap;

/// Sentences kept of one link; more tell nobody more.
const SENTENCES: usize = 12;

/// Foreign links with sentences. Those of ours are as many as there are tunnels.
const FOREIGN: usize = 256;

/// What happened, by the name of the link that it happened to; `None` for rules, paths, and routes
/// without a link. Bounded: a foreign storm leaves room for what is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes {
    by_link: BTreeMap<Option<String>, Vec<String>>,
    foreign: usize,
}

impl Causes {
    /// What happened to this link, in order.
    pub fn of(&self, link: Option<&str>) -> &[String] {
        self.by_link.get(&link.map(str::to_owned)).map_or(&[], Vec::as_slice)
    }

    /// The same in one line.
    pub fn sentence(&self, link: Option<&str>) -> Option<String> {
        let said = self.of(link);
        (!said.is_empty()).then(|| said.join("; "))
    }

    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &[String])> {
        self.by_link.iter().map(|(link, sentences)| (link.as_deref(), sentences.as_slice()))
    }

    pub fn is_empty(&self) -> bool {
        self.by_link.is_empty()
    }

    /// The link is gone, which is all that counts now.
    pub(super) fn link_gone(&mut self, link: &str, ours: bool) {
        self.by_link.get_mut(&Some(link.to_owned())).map(Vec::clear);
        self.add(Some(link), ours, format!("link {link} deleted"));
    }

    pub(super) fn add(&mut self, link: Option<&str>, ours: bool, sentence: String) {
        let link = link.map(str::to_owned);
        if !ours && !self.by_link.contains_key(&link) {
            if self.foreign >= FOREIGN {
                return;
            }
            self.foreign += 1;
        }
        let sentences = self.by_link.entry(link).or_default();
        if sentences.len() < SENTENCES {
            sentences.push(sentence);
        }
    }
}
