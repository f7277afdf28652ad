//! `greyhound check`: every mistake of a declaration, before it is used.

use std::path::PathBuf;

use super::context::{Context, Declaration, read};
use super::{Ended, output};
use crate::config;
use crate::filter::{self, nft};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The declaration; the one of --config when left out.
    file: Option<PathBuf>,

    /// Print the JSON schema of declarations instead.
    #[arg(long)]
    schema: bool,
}

pub fn run(context: &Context, args: &Args) -> anyhow::Result<Ended> {
    if args.schema {
        output::json(&config::schema())?;
        return Ok(Ended::Whole);
    }
    let file = args.file.as_deref().unwrap_or(context.file());
    let config = match context.shown(file, read(file)?)? {
        Declaration::Bad => return Ok(Ended::BadDeclaration),
        Declaration::Good(config) => config,
    };
    if config.filter.enable && nft::find().is_none() {
        anstream::eprintln!("greyhound: the filter cannot be kept on this host: {}", filter::Error::Absent);
    }
    if context.json {
        output::json(&serde_json::json!({ "file": file, "problems": [] }))?;
    } else {
        let (tunnels, pools) = (config.tunnels.len(), config.pools.len());
        let file = file.display();
        output::text(&format!("{file}: no mistake in {tunnels} tunnel(s) and {pools} pool(s).\n"))?;
    }
    Ok(Ended::Whole)
}
