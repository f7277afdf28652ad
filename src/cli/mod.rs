//! The command line: one file a verb. Every verb prints tables for people, and JSON with `-j`.
//!
//! The daemon answers when one runs; without one most verbs do their work themselves, as root (`source.rs`).
//!
//! | verb | with a daemon | without |
//! |---|---|---|
//! | `status`, `tunnel`, `pool`, `lease`, `plan` | shows what it says | looks at the host itself |
//! | `apply` | has it read its declaration again, and try all at once | takes the lock and does it itself |
//! | `flush` | asks it | takes the lock and does it itself |
//! | `connect`, `disconnect`, `reload`, `events`, `latency`, `metrics`, `tunnel move`, `tunnel hold` and `unhold` | asks it | an error |
//! | `doctor` | asks it, and looks itself | looks itself, as far as it may |
//! | `flush --offline`, `flush --state-dir` | an error | takes the lock and does it itself |
//! | `store backup` | does not ask it | the same |
//! | `store restore` | an error | takes the lock and does it itself |
//! | `support` | gathers what it says, and looks at the host itself | looks at the host itself |
//! | `plan --offline`, `check`, `probe`, `completions`, `man` | do not ask it | the same |
//! | `device`, `interface`, `session`, `inventory`, `render`; `pool` and `lease` for the inventory's | open the inventory | the same |
//!
//! | exit status | meaning |
//! |---|---|
//! | 0 | done; everything is as declared |
//! | 1 | it failed; the error says why. Also: a daemon is needed, or was named, and does not answer. `probe`: somebody did not answer. `connect`: nothing can be had |
//! | 2 | the command line is wrong |
//! | 3 | the declaration is wrong; the error shows where |
//! | 4 | done, but some tunnels are not as declared; `connect`, `disconnect`: not all of it was seen in time |
//! | 5 | `plan --exit-code`: there is something to do |
//! | 6 | `doctor`: warnings were found |
//! | 7 | `doctor`: errors were found |

mod apply;
mod check;
mod completions;
mod connect;
mod context;
mod daemon;
mod device;
mod disconnect;
mod doctor;
#[cfg(test)]
mod documents;
mod events;
mod flush;
mod follow;
mod interface;
mod inventory;
mod latency;
mod lease;
mod man;
mod metrics;
mod output;
mod plan;
mod pool;
mod pool_change;
mod probe;
mod reload;
mod render;
mod session;
mod shelf;
mod source;
mod status;
mod stop;
mod store;
mod support;
mod tunnel;
mod units;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use context::Context;
pub use daemon::{LogFormat, Order};

/// Kernel GRE tunnels, kept as declared. Packets never pass through greyhound.
///
/// Exit status: 0 as declared; 1 failed; 2 wrong usage; 3 wrong declaration; 4 some tunnels are not as
/// declared; 5 there is something to do (plan --exit-code); 6 warnings, 7 errors found (doctor).
#[derive(Debug, Parser)]
#[command(name = "greyhound", version, max_term_width = 100)]
pub struct Cli {
    /// The declaration [default: /etc/greyhound/greyhound.toml]. While a daemon runs: its own, or an error.
    #[arg(long, global = true, value_name = "FILE", env = "GREYHOUND_CONFIG")]
    config: Option<PathBuf>,

    /// The daemon's socket; then a daemon must answer [default: as declared, or /run/greyhound/greyhound.sock].
    #[arg(long, global = true, value_name = "PATH", env = "GREYHOUND_SOCKET")]
    socket: Option<PathBuf>,

    /// Print JSON.
    #[arg(short, long, global = true)]
    json: bool,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep the kernel as declared, in the foreground, until SIGTERM. The tunnels stay.
    Daemon(daemon::Args),
    /// Check a declaration: every mistake with its line and what to write instead.
    Check(check::Args),
    /// Show what would change in the kernel, before it does.
    Plan(plan::Args),
    /// Make the kernel as declared, and read it back. A daemon reads its declaration again first.
    Apply(apply::Args),
    /// Have the daemon read its declaration again. A wrong one changes nothing, and its mistakes are shown.
    Reload(reload::Args),
    /// Take away what greyhound made. Nothing else is touched.
    Flush(flush::Args),
    /// Every tunnel at a glance.
    Status(status::Args),
    /// What has happened, and with --follow what happens.
    Events(events::Args),
    /// How far away every termination is, as probes measure it; the one in use has a star.
    Latency(latency::Args),
    /// What is counted and measured, as Prometheus reads it.
    Metrics(metrics::Args),
    /// Begin a session: a tunnel to the nearest termination of the inventory's devices that can be had.
    Connect(connect::Args),
    /// End sessions of this host. Their addresses are free when the edge has taken its end down.
    Disconnect(disconnect::Args),
    /// The tunnels, as declared and as they are; moving them.
    #[command(subcommand)]
    Tunnel(tunnel::Verb),
    /// Devices of the inventory: the boxes that terminate tunnels.
    #[command(subcommand)]
    Device(device::Verb),
    /// Interfaces of devices, and the terminations that they offer.
    #[command(subcommand)]
    Interface(interface::Verb),
    /// Sessions of client hosts with devices, as they are in the inventory.
    #[command(subcommand)]
    Session(session::Verb),
    /// The inventory as a whole: export, import, check, migrate.
    #[command(subcommand)]
    Inventory(inventory::Verb),
    /// Print what a device needs that does not run greyhound: its terminations and the tunnels of its sessions.
    Render(render::Args),
    /// Pools of addresses.
    #[command(subcommand)]
    Pool(pool::Verb),
    /// Addresses leased from pools.
    #[command(subcommand)]
    Lease(lease::Verb),
    /// What is wrong with this host, what it means, and the command that mends it. Changes nothing.
    Doctor(doctor::Args),
    /// The state of this host: its claims, leases and events as one file, and back.
    #[command(subcommand)]
    Store(store::Verb),
    /// Gather what a report of a fault needs into one archive, without secrets. Look through it before you send it.
    Support(support::Args),
    /// Measure how far away addresses are, once, as root. Ends with 1 when one does not answer.
    Probe(probe::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
    /// Write the manual pages into a directory.
    #[command(hide = true)]
    Man(man::Args),
}

/// How a verb ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Whole,
    /// Somebody who was asked did not answer.
    Silent,
    BadDeclaration,
    Partly,
    ToDo,
    /// Warnings were found, and nothing worse.
    Warned,
    /// Errors were found.
    Sick,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(match ended {
            Ended::Whole => 0,
            Ended::Silent => 1,
            Ended::BadDeclaration => 3,
            Ended::Partly => 4,
            Ended::ToDo => 5,
            Ended::Warned => 6,
            Ended::Sick => 7,
        })
    }
}

impl Cli {
    /// What the daemon is told, when that is what was asked for and can be done: then it is done instead of
    /// [`Self::run`].
    pub fn daemon(&self) -> Option<Order> {
        match &self.verb {
            Verb::Daemon(args) if self.socket.is_none() => {
                let config = self.config.clone().unwrap_or_else(|| context::CONFIG.into());
                Some((config, args.log_format))
            }
            _ => None,
        }
    }

    /// Does what the command line says.
    pub fn run(self) -> anyhow::Result<Ended> {
        let context = Context { config: self.config, socket: self.socket, json: self.json };
        match self.verb {
            Verb::Daemon(_) => anyhow::bail!(
                "the daemon listens where its declaration says: set socket in its [daemon] table, and leave --socket \
                 and GREYHOUND_SOCKET out"
            ),
            Verb::Check(args) => check::run(&context, &args),
            Verb::Plan(args) => plan::run(&context, &args),
            Verb::Apply(args) => apply::run(&context, &args),
            Verb::Reload(args) => reload::run(&context, &args),
            Verb::Flush(args) => flush::run(&context, &args),
            Verb::Status(args) => status::run(&context, &args),
            Verb::Events(args) => events::run(&context, &args),
            Verb::Latency(args) => latency::run(&context, &args),
            Verb::Metrics(args) => metrics::run(&context, &args),
            Verb::Connect(args) => connect::run(&context, &args),
            Verb::Disconnect(args) => disconnect::run(&context, &args),
            Verb::Tunnel(verb) => tunnel::run(&context, &verb),
            Verb::Pool(verb) => pool::run(&context, &verb),
            Verb::Lease(verb) => lease::run(&context, &verb),
            Verb::Device(verb) => device::run(&context, &verb),
            Verb::Interface(verb) => interface::run(&context, &verb),
            Verb::Session(verb) => session::run(&context, &verb),
            Verb::Inventory(verb) => inventory::run(&context, &verb),
            Verb::Render(args) => render::run(&context, &args),
            Verb::Doctor(args) => doctor::run(&context, &args),
            Verb::Store(verb) => store::run(&context, &verb),
            Verb::Support(args) => support::run(&context, &args),
            Verb::Probe(args) => probe::run(&context, &args),
            Verb::Completions(args) => completions::run(&args),
            Verb::Man(args) => man::run(&args),
        }
    }
}
