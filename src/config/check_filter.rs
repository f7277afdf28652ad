//! The `[filter]` section.

use super::diagnostics::Sink;
use super::document::Entry;
use super::{network, raw};
use crate::model::{Filtering, Role};

/// The section with its defaults: an edge box filters, unless it is said otherwise.
pub fn check(entry: &Entry<raw::Filter>, role: &Role, sink: &mut Sink) -> Filtering {
    let raw::Filter { enable, allow } = &entry.raw;
    let sources = allow.iter().flat_map(|list| &list.value);
    let sources = sources.filter_map(|text| sink.take(network::prefix(text, "allow", "192.0.2.0/24")));
    let allow = sources.map(|prefix| prefix.value).collect();
    let enable = enable.as_ref().map_or(matches!(role, Role::Edge(_)), |enable| enable.value);
    Filtering { enable, allow }
}
