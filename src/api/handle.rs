//! The daemon as the API sees it: a snapshot to read, a queue to ask, events to follow.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::dto::{
    ConnectAsk, EventView, LatencyView, LeaseView, OutcomeView, PlanView, PoolsView, SessionView, StatusView,
    TunnelView,
};
use super::metrics::Gauges;
use super::metrics::listener::Listening;
use super::peer::Peer;
use crate::model::{Tally, TunnelName};
use std::net::Ipv4Addr;

/// All that the API has of the daemon. The loop holds the other ends.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Bounded: a full queue is answered with [`Failure::Busy`], and nobody waits for room in it.
    pub requests: mpsc::Sender<Request>,
    /// The latest wins; reading it never waits for the loop.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Who follows too slowly loses the oldest, and is told so.
    pub events: broadcast::Sender<EventView>,
    /// Where metrics are served besides.
    pub listening: Listening,
}

/// What the loop last knew.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Has the loop seen the kernel yet? Before, only the notes of the status say something: what is in its way.
    pub ready: bool,
    pub status: StatusView,
    pub leases: Vec<LeaseView>,
    pub pools: PoolsView,
    pub plan: PlanView,
    /// What was counted since the daemon began.
    pub tally: Tally,
    pub gauges: Arc<Gauges>,
}

/// Something that is asked of the loop.
#[derive(Debug)]
pub struct Request {
    pub command: Command,
    /// Who asks; that they may was checked.
    pub by: Peer,
    /// Closed when nobody waits any more: what was not begun by then is not wanted.
    pub reply: oneshot::Sender<Result<Answer, Failure>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Read the declaration again, and try all of it now, also what waits after it failed. Answer: [`Answer::Outcome`].
    Apply,
    /// Read the declaration again, and apply it. Answer: [`Answer::Outcome`].
    Reload,
    /// Look at the kernel, and work out what would change. Answer: [`Answer::Plan`].
    Plan,
    /// Take away what greyhound made. Answer: [`Answer::Outcome`].
    Flush { orphans: bool },
    /// The first `limit` events after `since`; without it the last `limit`. Oldest first. Answer: [`Answer::Events`].
    Events { since: Option<u64>, limit: usize },
    /// Read the counters, and put them into the snapshot. Answer: [`Answer::Counters`].
    Counters,
    /// The same, with all else that metrics are made of. Answer: [`Answer::Counters`].
    Metrics,
    /// What was measured, up to now. Answer: [`Answer::Latency`].
    Latency,
    /// Move a tunnel to another of its remotes. Answer: [`Answer::Tunnel`].
    Move { tunnel: TunnelName, to: Ipv4Addr },
    /// Move a tunnel by hand only from now on, or no longer. Answer: [`Answer::Tunnel`].
    Hold { tunnel: TunnelName, held: bool },
    /// Take a termination and addresses for a new session. Answer: [`Answer::Session`].
    Connect(Box<ConnectAsk>),
    /// End a session of this host. Answer: [`Answer::Session`].
    Disconnect { tunnel: TunnelName },
}

impl Command {
    /// May it change anything?
    pub fn changes(&self) -> bool {
        match self {
            Self::Apply
            | Self::Reload
            | Self::Flush { .. }
            | Self::Move { .. }
            | Self::Hold { .. }
            | Self::Connect(_)
            | Self::Disconnect { .. } => true,
            Self::Plan | Self::Events { .. } | Self::Counters | Self::Metrics | Self::Latency => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Outcome(OutcomeView),
    Plan(PlanView),
    Events(Vec<EventView>),
    /// They are in the snapshot.
    Counters,
    Latency(LatencyView),
    Tunnel(Box<TunnelView>),
    Session(Box<SessionView>),
}

/// Why something was not done; each text is one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The declaration is wrong, and nothing was changed.
    Declaration {
        sentence: String,
        /// Each mistake, as `check --json` prints it.
        problems: Vec<Value>,
        /// The same as text for people.
        text: Option<String>,
    },
    /// What was asked for is not there, or may not be.
    Wrong(String),
    /// Not now; later perhaps.
    Busy(String),
    /// It was begun, and nobody knows yet how it ended.
    Late(String),
    /// There is nothing that could be had, and why not, one by one.
    Nothing { sentence: String, reasons: Vec<String> },
    /// It was tried, and did not work.
    Failed(String),
}

impl Handle {
    /// Puts the command into the loop's queue and waits for the answer, `patience` at most.
    pub(super) async fn ask(
        &self,
        command: Command,
        by: Peer,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(Request { command, by, reply }).map_err(|refused| match refused {
            TrySendError::Full(_) => Failure::Busy("the daemon is busy: try again".to_owned()),
            TrySendError::Closed(_) => stopping(),
        })?;
        match timeout(patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(Failure::Late(format!(
                "no answer within {} s: what was asked may still be done",
                patience.as_secs_f32()
            ))),
        }
    }
}

fn stopping() -> Failure {
    Failure::Busy("the daemon is stopping".to_owned())
}
