//! A server on a socket of its own with a daemon made of paper behind it, and callers of every kind.

mod access;
mod bounds;
mod listening;
mod routes;
mod stream;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::client::Client;
use super::dto::{
    EventView, FilterView, LatencyView, LeaseView, OutcomeView, PlanView, PoolsView, ProbeView, SessionView,
    StatusView, StepsView, TunnelState, TunnelView,
};
use crate::model::Tally;

use super::{
    Access, Answer, Command, Error, Failure, Handle, Limits, Listener, Readers, Request, Snapshot, Socket,
    listening, serve,
};

/// Longer than any answer here takes.
const SOON: Duration = Duration::from_secs(20);

/// What the server of a test is like.
struct Stage {
    access: Access,
    limits: Limits,
    snapshot: Snapshot,
    /// What the store has of events.
    kept: Vec<EventView>,
    /// Takes requests and never answers.
    deaf: bool,
    queue: usize,
}

impl Default for Stage {
    fn default() -> Self {
        let access = Access { group: None, readers: Readers::Group };
        let kept = (1..=5).map(event).collect();
        Self { access, limits: Limits::default(), snapshot: snapshot(), kept, deaf: false, queue: 8 }
    }
}

/// A server that runs, on a thread and a runtime of its own.
struct Running {
    path: PathBuf,
    events: broadcast::Sender<EventView>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Error>>,
    /// Metrics by TCP.
    listener: Listener,
    _directory: tempfile::TempDir,
}

impl Stage {
    fn start(self) -> Running {
        let Self { access, limits, snapshot, kept, deaf, queue } = self;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/api.sock");
        let socket = Socket::bind(&path, &access).unwrap();
        // Others may come this far.
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let (requests, asked) = mpsc::channel(queue);
        let (_publish, snapshot) = watch::channel(Arc::new(snapshot));
        let (events, _) = broadcast::channel(16);
        let (stop, stopped) = oneshot::channel();
        let (listener, listening) = listening(None);
        let handle = Handle { requests, snapshot, events: events.clone(), listening };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::spawn(paper(asked, kept, deaf));
                let shutdown = async { stopped.await.unwrap_or(()) };
                serve(socket, handle, access, limits, shutdown).await
            })
        });
        Running { path, events, stop, thread, listener, _directory: directory }
    }
}

impl Running {
    fn client(&self) -> Client {
        Client::connect(&self.path).unwrap()
    }

    /// One request on a connection of its own.
    fn say(&self, method: &str, target: &str, body: &str) -> Said {
        let length = body.len();
        self.raw(&format!("{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"))
    }

    fn raw(&self, request: &str) -> Said {
        let mut stream = dial(&self.path);
        // A server that refuses early stops reading.
        let _ = stream.write_all(request.as_bytes());
        hear(&mut stream)
    }

    fn stop(self) -> Result<(), Error> {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

/// An answer.
#[derive(Debug)]
struct Said {
    status: u16,
    head: String,
    json: Value,
}

impl Said {
    fn error(&self) -> &str {
        self.json["error"].as_str().unwrap_or_default()
    }
}

fn dial(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Reads to the end of the connection.
fn hear(stream: &mut UnixStream) -> Said {
    let mut bytes = Vec::new();
    let mut piece = [0; 65536];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            // What was sent to a server that has closed: what it said before stands.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Said { status, head: head.to_owned(), json: serde_json::from_str(body).unwrap_or(Value::Null) }
}

/// The daemon of these tests: a reload finds a mistake, the rest succeeds.
async fn paper(mut asked: mpsc::Receiver<Request>, kept: Vec<EventView>, deaf: bool) {
    let mut unanswered = Vec::new();
    while let Some(Request { command, by, reply }) = asked.recv().await {
        if deaf {
            unanswered.push(reply);
            continue;
        }
        let answer = match command {
            Command::Apply => Ok(Answer::Outcome(outcome(&format!("applied for {}", by.uid)))),
            Command::Flush { orphans } => {
                Ok(Answer::Outcome(outcome(&format!("flushed, orphans {orphans}"))))
            }
            Command::Counters | Command::Metrics => Ok(Answer::Counters),
            Command::Latency => Ok(Answer::Latency(latency())),
            Command::Move { tunnel, to } => {
                Ok(Answer::Tunnel(Box::new(TunnelView { remote: Some(to), ..self::tunnel(tunnel.as_str()) })))
            }
            Command::Hold { tunnel, held } => Ok(Answer::Tunnel(Box::new(TunnelView {
                probe: Some(probe(held)),
                ..self::tunnel(tunnel.as_str())
            }))),
            Command::Connect(ask) if ask.kind == "unicast" => {
                Ok(Answer::Session(Box::new(session("requested", 0))))
            }
            Command::Connect(_) => Err(Failure::Nothing {
                sentence: "no termination can be had".to_owned(),
                reasons: vec!["ams-1: it is full".to_owned()],
            }),
            Command::Disconnect { .. } => Ok(Answer::Session(Box::new(session("ending", 2)))),
            Command::Plan => Ok(Answer::Plan(plan("fresh"))),
            Command::Events { since, limit } => Ok(Answer::Events(select(&kept, since, limit))),
            Command::Reload => Err(Failure::Declaration {
                sentence: "the declaration has a mistake".to_owned(),
                problems: vec![serde_json::json!({ "line": 3 })],
                text: Some("line 3".to_owned()),
            }),
        };
        let _ = reply.send(answer);
    }
}

fn select(kept: &[EventView], since: Option<u64>, limit: usize) -> Vec<EventView> {
    match since {
        Some(since) => kept.iter().filter(|event| event.seq > since).take(limit).cloned().collect(),
        None => kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect(),
    }
}

fn event(seq: u64) -> EventView {
    EventView {
        seq,
        at_ms: 1000 * seq,
        kind: "repair".to_owned(),
        tunnel: None,
        text: format!("event {seq}\nput right"),
    }
}

fn plan(summary: &str) -> PlanView {
    PlanView { summary: summary.to_owned(), ..PlanView::default() }
}

fn outcome(summary: &str) -> OutcomeView {
    OutcomeView {
        summary: summary.to_owned(),
        done: 1,
        failed: vec![],
        elapsed_ms: 2,
        left: plan("nothing to do"),
    }
}

pub fn snapshot() -> Snapshot {
    let status = StatusView {
        version: "0".to_owned(),
        config: "greyhound.toml".to_owned(),
        tunnels: vec![tunnel("t1"), tunnel("t2")],
        sessions: vec![session("edge-ready", 1)],
        orphans: vec![],
        notes: vec![],
        filter: FilterView::default(),
    };
    let lease = LeaseView {
        prefix: "10.0.0.1/32".to_owned(),
        pool: "p".to_owned(),
        holder: "t1".to_owned(),
        purpose: "termination".to_owned(),
        state: "active".to_owned(),
        since: 1,
    };
    let pools = PoolsView { rule: vec!["lowest first".to_owned()], pools: vec![], strays: vec![] };
    let (tally, gauges) = (Tally::default(), Arc::default());
    Snapshot { ready: true, status, leases: vec![lease], pools, plan: plan("as last seen"), tally, gauges }
}

/// So many of its steps were seen.
pub fn session(state: &str, steps: usize) -> SessionView {
    SessionView {
        session: "host-1/unicast".to_owned(),
        tunnel: "unicast".to_owned(),
        kind: "unicast".to_owned(),
        device: "ams-1".to_owned(),
        termination: [198, 51, 100, 8].into(),
        overlay: "169.254.10.0/31".to_owned(),
        client: [203, 0, 113, 7].into(),
        bound: [192, 0, 2, 10].into(),
        public: None,
        publish: vec![],
        subscribe: vec![],
        state: state.to_owned(),
        since: 1,
        steps: StepsView { edge_ready: steps > 0, link_up: steps > 1, answered: steps > 2 },
        reasons: vec![],
        latency_ms: Some(1.5),
        best: None,
    }
}

/// Also what the tests of other rooms show.
pub fn tunnel(name: &str) -> TunnelView {
    TunnelView {
        name: name.to_owned(),
        kind: Some("unicast".to_owned()),
        state: TunnelState::Up,
        reasons: vec![],
        link: format!("gh-{name}"),
        ifindex: Some(7),
        local: Some([192, 0, 2, 1].into()),
        pool: None,
        remote: Some([192, 0, 2, 2].into()),
        remotes: vec![[192, 0, 2, 2].into()],
        key: None,
        overlay: None,
        peer: None,
        mtu: Some(1476),
        overhead: 24,
        vrf: None,
        client: None,
        routes: vec![],
        groups: vec![],
        counters: None,
        up_since: None,
        last_repair: None,
        probe: None,
    }
}

fn latency() -> LatencyView {
    LatencyView { at_ms: 7, terminations: Vec::new(), not_believed: Default::default(), reflector: None }
}

pub fn probe(held: bool) -> ProbeView {
    ProbeView {
        liveness: "up".to_owned(),
        liveness_why: None,
        inside_ms: Some(1.5),
        latency_ms: Some(1.5),
        latency_why: None,
        decision: None,
        decided: None,
        held,
    }
}
