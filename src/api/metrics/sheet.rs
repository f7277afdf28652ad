//! Samples, by metric.

use std::sync::Arc;

use super::catalogue::Metric;
use crate::model::Spread;

/// The values of a metric's labels, in their order; metrics of one thing share them.
pub type Labels = Arc<[String]>;

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Count(u64),
    Number(f64),
    Spread(Box<Spread>),
}

/// All samples of one moment.
#[derive(Debug)]
pub struct Sheet(Vec<Vec<Sample>>);

impl Default for Sheet {
    fn default() -> Self {
        Self(vec![Vec::new(); Metric::ALL.len()])
    }
}

impl Sheet {
    pub fn add(&mut self, metric: Metric, labels: &Labels, value: impl Into<Value>) {
        debug_assert_eq!(metric.about().labels.len(), labels.len(), "{metric:?}");
        self.0[metric as usize].push(Sample { labels: Arc::clone(labels), value: value.into() });
    }

    /// The same, where there is something to say.
    pub fn add_known(&mut self, metric: Metric, labels: &Labels, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(metric, labels, value);
        }
    }

    /// Every metric with its samples, in the catalogue's order.
    pub fn families(&self) -> impl Iterator<Item = (Metric, &[Sample])> {
        Metric::ALL.iter().map(|metric| (*metric, &self.0[*metric as usize][..]))
    }
}

/// The labels of a sample.
pub fn labels<const N: usize>(values: [&str; N]) -> Labels {
    values.map(str::to_owned).into()
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Count(yes.into())
    }
}

impl From<&Spread> for Value {
    fn from(spread: &Spread) -> Self {
        Self::Spread(Box::new(spread.clone()))
    }
}
