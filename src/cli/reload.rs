//! `greyhound reload`: have the daemon read its declaration again, and apply it.

use super::Ended;
use super::apply::answered;
use super::context::Context;

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(context: &Context, _args: &Args) -> anyhow::Result<Ended> {
    let client = context.daemon()?;
    context.agree(&client)?;
    answered(context, &client, client.reload())
}
