//! `greyhound render`: what a device needs that does not run greyhound.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::context::Context;
use super::shelf::{self, word};
use super::{Ended, output};
use crate::model::{DeviceCode, SessionKey};
use crate::plan::elsewhere::Elsewhere;
use crate::plan::{commands, eos};
use crate::registry::{Registry, ends};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The device's code.
    #[arg(long, value_name = "CODE")]
    device: DeviceCode,

    /// iproute2 (a shell script that makes an empty Linux host what greyhound would) or eos (a configuration of Arista
    /// EOS).
    #[arg(long, value_parser = word(&Format::ALL))]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Iproute2,
    Eos,
}

impl Format {
    const ALL: [Self; 2] = [Self::Iproute2, Self::Eos];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Iproute2 => "iproute2",
            Self::Eos => "eos",
        })
    }
}

/// What is printed as JSON.
#[derive(Serialize)]
struct View<'a> {
    device: &'a DeviceCode,
    #[serde(serialize_with = "as_text")]
    format: Format,
    text: String,
    /// The sessions whose tunnel is not in the text, and why.
    left_out: BTreeMap<String, &'a str>,
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    context.with_inventory(|inventory| render(context, &shelf::registry(inventory)?, args))
}

fn render(context: &Context, registry: &Registry, args: &Args) -> anyhow::Result<Ended> {
    let Args { device, format } = args;
    registry.device(device)?;
    let ends::Edge { tunnels, terminations } = ends::of_edge(registry, device);
    let elsewhere = Elsewhere::new(device, &tunnels, &terminations);
    let text = match format {
        Format::Iproute2 => commands::text(&elsewhere),
        Format::Eos => eos::text(&elsewhere, |overlay| ends::place(registry, overlay)),
    };
    let left_out: BTreeMap<&SessionKey, &str> = elsewhere.left_out();
    let ended = if left_out.is_empty() { Ended::Whole } else { Ended::Partly };
    if context.json {
        let left_out = left_out.into_iter().map(|(session, why)| (session.to_string(), why)).collect();
        output::json(&View { device, format: *format, text, left_out })?;
    } else {
        output::text(&text)?;
    }
    Ok(ended)
}

fn as_text<S: Serializer>(format: &Format, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(format)
}
