//! `docs/configuration.md`, made of the schema; and each default that it names, held against what the code does.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::tests::{golden, root};
use super::{parse, schema};

const HEAD: &str = "\
# The declaration: every key

Made from the code, as is `greyhound.schema.json`, which editors understand. `greyhound check` finds every mistake with its
line. Unknown keys are mistakes. Durations are texts such as \"300ms\", \"10s\", \"5m\", \"1h\".
";

/// A declaration of each table without the keys that have a default; what is added to its end goes to that table.
fn least(table: &str) -> &'static str {
    const INVENTORY: &str = "[inventory]\npath = \"/var/lib/greyhound-inventory/inventory.db\"\n";
    match table {
        "inventory" => INVENTORY,
        "reflector" => "[reflector]\nallow = [\"0.0.0.0/0\"]\n",
        "host" => "[inventory]\npath = \"/var/lib/greyhound-inventory/inventory.db\"\n[host]\n",
        "device" => {
            "[daemon]\nrole = \"edge\"\n[inventory]\npath = \"/var/lib/greyhound-inventory/inventory.db\"\n\
             [device]\ncode = \"ams-1\"\npublic_ip = \"192.0.2.1\"\n"
        }
        "pool" => {
            "[[pool]]\nname = \"p\"\npurpose = \"termination\"\nranges = [\"198.51.100.8-198.51.100.15\"]\n"
        }
        "tunnel" => {
            "[[tunnel]]\nname = \"t\"\nkind = \"multicast\"\nlocal = \"192.0.2.9\"\nremote = \"192.0.2.1\"\n\
             overlay = \"169.254.10.0/31\"\n"
        }
        "daemon" => "[daemon]\n",
        "probe" => "[probe]\n",
        "metrics" => "[metrics]\nlisten = \"127.0.0.1:9862\"\n",
        "filter" => "[filter]\n",
        other => panic!("no declaration with a [{other}]"),
    }
}

/// Each table of the schema: how it is written, what it is, its keys.
fn tables(schema: &Value) -> Vec<(String, &Value, &Map<String, Value>)> {
    let tables = schema["properties"].as_object().unwrap();
    let one = |(name, table): (&String, &Value)| {
        let reference = table["$ref"].as_str().or(table["items"]["$ref"].as_str()).unwrap();
        let meant = schema.pointer(reference.trim_start_matches('#')).unwrap();
        (name.clone(), meant, meant["properties"].as_object().unwrap())
    };
    tables.iter().map(one).collect()
}

fn page(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    for (name, table, keys) in tables(schema) {
        let many = schema["properties"][&name]["type"] == "array";
        let header = if many { format!("[[{name}]]") } else { format!("[{name}]") };
        let what = table["description"].as_str().unwrap();
        write!(page, "\n## `{header}`\n{what}\n\n| key | default | meaning |\n|---|---|---|\n").unwrap();
        let required = table["required"].as_array();
        for (key, value) in keys {
            let needed = required.is_some_and(|required| required.iter().any(|name| name == key));
            let default = match value.get("default") {
                Some(default) => format!("`{default}`"),
                None if needed => "required".to_owned(),
                None => String::new(),
            };
            let meaning = value["description"].as_str().unwrap().replace('|', "\\|");
            writeln!(page, "| `{key}` | {default} | {meaning} |").unwrap();
        }
    }
    page
}

#[test]
fn the_reference_is_up_to_date() {
    golden(&root().join("docs/configuration.md"), &page(&schema()))
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn every_default_that_is_named_is_the_one_that_is_taken() {
    let schema = schema();
    let mut checked = 0;
    for (name, _, keys) in tables(&schema) {
        let without = parse(least(&name), "without.toml").unwrap();
        for (key, value) in keys {
            let Some(default) = value.get("default") else { continue };
            let text = format!("{}{key} = {default}\n", least(&name));
            let with = parse(&text, "with.toml").unwrap_or_else(|errors| panic!("{}", errors.render(false)));
            assert_eq!(with, without, "[{name}] {key} = {default} is not what is taken without it");
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} defaults");
}

/// What the text says and what the schema says are the same default.
#[test]
fn every_default_of_the_schema_is_told() {
    let schema = schema();
    for (name, _, keys) in tables(&schema) {
        for (key, value) in keys {
            let Some(default) = value.get("default") else { continue };
            let told = value["description"].as_str().unwrap();
            let spaced = default.to_string().replace("\",\"", "\", \"");
            assert!(told.contains(&format!("Default {spaced}")), "[{name}] {key}: {told:?} and {default}");
        }
    }
}
