//! The ruleset; the difference to what is there, as a script for `nft`, which does all of it or nothing. Pure.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::Ipv4Addr;

use super::{COMMENT, TABLE};
use crate::netlink::netfilter::Count;
use crate::plan::render::Action;

/// The outer addresses of what a tunnel takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub remote: Ipv4Addr,
    pub local: Ipv4Addr,
}

/// The first and the last of a range.
pub type Span = (Ipv4Addr, Ipv4Addr);

/// Whose GRE is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub pairs: BTreeSet<Pair>,
    /// From these to whatever address; as [`merged`] has them.
    pub sources: Vec<Span>,
    /// From everybody to these.
    pub locals: BTreeSet<Ipv4Addr>,
}

/// The table as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    Absent,
    /// One of that name is somebody else's.
    Foreign,
    /// It lets these in, and is otherwise as it was made.
    Intact(Ruleset),
    /// Somebody changed more of it than whom it lets in.
    Altered,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// The whole table, in the place of one that may be there.
    Anew,
    /// Whom it lets in, and nothing else.
    Elements {
        add: BTreeSet<Pair>,
        delete: BTreeSet<Pair>,
        sources: bool,
        locals: bool,
    },
    Remove,
    /// The table is somebody else's.
    Refused,
}

/// One line of what is to be done, as a plan has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub action: Action,
    pub text: String,
}

/// What is to be done so that there is this ruleset, or none.
pub fn change(wanted: Option<&Ruleset>, found: &Table) -> Change {
    match (wanted, found) {
        (None, Table::Absent | Table::Foreign) => Change::Nothing,
        (None, Table::Intact(_) | Table::Altered) => Change::Remove,
        (Some(_), Table::Foreign) => Change::Refused,
        (Some(_), Table::Absent | Table::Altered) => Change::Anew,
        (Some(wanted), Table::Intact(found)) if wanted == found => Change::Nothing,
        (Some(wanted), Table::Intact(found)) => Change::Elements {
            add: &wanted.pairs - &found.pairs,
            delete: &found.pairs - &wanted.pairs,
            sources: wanted.sources != found.sources,
            locals: wanted.locals != found.locals,
        },
    }
}

impl Change {
    /// The same in words. `wanted`: what there is to be.
    pub fn lines(&self, wanted: Option<&Ruleset>) -> Vec<Line> {
        let line = |action, text: String| Line { action, text: format!("filter {text}") };
        match self {
            Self::Nothing => Vec::new(),
            Self::Anew | Self::Refused => {
                let pairs = wanted.map_or(0, |wanted| wanted.pairs.len());
                vec![line(Action::Add, format!("table ip {TABLE}, which lets GRE of {pairs} pair(s) in"))]
            }
            Self::Remove => vec![line(Action::Delete, format!("table ip {TABLE}"))],
            Self::Elements { add, delete, sources, locals } => {
                let pair = |action| {
                    move |Pair { remote, local }: &Pair| {
                        line(action, format!("pair remote {remote} local {local}"))
                    }
                };
                let sets =
                    [(*sources, "sources"), (*locals, "locals")].into_iter().filter(|(differs, _)| *differs);
                let sets = sets.map(|(_, set)| line(Action::Change, format!("set {set}")));
                let pairs = add.iter().map(pair(Action::Add)).chain(delete.iter().map(pair(Action::Delete)));
                pairs.chain(sets).collect()
            }
        }
    }

    /// What `nft` is told. `counted`: what the table that is replaced has counted.
    pub fn script(&self, wanted: Option<&Ruleset>, counted: Count) -> String {
        match (self, wanted) {
            (Self::Anew, Some(wanted)) => whole(wanted, counted),
            (Self::Elements { add, delete, sources, locals }, Some(wanted)) => {
                let sources = sources.then(|| list(&wanted.sources, span));
                let locals = locals.then(|| list(&wanted.locals, Ipv4Addr::to_string));
                elements(add, delete, sources, locals)
            }
            (Self::Remove, _) => format!("delete table ip {TABLE}\n"),
            (Self::Nothing | Self::Refused, _) | (_, None) => String::new(),
        }
    }
}

/// A table that is not there cannot be deleted, and one that is there is not replaced: so it is made, deleted, and made.
fn whole(ruleset: &Ruleset, counted: Count) -> String {
    let Ruleset { pairs, sources, locals } = ruleset;
    let Count { packets, bytes } = counted;
    let set = |name: &str, form: &str, elements: String| {
        let elements = if elements.is_empty() { elements } else { format!(" elements = {{ {elements} }}") };
        format!("\tset {name} {{ {form};{elements} }}\n")
    };
    [
        &format!(
            "add table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n\tcomment \"{COMMENT}\"\n"
        ),
        &format!("\tcounter dropped {{ packets {packets} bytes {bytes} }}\n"),
        &set("pairs", "type ipv4_addr . ipv4_addr", list(pairs, pair)),
        &set("sources", "type ipv4_addr; flags interval", list(sources, span)),
        &set("locals", "type ipv4_addr", list(locals, Ipv4Addr::to_string)),
        "\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n",
        "\t\tip protocol != gre accept\n",
        "\t\tip saddr . ip daddr @pairs accept\n",
        "\t\tip saddr @sources accept\n",
        "\t\tip daddr @locals accept\n",
        "\t\tcounter name dropped drop\n\t}\n}\n",
    ]
    .concat()
}

fn elements(
    add: &BTreeSet<Pair>,
    delete: &BTreeSet<Pair>,
    sources: Option<String>,
    locals: Option<String>,
) -> String {
    let line = |verb: &str, set: &str, elements: &str| match elements {
        "" => String::new(),
        _ => format!("{verb} element ip {TABLE} {set} {{ {elements} }}\n"),
    };
    let anew = |set: &str, elements: Option<String>| {
        let written =
            |elements: String| format!("flush set ip {TABLE} {set}\n{}", line("add", set, &elements));
        elements.map_or(String::new(), written)
    };
    [
        line("add", "pairs", &list(add, pair)),
        line("delete", "pairs", &list(delete, pair)),
        anew("sources", sources),
        anew("locals", locals),
    ]
    .concat()
}

fn list<'a, T: 'a>(items: impl IntoIterator<Item = &'a T>, text: impl Fn(&T) -> String) -> String {
    items.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

fn pair(Pair { remote, local }: &Pair) -> String {
    format!("{remote} . {local}")
}

fn span((first, last): &Span) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }
}

/// The same addresses in as few ranges as can be, in order: two rulesets are equal when they let the same in.
pub fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for (first, last) in spans {
        match merged.last_mut() {
            Some((_, end)) if u64::from(u32::from(first)) <= u64::from(u32::from(*end)) + 1 => {
                *end = last.max(*end);
            }
            _ => merged.push((first, last)),
        }
    }
    merged
}

impl Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.action.symbol(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair_of(last: u8) -> Pair {
        Pair { remote: [192, 0, 2, last].into(), local: [198, 51, 100, 8].into() }
    }

    fn ruleset(lasts: &[u8]) -> Ruleset {
        Ruleset { pairs: lasts.iter().map(|last| pair_of(*last)).collect(), ..Ruleset::default() }
    }

    fn texts(change: &Change, wanted: &Ruleset) -> Vec<String> {
        change.lines(Some(wanted)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_states_change_nothing_and_what_is_foreign_is_refused() {
        let wanted = ruleset(&[1]);
        assert_eq!(change(Some(&wanted), &Table::Intact(wanted.clone())), Change::Nothing);
        assert_eq!(change(None, &Table::Absent), Change::Nothing);
        assert_eq!(change(Some(&wanted), &Table::Foreign), Change::Refused);
        assert_eq!(change(None, &Table::Foreign), Change::Nothing);
        assert_eq!(change(None, &Table::Altered), Change::Remove);
        assert_eq!(Change::Refused.script(Some(&wanted), Count::default()), "");
    }

    #[test]
    fn what_was_altered_is_made_anew_in_one_transaction_and_counts_on() {
        let wanted = Ruleset {
            sources: vec![([10, 0, 0, 0].into(), [10, 0, 0, 255].into())],
            locals: [[239, 1, 1, 1].into()].into(),
            ..ruleset(&[1, 2])
        };
        let change = change(Some(&wanted), &Table::Altered);
        assert_eq!(texts(&change, &wanted), ["+ filter table ip greyhound, which lets GRE of 2 pair(s) in"]);
        let script = change.script(Some(&wanted), Count { packets: 7, bytes: 9 });
        let begins = "add table ip greyhound\ndelete table ip greyhound\ntable ip greyhound {\n";
        assert!(script.starts_with(begins), "{script}");
        for line in [
            "counter dropped { packets 7 bytes 9 }",
            "elements = { 192.0.2.1 . 198.51.100.8, 192.0.2.2 . 198.51.100.8 }",
            "set sources { type ipv4_addr; flags interval; elements = { 10.0.0.0-10.0.0.255 } }",
            "set locals { type ipv4_addr; elements = { 239.1.1.1 } }",
        ] {
            assert!(script.contains(line), "{line}: {script}");
        }
        assert!(!whole(&Ruleset::default(), Count::default()).contains("elements"), "no empty list");
    }

    #[test]
    fn who_comes_and_who_goes_is_changed_alone() {
        let wanted = Ruleset { locals: [[198, 51, 100, 9].into()].into(), ..ruleset(&[1, 3]) };
        let change = change(Some(&wanted), &Table::Intact(ruleset(&[1, 2])));
        let lines = [
            "+ filter pair remote 192.0.2.3 local 198.51.100.8",
            "- filter pair remote 192.0.2.2 local 198.51.100.8",
            "~ filter set locals",
        ];
        assert_eq!(texts(&change, &wanted), lines);
        let script = "add element ip greyhound pairs { 192.0.2.3 . 198.51.100.8 }\n\
                      delete element ip greyhound pairs { 192.0.2.2 . 198.51.100.8 }\n\
                      flush set ip greyhound locals\nadd element ip greyhound locals { 198.51.100.9 }\n";
        assert_eq!(change.script(Some(&wanted), Count::default()), script);
    }

    #[test]
    fn ranges_are_merged_where_nothing_is_between_them() {
        let span = |first: [u8; 4], last: [u8; 4]| (first.into(), last.into());
        let given = vec![
            span([10, 0, 1, 0], [10, 0, 1, 9]),
            span([10, 0, 0, 0], [10, 0, 0, 255]),
            span([10, 0, 0, 7], [10, 0, 0, 8]),
            span([10, 0, 1, 11], [10, 0, 1, 11]),
            span([255, 255, 255, 255], [255, 255, 255, 255]),
        ];
        let expected = [
            span([10, 0, 0, 0], [10, 0, 1, 9]),
            span([10, 0, 1, 11], [10, 0, 1, 11]),
            span([255, 255, 255, 255], [255, 255, 255, 255]),
        ];
        assert_eq!(merged(given), expected);
    }
}
