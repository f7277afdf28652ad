//! What is shipped for monitoring: rules, runbooks, dashboard and the table of metrics say the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::process::Command;

use greyhound::api::metrics::{About, Metric, Type};
use serde_json::Value;

use super::stage::{greyhound, said};

const RULES: &str = "monitoring/greyhound.rules.yml";
const RULES_TEST: &str = "monitoring/greyhound.rules.test.yml";
const DASHBOARD: &str = "monitoring/grafana-dashboard.json";
const TABLE: &str = "docs/metrics.md";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `promtool` on a file; it must find nothing wrong.
fn promtool(words: &[&str], file: &str) {
    let output = Command::new("promtool").args(words).arg(root().join(file)).output();
    let output = output.expect("promtool: integration/setup installs it, with prometheus");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?} {file}: {said}");
}

/// What follows this word at the beginning of lines.
fn after(text: &str, word: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix(word))
        .map(|rest| rest.trim().to_owned())
        .collect()
}

fn alerts() -> Vec<String> {
    after(&text(RULES), "- alert:")
}

/// Words of a text that are names of greyhound's metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("greyhound_")).map(str::to_owned).collect()
}

/// All names that samples have.
fn samples() -> BTreeSet<String> {
    let names = Metric::ALL.iter().flat_map(|metric| match metric.about().kind {
        Type::Gauge | Type::Counter => vec![metric.name()],
        Type::Histogram => ["_bucket", "_sum", "_count"].map(|end| metric.name() + end).into(),
    });
    names.collect()
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules_and_each_alert_is_tested_both_ways() {
    promtool(&["check", "rules"], RULES);
    promtool(&["test", "rules"], RULES_TEST);
    let tests = text(RULES_TEST);
    let tests: Vec<&str> = tests.split("alertname: ").skip(1).collect();
    for alert in alerts() {
        let of: Vec<_> = tests.iter().filter(|test| test.lines().next() == Some(alert.as_str())).collect();
        assert!(of.iter().any(|test| test.contains("exp_labels")), "{alert} never fires in a test");
        assert!(of.iter().any(|test| test.contains("exp_alerts: []")), "{alert} always fires in its tests");
    }
}

#[test]
fn each_alert_has_its_page_and_each_page_its_alert() {
    let pages = read_dir(root().join("docs/runbooks")).unwrap().map(|entry| entry.unwrap().path());
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let pages: BTreeSet<String> = pages.map(stem).collect();
    assert_eq!(alerts().into_iter().collect::<BTreeSet<_>>(), pages);
    let urls: Vec<String> = pages.iter().map(|page| format!("docs/runbooks/{page}.md")).collect();
    let found: BTreeSet<String> = after(&text(RULES), "runbook_url:").into_iter().collect();
    assert_eq!(found, urls.into_iter().collect());
    assert_eq!(after(&text(RULES), "labels: {severity:").len(), pages.len(), "each has a severity");
}

#[test]
fn the_verbs_of_the_runbooks_are_there() {
    for page in read_dir(root().join("docs/runbooks")).unwrap() {
        let page = page.unwrap().path();
        let text = read_to_string(&page).unwrap();
        // In blocks, and between backticks.
        let blocks = text.lines().map(str::trim).filter(|line| line.starts_with("greyhound "));
        let inline = text.split('`').filter(|piece| piece.starts_with("greyhound ") && !piece.contains('\n'));
        let verbs: BTreeSet<&str> = blocks.chain(inline).collect();
        for verb in verbs {
            let words = verb.split(['|', '>', '`']).next().unwrap().trim().trim_start_matches("greyhound ");
            let help = said(greyhound(&filled(words)).arg("--help"));
            assert_eq!((help.status, help.err.as_str()), (Some(0), ""), "{}: {verb}", page.display());
        }
    }
}

/// With something in the place of what the reader puts in.
fn filled(words: &str) -> String {
    let fill = [
        ("HOST/NAME", "web-1/ams"),
        ("NAME", "ams"),
        ("POOL", "clients"),
        ("RANGE", "203.0.113.0/29"),
        ("ADDRESS", "192.0.2.1"),
        ("TERMINATION", "192.0.2.1"),
        ("--low-water N", "--low-water 4"),
    ];
    fill.iter().fold(words.to_owned(), |words, (place, value)| words.replace(place, value))
}

#[test]
fn every_metric_of_rules_and_dashboard_is_there_and_every_metric_is_shown() {
    let there = samples();
    for file in [RULES, RULES_TEST, DASHBOARD] {
        let unknown: Vec<String> = named(&text(file)).difference(&there).cloned().collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    let shown = named(&text(DASHBOARD));
    let hidden =
        Metric::ALL.iter().filter(|metric| !shown.iter().any(|name| name.starts_with(&metric.name())));
    let hidden: Vec<String> = hidden.map(|metric| metric.name()).collect();
    assert!(hidden.is_empty(), "on no panel: {hidden:?}");
}

#[test]
fn the_dashboard_is_one_and_asks_the_chosen_data_source() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(36), "of Grafana 9 or later");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let chosen = variables.iter().find(|variable| variable["type"] == "datasource").unwrap();
    assert_eq!((chosen["name"].as_str(), chosen["query"].as_str()), (Some("datasource"), Some("prometheus")));
    let panels = dashboard["panels"].as_array().unwrap();
    let mut numbers = BTreeSet::new();
    for panel in panels {
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "two panels have one number: {panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(!target["expr"].as_str().unwrap().is_empty(), "{panel}");
        }
    }
    let titles = after_title(panels);
    for row in ["Tunnels", "Terminations", "Pools and sessions", "Daemon"] {
        assert!(titles.contains(row), "{titles:?}");
    }
}

fn after_title(panels: &[Value]) -> BTreeSet<&str> {
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    rows.filter_map(|row| row["title"].as_str()).collect()
}

/// With `GREYHOUND_BLESS=1` the table is written anew.
#[test]
fn the_table_of_metrics_says_what_the_catalogue_says() {
    let mut table = "| metric | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
    for metric in Metric::ALL {
        let About { stem: _, kind, labels, help } = metric.about();
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{}` | {} | {} | {help} |", metric.name(), kind.name(), labels.join(", "))
            .unwrap();
    }
    let page = text(TABLE);
    let (above, below) = page.split_once("cargo test --test cli -->\n").expect("the mark above the table");
    if std::env::var_os("GREYHOUND_BLESS").is_some_and(|bless| bless == "1") {
        let page = format!("{above}cargo test --test cli -->\n{table}");
        std::fs::write(root().join(TABLE), page).unwrap();
    } else {
        assert_eq!(below, table, "{TABLE}");
    }
}
