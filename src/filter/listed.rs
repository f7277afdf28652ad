//! What `nft -j list table` says, into a ruleset. Whatever is not as greyhound makes it is an alteration. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ruleset::{Pair, Ruleset, Span, Table, merged};

#[derive(Deserialize)]
struct Document {
    nftables: Vec<BTreeMap<String, Value>>,
}

/// The table of ours that is listed. An error: this is no listing.
pub fn read(text: &str) -> Result<Table, String> {
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut reading = Reading::default();
    let known = document.nftables.iter().flatten().all(|(sort, object)| reading.take(sort, object).is_some());
    let Reading { mut ruleset, rules, parts } = reading;
    ruleset.sources = merged(ruleset.sources);
    let whole =
        parts == ["chain", "counter", "locals", "pairs", "sources"].map(|part| (part.to_owned(), 1)).into();
    Ok(if known && whole && rules == expected_rules() { Table::Intact(ruleset) } else { Table::Altered })
}

#[derive(Default)]
struct Reading {
    ruleset: Ruleset,
    rules: Vec<Value>,
    /// How often each part was there.
    parts: BTreeMap<String, usize>,
}

impl Reading {
    /// `None`: this is not as greyhound makes it.
    fn take(&mut self, sort: &str, object: &Value) -> Option<()> {
        let part = match sort {
            "metainfo" | "table" => return Some(()),
            "rule" => {
                self.rules.push(in_names(object.get("expr")?));
                return Some(());
            }
            "counter" => (object["name"] == "dropped").then_some("counter")?,
            "chain" => {
                let hook = [&object["name"], &object["type"], &object["hook"], &object["policy"]];
                (hook == ["input", "filter", "input", "accept"] && object["prio"] == 0).then_some("chain")?
            }
            "set" => self.set(object)?,
            _ => return None,
        };
        *self.parts.entry(part.to_owned()).or_default() += 1;
        Some(())
    }

    fn set(&mut self, object: &Value) -> Option<&'static str> {
        let flagged = many(&object["flags"]);
        let (name, flags) = match object["name"].as_str()? {
            "pairs" => ("pairs", vec![]),
            "locals" => ("locals", vec![]),
            "sources" => ("sources", vec!["interval"]),
            _ => return None,
        };
        if flagged != flags {
            return None;
        }
        for element in many(&object["elem"]) {
            match name {
                "pairs" => drop(self.ruleset.pairs.insert(pair(element)?)),
                "locals" => drop(self.ruleset.locals.insert(address(element)?)),
                _ => self.ruleset.sources.push(span(element)?),
            }
        }
        Some(name)
    }
}

/// A list; later releases of nft write one of one element as that element.
fn many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn address(value: &Value) -> Option<Ipv4Addr> {
    value.as_str()?.parse().ok()
}

fn pair(value: &Value) -> Option<Pair> {
    match value["concat"].as_array()?.as_slice() {
        [remote, local] => Some(Pair { remote: address(remote)?, local: address(local)? }),
        _ => None,
    }
}

fn span(value: &Value) -> Option<Span> {
    if let Some([first, last]) = value["range"].as_array().map(Vec::as_slice) {
        return Some((address(first)?, address(last)?));
    }
    if let Some(prefix) = value.get("prefix") {
        let length = u8::try_from(prefix["len"].as_u64()?).ok()?;
        let prefix = Ipv4Network::new(address(&prefix["addr"])?, length).ok()?;
        return Some((prefix.network(), prefix.broadcast()));
    }
    address(value).map(|one| (one, one))
}

/// Where there is no /etc/protocols, GRE is its number.
fn in_names(expressions: &Value) -> Value {
    let mut named = expressions.clone();
    if let Some(protocol) = named.pointer_mut("/0/match/right").filter(|right| **right == 47) {
        *protocol = json!("gre");
    }
    named
}

fn expected_rules() -> Vec<Value> {
    let field = |field: &str| json!({ "payload": { "protocol": "ip", "field": field } });
    let accept = |op: &str, left: Value, right: &str| json!([{ "match": { "op": op, "left": left, "right": right } }, { "accept": null }]);
    vec![
        accept("!=", field("protocol"), "gre"),
        accept("==", json!({ "concat": [field("saddr"), field("daddr")] }), "@pairs"),
        accept("==", field("saddr"), "@sources"),
        accept("==", field("daddr"), "@locals"),
        json!([{ "counter": "dropped" }, { "drop": null }]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nft 1.0.6 lists it, without the handles.
    const LISTED: &str = r#"{"nftables":[{"metainfo":{"version":"1.0.6","release_name":"Lester Gooch #5","json_schema_version":1}},
{"table":{"family":"ip","name":"greyhound","handle":1}},
{"counter":{"family":"ip","name":"dropped","table":"greyhound","handle":2,"packets":7,"bytes":9}},
{"set":{"family":"ip","name":"pairs","table":"greyhound","type":["ipv4_addr","ipv4_addr"],"handle":3,"elem":[{"concat":["192.0.2.1","198.51.100.8"]},{"concat":["192.0.2.2","198.51.100.8"]}]}},
{"set":{"family":"ip","name":"sources","table":"greyhound","type":"ipv4_addr","handle":4,"flags":["interval"],"elem":[{"prefix":{"addr":"10.0.0.0","len":24}},{"range":["10.0.1.0","10.0.1.77"]},"10.0.2.5"]}},
{"set":{"family":"ip","name":"locals","table":"greyhound","type":"ipv4_addr","handle":5,"elem":["10.1.1.1"]}},
{"chain":{"family":"ip","table":"greyhound","name":"input","handle":1,"type":"filter","hook":"input","prio":0,"policy":"accept"}},
{"rule":{"family":"ip","table":"greyhound","chain":"input","handle":6,"expr":[{"match":{"op":"!=","left":{"payload":{"protocol":"ip","field":"protocol"}},"right":"gre"}},{"accept":null}]}},
{"rule":{"family":"ip","table":"greyhound","chain":"input","handle":7,"expr":[{"match":{"op":"==","left":{"concat":[{"payload":{"protocol":"ip","field":"saddr"}},{"payload":{"protocol":"ip","field":"daddr"}}]},"right":"@pairs"}},{"accept":null}]}},
{"rule":{"family":"ip","table":"greyhound","chain":"input","handle":8,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"saddr"}},"right":"@sources"}},{"accept":null}]}},
{"rule":{"family":"ip","table":"greyhound","chain":"input","handle":9,"expr":[{"match":{"op":"==","left":{"payload":{"protocol":"ip","field":"daddr"}},"right":"@locals"}},{"accept":null}]}},
{"rule":{"family":"ip","table":"greyhound","chain":"input","handle":10,"expr":[{"counter":"dropped"},{"drop":null}]}}]}"#;

    fn altered(from: &str, to: &str) -> Table {
        assert!(LISTED.contains(from), "{from}");
        read(&LISTED.replace(from, to)).unwrap()
    }

    #[test]
    fn a_listing_is_the_ruleset_that_was_made() {
        let local = [198, 51, 100, 8].into();
        let pairs = [1, 2].map(|last| Pair { remote: [192, 0, 2, last].into(), local }).into();
        let sources = vec![
            // Neighbours are one range.
            ([10, 0, 0, 0].into(), [10, 0, 1, 77].into()),
            ([10, 0, 2, 5].into(), [10, 0, 2, 5].into()),
        ];
        let ruleset = Ruleset { pairs, sources, locals: [[10, 1, 1, 1].into()].into() };
        assert_eq!(read(LISTED), Ok(Table::Intact(ruleset.clone())));
        assert_eq!(altered(r#""right":"gre""#, r#""right":47"#), Table::Intact(ruleset.clone()));
        let as_later_ones = altered(r#""elem":["10.1.1.1"]"#, r#""elem":"10.1.1.1""#);
        assert_eq!(as_later_ones, Table::Intact(ruleset));
    }

    #[test]
    fn whatever_else_is_there_or_missing_is_an_alteration() {
        for (from, to) in [
            (r#"{"drop":null}"#, r#"{"accept":null}"#),
            (r#""right":"@pairs""#, r#""right":"@locals""#),
            (r#""policy":"accept""#, r#""policy":"drop""#),
            (r#""prio":0"#, r#""prio":10"#),
            (r#""hook":"input""#, r#""hook":"forward""#),
            (r#""name":"locals""#, r#""name":"others""#),
            (r#""flags":["interval"]"#, r#""flags":["interval","timeout"]"#),
            (
                r#"{"concat":["192.0.2.1","198.51.100.8"]}"#,
                r#"{"elem":{"val":{"concat":["192.0.2.1","198.51.100.8"]},"comment":"x"}}"#,
            ),
            (r#"{"counter":{"#, r#"{"quota":{"#),
            (r#"{"metainfo""#, r#"{"chain":{"name":"more"}},{"metainfo""#),
        ] {
            assert_eq!(altered(from, to), Table::Altered, "{to}");
        }
        assert!(read("Error: no").is_err());
    }
}
