//! `greyhound metrics`: what is counted and measured, as Prometheus reads it.

use super::context::Context;
use super::{Ended, output};
use crate::api::metrics::Format;

/// Prometheus' text format 0.0.4, as the textfile collector of node_exporter takes it; with -j as JSON. A scraper is
/// better served by the daemon itself: see listen in the [metrics] table.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(context: &Context, _args: &Args) -> anyhow::Result<Ended> {
    let client = context.daemon()?;
    context.agree(&client)?;
    if context.json {
        let families: serde_json::Value = serde_json::from_str(&client.metrics(Format::Json)?)?;
        output::json(&families)?;
    } else {
        output::text(&client.metrics(Format::Text)?)?;
    }
    Ok(Ended::Whole)
}
