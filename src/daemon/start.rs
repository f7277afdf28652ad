//! What is opened, and in which order; signals; the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::chronicle::Chronicle;
use super::clock::Clock;
use super::inbox::{self, Outbox};
use super::keeper::{Keeper, Losses, Pace};
use super::log::{self, Format};
use super::mirrored::Mirrored;
use super::moves::lessons;
use super::notify::Notify;
use super::part::Part;
use super::prober::Prober;
use super::publisher::{Publisher, nothing};
use super::source::{Bad, Source};
use crate::api::{self, Access, Handle, Limits, Readers, Request, Socket, group_id};
use crate::config::{Config, DaemonConfig};
use crate::filter::Filter;
use crate::model::Tally;
use crate::reconcile::{Lock, may_change, take_home};
use crate::store::State;

/// Requests between the API and the loop's own queue.
const REQUESTS: usize = 16;
/// Events that a follower may be behind.
const EVENTS: usize = 1024;

/// How the daemon is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The declaration.
    pub config: PathBuf,
    pub format: Format,
}

/// How the daemon ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// The declaration is wrong, and was shown to be.
    BadDeclaration,
}

/// Runs the daemon in the foreground until SIGTERM or SIGINT. The tunnels stay.
pub fn run(options: &Options) -> anyhow::Result<Ended> {
    log::start(options.format)?;
    end_with_any_panic();
    let source = Source::new(&options.config);
    let config = match source.read() {
        Ok(config) => config,
        Err(Bad::Unread(error)) => {
            return Err(error).with_context(|| format!("cannot read {}", source.name()));
        }
        Err(Bad::Wrong(problems)) => {
            anstream::eprintln!("{}", problems.render(true));
            return Ok(Ended::BadDeclaration);
        }
    };
    may_change()?;
    let _lock = Lock::take()?;
    let access = access(&config.daemon)?;
    let mut state = open_state(&config)?;
    let kernel = Mirrored::open()?;
    let socket = Socket::bind(&config.daemon.socket, &access)?;
    let (outbox, inbox) = inbox::open()?;
    let (requests, asked) = mpsc::channel(REQUESTS);
    let (events, _) = broadcast::channel(EVENTS);
    let (snapshot, shown) = watch::channel(Arc::new(nothing(&source.name())));
    let (listener, listening) = api::listening(config.metrics);
    let handle = Handle { requests, snapshot: shown, events: events.clone(), listening };
    let (config_name, tally) = (source.name(), Tally::default());
    let publisher = Publisher { config_name, snapshot, events, tally, listener };
    let clock = Clock::start();
    let learnt = lessons(&mut state, clock.moment())?;
    let prober = Prober::start(&config, learnt, clock, outbox.clone());
    let part = Part::start(&config, &state, 0, &outbox, None)?;
    let keeper = Keeper {
        source,
        declared: config.clone(),
        config,
        part,
        parts: 0,
        unpaid: false,
        outbox: outbox.clone(),
        kernel,
        state,
        filter: Filter::default(),
        chronicle: Chronicle::default(),
        publisher,
        inbox,
        notify: Notify::new(),
        prober,
        clock,
        pace: Pace::default(),
        losses: Losses::default(),
        flushed: false,
        trouble: None,
        last: None,
        counters: BTreeMap::new(),
        counted_at: None,
        gauges: Arc::default(),
        gauged_at: None,
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Before anybody is told that it is ready: a signal that nobody catches ends the process.
    let signals = runtime.block_on(async { hear(outbox.clone()) })?;
    let beats = beat(outbox.clone(), keeper.notify.interval());
    let (ended, end) = oneshot::channel();
    let looping = thread::Builder::new().name("reconcile".to_owned()).spawn(move || {
        keeper.run();
        // The API may have ended already.
        let _ = ended.send(());
    })?;
    let served = runtime.block_on(async {
        tokio::spawn(signals);
        tokio::spawn(beats);
        serve(socket, handle, access, asked, &outbox, end).await
    });
    outbox.stop();
    looping.join().map_err(|_| anyhow::anyhow!("the loop panicked"))?;
    served.map(|()| Ended::Told)
}

/// The API, until the loop has ended.
async fn serve(
    socket: Socket,
    handle: Handle,
    access: Access,
    mut asked: mpsc::Receiver<Request>,
    outbox: &Outbox,
    end: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let requests = outbox.clone();
    tokio::spawn(async move {
        while let Some(request) = asked.recv().await {
            requests.send(request);
        }
    });
    let over = async {
        // An error: the loop is gone, and with it the sender.
        let _ = end.await;
    };
    api::serve(socket, handle, access, Limits::default(), over).await.context("the API cannot be served")
}

/// Says that this thread lives, twice for each time that the watchdog is fed.
async fn beat(outbox: Outbox, fed: Option<Duration>) {
    let Some(fed) = fed else { return };
    loop {
        outbox.beat();
        tokio::time::sleep(fed / 2).await;
    }
}

/// Passes signals on. They are caught from now on.
fn hear(outbox: Outbox) -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => outbox.stop(),
                _ = interrupt.recv() => outbox.stop(),
                _ = hangup.recv() => outbox.reload(),
            }
        }
    })
}

fn open_state(config: &Config) -> anyhow::Result<State> {
    let directory = &config.daemon.state_dir;
    let mut state = State::open(directory)
        .with_context(|| format!("the state in {} cannot be used", directory.display()))?;
    if let Some(notice) = state.notice() {
        tracing::warn!("{notice}");
    }
    take_home(&mut state, directory)?;
    Ok(state)
}

fn access(daemon: &DaemonConfig) -> anyhow::Result<Access> {
    let group =
        group_id(&daemon.group).with_context(|| format!("group {} cannot be looked up", daemon.group))?;
    if group.is_none() {
        tracing::info!("there is no group {}: only root may change things over the API", daemon.group);
    }
    let readers = if daemon.readers_all { Readers::All } else { Readers::Group };
    Ok(Access { group, readers })
}

/// Half a daemon is worse than none: the service manager starts a whole one, and the tunnels stay meanwhile.
fn end_with_any_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    /// Panics where this variable says; run by the test below, in a process of its own.
    const WHERE: &str = "GREYHOUND_TEST_PANIC";

    #[test]
    #[ignore = "ends its process: the next test runs it in a child"]
    fn a_panic() {
        end_with_any_panic();
        let panics = || std::panic::panic_any("on purpose");
        match std::env::var(WHERE).as_deref() {
            Ok("thread") => drop(thread::spawn(panics).join()),
            Ok(place) => {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                let in_task = place == "task";
                let _ = runtime.block_on(async {
                    if in_task {
                        tokio::spawn(async move { panics() }).await
                    } else {
                        tokio::task::spawn_blocking(panics).await
                    }
                });
            }
            Err(_) => {}
        }
    }

    #[test]
    fn a_panic_in_any_thread_or_task_ends_the_process() {
        let own = std::env::current_exe().unwrap();
        for place in ["thread", "task", "blocking"] {
            let mut child = Command::new(&own);
            child
                .args(["--exact", "--ignored", "--nocapture", "daemon::start::tests::a_panic"])
                .env(WHERE, place);
            let output = child.output().unwrap();
            assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{place}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("on purpose"), "{place}");
        }
    }
}
