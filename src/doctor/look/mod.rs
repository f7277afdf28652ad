//! Gathers the facts: reads and asks, changes nothing, and ends in time. Shell.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod` | in which order; every look on a thread of its own, with a limit |
//! | `machine` | the kernel, capabilities, settings, the clock |
//! | `filters` | packet filters of what is forwarded |
//! | `managers` | other programs that manage networks, and their files |
//! | `daemon` | the daemon, by its socket |
//! | `kept` | the store and the inventory |
//! | `ways` | probes of the tunnels and of the ways to their other ends |

mod daemon;
mod filters;
mod kept;
mod machine;
mod managers;
mod ways;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::facts::{Declaration, Facts, Host, Inventory, Seen, Store};
use crate::api::dto::{StatusView, TunnelView};
use crate::config::Config;
use crate::model::STAMP_PORT;
use crate::netlink::Netlink;

pub use daemon::{First, ask as daemon};
pub use ways::{MOST_LARGE, MOST_SMALL, MOST_TUNNELS};

/// How long one look may take that asks this machine alone.
const LOOK: Duration = Duration::from_secs(4);

/// What is asked for.
pub struct Order {
    pub declaration: Seen<Declaration>,
    pub daemon: First,
    /// Shows the tunnels: the daemon's, or this process's own look.
    pub status: Box<dyn FnOnce() -> anyhow::Result<StatusView> + Send>,
    /// Those to probe; none: all, as many as are probed at once.
    pub tunnels: Vec<String>,
    /// Why no packet is to be sent; `None`: some may be.
    pub quiet: Option<String>,
    /// When to be at the end.
    pub deadline: Deadline,
}

/// When all must have ended.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// What `look` comes to, on a thread of its own: one that hangs is left behind, and ends with this process.
    pub fn within<T: Send + 'static>(
        self,
        limit: Duration,
        look: impl FnOnce() -> Seen<T> + Send + 'static,
    ) -> Seen<T> {
        let limit = limit.min(self.left());
        let (tell, told) = sync_channel(1);
        // Who does not wait any more does not want to know.
        let thread = std::thread::Builder::new().spawn(move || drop(tell.send(look())));
        thread.map_err(|error| format!("no thread can be made: {error}"))?;
        let late = |_| format!("it took longer than {:.1} s", limit.as_secs_f64());
        told.recv_timeout(limit).map_err(late)?
    }

    /// The same, for what asks this machine alone.
    pub fn soon<T: Send + 'static>(self, look: impl FnOnce() -> Seen<T> + Send + 'static) -> Seen<T> {
        self.within(LOOK, look)
    }
}

/// An error as one sentence.
pub fn sentence(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

/// Looks at everything.
pub fn gather(order: Order) -> Facts {
    let Order { declaration, daemon, status, tunnels: named, quiet, deadline } = order;
    let config = match &declaration {
        Ok(Declaration::Good { config, .. }) => Some(config.clone()),
        _ => None,
    };
    let status = deadline.soon(move || status().map_err(sentence));
    let tunnels = status.as_ref().map(|status| status.tunnels.clone()).unwrap_or_default();
    let remotes = tunnels.iter().filter_map(|tunnel| tunnel.remote).collect();
    let links = tunnels.iter().map(|tunnel| tunnel.link.clone()).collect();
    let host = deadline.soon(move || host(&remotes, links));
    let (store, inventory) = kept(config.as_deref(), deadline);
    let port = config.as_ref().map_or(STAMP_PORT, |config| config.probe.port);
    let trials = match (quiet, &host, &status) {
        (Some(why), ..) => Err(why),
        (None, Err(why), _) | (None, _, Err(why)) => Err(why.clone()),
        (None, Ok(host), Ok(_)) => {
            let wanted = |tunnel: &&TunnelView| named.is_empty() || named.contains(&tunnel.name);
            ways::trials(tunnels.iter().filter(wanted), host, port, deadline).map(|mut trials| {
                for name in named {
                    trials.tunnels.entry(name).or_insert_with(|| Err("no such tunnel is up".to_owned()));
                }
                trials
            })
        }
    };
    Facts {
        asker: machine::asker(),
        release: machine::release(),
        gre: deadline.soon(machine::gre),
        declaration,
        status,
        host,
        forward: deadline.soon(filters::forward),
        managers: deadline.soon(managers::running),
        clock: machine::clock(),
        store,
        inventory,
        trials,
        // The last: it may wait.
        daemon: daemon.settled(deadline),
    }
}

/// `/proc/sys/net` is that of the calling thread's network namespace, as netlink is.
fn host(remotes: &BTreeSet<Ipv4Addr>, links: BTreeSet<String>) -> Seen<Host> {
    let observed =
        Netlink::open().and_then(|mut kernel| kernel.observe(remotes)).map_err(|error| error.in_full())?;
    let outer = observed.paths.values().filter_map(|path| observed.links.get(&path.link));
    let named: BTreeSet<String> = outer.map(|link| link.name.clone()).chain(links).collect();
    let settings = machine::settings(&named);
    Ok(Host { observed, settings })
}

fn kept(config: Option<&Config>, deadline: Deadline) -> (Seen<Store>, Seen<Inventory>) {
    let Some(config) = config else {
        let why = "there is no declaration that says where it is";
        return (Err(why.to_owned()), Err(why.to_owned()));
    };
    let directory: PathBuf = config.daemon.state_dir.clone();
    let inventory = config.inventory.clone();
    (deadline.soon(move || kept::store(&directory)), deadline.soon(move || kept::inventory(inventory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_hangs_is_left_behind() {
        let deadline = Deadline::after(Duration::from_secs(60));
        assert_eq!(deadline.soon(|| Ok(7)), Ok(7));
        let begun = Instant::now();
        let hangs = deadline.within(Duration::from_millis(100), || {
            std::thread::sleep(Duration::from_secs(20));
            Ok(())
        });
        assert_eq!(hangs, Err("it took longer than 0.1 s".to_owned()));
        assert!(begun.elapsed() < Duration::from_secs(10));
        let over = Deadline::after(Duration::ZERO).soon(|| {
            std::thread::sleep(Duration::from_secs(1));
            Ok(())
        });
        assert_eq!(over, Err("it took longer than 0.0 s".to_owned()));
    }
}
