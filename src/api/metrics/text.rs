//! The sheet as it is read: Prometheus' text format 0.0.4, OpenMetrics 1.0, or JSON.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use serde_json::{Map, json};

use super::catalogue::{About, Type};
use super::sheet::{Sample, Sheet, Value};
use crate::model::Spread;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// What Prometheus, promtool and node_exporter's textfile collector read.
    Text,
    /// What Prometheus asks for first.
    OpenMetrics,
    Json,
}

impl Format {
    /// Of who accepts this (RFC 9110, 12.5.1). What is named wins, OpenMetrics first; weights decide nothing.
    pub fn accepted(accept: &str) -> Self {
        let named =
            |kind| accept.split(',').any(|range| range.split(';').next().map(str::trim) == Some(kind));
        if named("application/openmetrics-text") {
            Self::OpenMetrics
        } else if named("application/json") {
            Self::Json
        } else {
            Self::Text
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// The sheet in this format. Metrics without samples are left out.
pub fn write(sheet: Sheet, format: Format) -> String {
    if format == Format::Json {
        return json(&sheet);
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page { sheet, format }));
    let mut text = String::new();
    let end = |text: &mut String| if format == Format::OpenMetrics { encode_eof(text) } else { Ok(()) };
    // A `String` takes all that is written to it.
    let _ = encode_registry(&mut text, &registry).and_then(|()| end(&mut text));
    text
}

#[derive(Debug)]
struct Page {
    sheet: Sheet,
    format: Format,
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        // In OpenMetrics the family of a counter is called without `_total`, and its samples with it.
        let open = self.format == Format::OpenMetrics;
        for (metric, samples) in self.sheet.families().filter(|(_, samples)| !samples.is_empty()) {
            let About { stem, kind, labels: names, help } = metric.about();
            let name = if open { (*stem).to_owned() } else { metric.name() };
            let mut family = encoder.encode_descriptor(&name, help, None, kind.metric_type())?;
            let total = open && *kind == Type::Counter;
            for Sample { labels, value } in samples {
                let labels: Vec<(&str, &str)> =
                    names.iter().copied().zip(labels.iter().map(String::as_str)).collect();
                if labels.is_empty() {
                    encode(value, total, &mut family)?;
                } else {
                    encode(value, total, &mut family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

/// `total`: the name gets `_total` at its end.
fn encode(value: &Value, total: bool, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    match value {
        Value::Count(count) if total => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
        Value::Count(count) => encoder.encode_gauge(count),
        Value::Number(number) => encoder.encode_gauge(number),
        Value::Spread(spread) => {
            let sum = spread.sum().as_secs_f64();
            encoder.encode_histogram::<NoLabelSet>(sum, spread.count(), &buckets(spread), None)
        }
    }
}

/// Bounds in seconds; each with those that are above the bound before.
fn buckets(spread: &Spread) -> Vec<(f64, u64)> {
    let seconds = |bound: Option<Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
    spread.places().map(|(bound, count)| (seconds(bound), count)).collect()
}

fn json(sheet: &Sheet) -> String {
    let families = sheet.families().filter(|(_, samples)| !samples.is_empty());
    let families = families.map(|(metric, samples)| {
        let About { kind, labels: names, help, .. } = metric.about();
        let sample = |Sample { labels, value }: &Sample| {
            let labels =
                names.iter().zip(labels.iter()).map(|(name, value)| ((*name).to_owned(), json!(value)));
            json!({ "labels": labels.collect::<Map<_, _>>(), "value": number(value) })
        };
        let samples: Vec<_> = samples.iter().map(sample).collect();
        json!({ "name": metric.name(), "type": kind.name(), "help": help, "samples": samples })
    });
    serde_json::Value::Array(families.collect()).to_string()
}

fn number(value: &Value) -> serde_json::Value {
    match value {
        Value::Count(count) => json!(count),
        Value::Number(number) => json!(number),
        Value::Spread(spread) => {
            // JSON has no infinity: the last bucket has no bound.
            let bucket = |(bound, count): (Option<Duration>, u64)| json!({ "at_most": bound.map(|bound| bound.as_secs_f64()), "count": count });
            let buckets: Vec<_> = spread.places().map(bucket).collect();
            json!({ "sum": spread.sum().as_secs_f64(), "count": spread.count(), "buckets": buckets })
        }
    }
}

impl Type {
    fn metric_type(self) -> MetricType {
        match self {
            Self::Gauge => MetricType::Gauge,
            Self::Counter => MetricType::Counter,
            Self::Histogram => MetricType::Histogram,
        }
    }
}
