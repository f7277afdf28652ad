//! One `[[pool]]`: from what is written to a draft, and what can be said of it alone.

use super::at::{At, Span};
use super::diagnostics::{Problem, Sink};
use super::document::Entry;
use super::{network, ranges, raw, value};
use crate::model::{AddressRange, Pool, PoolName, Purpose, Tier};

/// A pool as far as it could be read; `None` stands for what could not.
#[derive(Debug)]
pub struct Draft {
    pub name: Option<At<PoolName>>,
    pub purpose: Option<Purpose>,
    pub tier: Option<Tier>,
    pub ranges: Vec<At<AddressRange>>,
    pub quota: Option<At<u64>>,
    pub exclude: Vec<At<AddressRange>>,
}

impl Draft {
    /// For messages.
    pub fn title(&self) -> String {
        self.name.as_ref().map_or("a pool without a name".into(), |name| format!("pool `{}`", name.value))
    }

    /// The pool, when nothing of it is missing.
    pub fn finish(self) -> Option<Pool> {
        let bare = |ranges: Vec<At<AddressRange>>| ranges.into_iter().map(|range| range.value).collect();
        Some(Pool {
            name: self.name?.value,
            purpose: self.purpose?,
            tier: self.tier?,
            ranges: bare(self.ranges),
            quota: self.quota.map(|quota| quota.value),
            exclude: bare(self.exclude),
        })
    }
}

pub fn check(entry: &Entry<raw::Pool>, sink: &mut Sink) -> Draft {
    let raw = &entry.raw;
    let name = entry.required("name", raw.name.as_ref(), sink);
    let name = name.and_then(|text| sink.take(value::name(text, PoolName::new)));
    let purpose = entry.required("purpose", raw.purpose.as_ref(), sink);
    let purpose = purpose.and_then(|text| sink.take(value::choice(text, "purpose", &PURPOSES)));
    let tier = match &raw.tier {
        Some(text) => sink.take(value::choice(text, "tier", &TIERS)).map(|tier| tier.value),
        None => (!entry.is_broken("tier")).then_some(Tier::Primary),
    };
    let texts = entry.required("ranges", raw.ranges.as_ref(), sink);
    if let Some(texts) = texts.filter(|texts| texts.value.is_empty()) {
        let help = "write at least one, such as [\"198.51.100.8-198.51.100.15\"]";
        sink.push(Problem::new(&texts.span, "`ranges` is empty", help));
    }
    let mut read = |texts: Option<&At<Vec<At<String>>>>| {
        sink.take_all(texts.iter().flat_map(|texts| &texts.value).map(network::range))
    };
    let (ranges, exclude) = (read(texts), read(raw.exclude.as_ref()));
    let quota = raw.quota.as_ref();
    let quota = quota.and_then(|quota| sink.take(value::number(quota, "quota", 1..=1 << 32)));
    let draft = Draft { name, purpose: purpose.map(|at| at.value), tier, ranges, quota, exclude };
    for range in &draft.ranges {
        refuse_unusable(range, sink);
    }
    // What is left of ranges that could not be read cannot be known.
    let whole = texts.is_some_and(|texts| texts.value.len() == draft.ranges.len());
    if whole && !draft.ranges.is_empty() {
        let usable = check_exclude(&draft, &entry.header, sink);
        check_quota(&draft, usable, sink);
    }
    draft
}

const PURPOSES: [(&str, Purpose); 3] =
    [("termination", Purpose::Termination), ("overlay", Purpose::Overlay), ("client", Purpose::Client)];
const TIERS: [(&str, Tier); 2] = [("primary", Tier::Primary), ("reserve", Tier::Reserve)];

fn refuse_unusable(range: &At<AddressRange>, sink: &mut Sink) {
    if let Some((never, what)) = range.value.unusable() {
        let message = format!("the range {} holds {what}", ranges::show(&range.value));
        let help = format!("write ranges without {}: no host can have it", ranges::show(&never));
        sink.push(Problem::new(&range.span, message, help));
    }
}

/// Returns how many addresses are left.
fn check_exclude(draft: &Draft, header: &Span, sink: &mut Sink) -> u64 {
    let ranges = ranges::merge(draft.ranges.iter().map(|range| range.value));
    let exclude = ranges::merge(draft.exclude.iter().map(|range| range.value));
    for excluded in &draft.exclude {
        if !ranges::covers(&ranges, &excluded.value) {
            let message =
                format!("`exclude`: {} is not within this pool's ranges", ranges::show(&excluded.value));
            let help = "write only addresses of its ranges: what is in none is never given out anyway";
            sink.push(Problem::new(&excluded.span, message, help));
        }
    }
    let usable = ranges::count(&ranges) - ranges::common(&ranges, &exclude);
    if usable == 0 {
        let help = "leave at least one address out of `exclude`, or take the pool out";
        sink.push(Problem::new(header, "this [[pool]] excludes all of its addresses", help));
    }
    usable
}

fn check_quota(draft: &Draft, usable: u64, sink: &mut Sink) {
    let Some(quota) = draft.quota.as_ref().filter(|quota| usable > 0 && quota.value > usable) else { return };
    let message = format!("`quota` is {}, and the pool has {usable} addresses to give", quota.value);
    let help = format!("write at most {usable}, or leave `quota` out: then there is no limit");
    sink.push(Problem::new(&quota.span, message, help));
}
