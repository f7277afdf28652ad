//! A real API on a socket of its own with a daemon made of paper behind it, and the program that talks to it.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use greyhound::api::dto::{
    BestView, CountersView, EventView, LatencyView, LeaseView, OutcomeView, PlanView, PoolView, PoolsView,
    ProbeView, RepairView, SessionView, StatusView, StepsView, TerminationView, TunnelState, TunnelView,
};
use greyhound::api::{
    Access, Answer, Command, Error, Failure, Handle, Limits, Readers, Request, Snapshot, Socket, serve,
};
use greyhound::model::TunnelName;
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(30);

/// A directory with a declaration in it that names a socket beside it.
pub struct Place {
    directory: TempDir,
}

/// A daemon that runs, on a thread and a runtime of its own.
pub struct Daemon {
    pub events: broadcast::Sender<EventView>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Error>>,
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Said {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A program that runs.
pub struct Running(pub Child);

impl Place {
    pub fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        // Others may come this far.
        std::fs::set_permissions(place.directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        place.declare("");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("api.sock")
    }

    pub fn file(&self) -> PathBuf {
        self.path("greyhound.toml")
    }

    pub fn declare(&self, more: &str) {
        let (socket, state) = (self.socket(), self.path("state"));
        let daemon = format!("[daemon]\nsocket = {socket:?}\nstate_dir = {state:?}\n");
        std::fs::write(self.file(), daemon + more).unwrap();
    }

    /// A daemon that runs with the declaration here.
    pub fn daemon(&self, events: Vec<EventView>) -> Daemon {
        self.daemon_of(&self.file(), events, TunnelState::Up)
    }

    pub fn daemon_of(&self, file: &Path, kept: Vec<EventView>, state: TunnelState) -> Daemon {
        let access = Access { group: Some(nix::unistd::getgid().as_raw()), readers: Readers::Group };
        let socket = Socket::bind(&self.socket(), &access).unwrap();
        let (requests, asked) = mpsc::channel(8);
        let (_publish, snapshot) = watch::channel(Arc::new(snapshot(file, state)));
        let (events, _) = broadcast::channel(16);
        let (stop, stopped) = oneshot::channel();
        let handle = Handle { requests, snapshot, events: events.clone() };
        let file = file.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::spawn(paper(asked, kept, file));
                let shutdown = async { stopped.await.unwrap_or(()) };
                serve(socket, handle, access, Limits::default(), shutdown).await
            })
        });
        Daemon { events, stop, thread }
    }

    /// The program, with the declaration here.
    pub fn program(&self, words: &str) -> Process {
        let mut process = greyhound(words);
        process.arg("--config").arg(self.file());
        process
    }

    pub fn run(&self, words: &str) -> Said {
        said(&mut self.program(words))
    }

    pub fn start(&self, words: &str) -> Running {
        Running(self.program(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }
}

impl Daemon {
    pub fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap().unwrap();
    }

    /// Says that something happened, once `count` listen.
    pub fn happens(&self, event: EventView, count: usize) {
        eventually("somebody listens", || self.events.receiver_count() >= count);
        self.events.send(event).unwrap();
    }
}

impl Running {
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Reads what it prints until `enough` is in it.
    pub fn until(&mut self, enough: &str) -> String {
        let out = self.0.stdout.as_mut().unwrap();
        let mut text = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&text).contains(enough) {
            assert!(
                out.read(&mut byte).unwrap() > 0,
                "no {enough:?} in {:?}",
                String::from_utf8_lossy(&text)
            );
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn greyhound(words: &str) -> Process {
    let mut process = Process::new(env!("CARGO_BIN_EXE_greyhound"));
    process.args(words.split_whitespace());
    process.env_remove("GREYHOUND_CONFIG").env_remove("GREYHOUND_SOCKET").env("NO_COLOR", "1");
    process
}

pub fn said(process: &mut Process) -> Said {
    let output = process.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.signal(), None);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < SOON, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Does as it is told on paper; a declaration that says `wrong` is.
async fn paper(mut asked: mpsc::Receiver<Request>, kept: Vec<EventView>, file: PathBuf) {
    while let Some(Request { command, by: _, reply }) = asked.recv().await {
        let wrong = std::fs::read_to_string(&file).is_ok_and(|text| text.contains("wrong"));
        let answer = match command {
            Command::Reload | Command::Apply if wrong => Err(mistake()),
            Command::Reload => Ok(Answer::Outcome(outcome("Reloaded on paper."))),
            Command::Counters => Ok(Answer::Counters),
            Command::Latency => Ok(Answer::Latency(latency())),
            Command::Move { tunnel, to } => {
                Ok(Answer::Tunnel(Box::new(TunnelView { remote: Some(to), ..named(&tunnel) })))
            }
            Command::Hold { tunnel, held } => {
                Ok(Answer::Tunnel(Box::new(TunnelView { probe: Some(probe(held)), ..named(&tunnel) })))
            }
            Command::Apply => Ok(Answer::Outcome(outcome("Applied on paper."))),
            Command::Flush { orphans } => {
                Ok(Answer::Outcome(outcome(&format!("Flushed on paper, orphans: {orphans}."))))
            }
            Command::Connect(ask) if ask.kind == "unicast" => {
                Ok(Answer::Session(Box::new(session("requested", 0))))
            }
            Command::Connect(_) => Err(Failure::Nothing {
                sentence: "no termination can be had".to_owned(),
                reasons: vec!["ams-1: it is full on paper".to_owned()],
            }),
            Command::Disconnect { .. } => Ok(Answer::Session(Box::new(session("ending", 0)))),
            Command::Plan => Ok(Answer::Plan(plan("Planned on paper."))),
            Command::Events { since, limit } => Ok(Answer::Events(select(&kept, since, limit))),
        };
        let _ = reply.send(answer);
    }
}

fn mistake() -> Failure {
    Failure::Declaration {
        sentence: "the declaration is wrong: what was in force stays".to_owned(),
        problems: vec![serde_json::json!({ "line": 4, "message": "a mistake" })],
        text: Some("error: a mistake\n --> line 4\n".to_owned()),
    }
}

fn select(kept: &[EventView], since: Option<u64>, limit: usize) -> Vec<EventView> {
    match since {
        Some(since) => kept.iter().filter(|event| event.seq > since).take(limit).cloned().collect(),
        None => kept.iter().skip(kept.len().saturating_sub(limit)).cloned().collect(),
    }
}

pub fn event(seq: u64, at_ms: u64) -> EventView {
    let text = format!("happening {seq} was put right");
    EventView { seq, at_ms, kind: "repair".to_owned(), tunnel: Some("ams".to_owned()), text }
}

fn plan(summary: &str) -> PlanView {
    PlanView { summary: summary.to_owned(), ..PlanView::default() }
}

fn outcome(summary: &str) -> OutcomeView {
    OutcomeView { summary: summary.to_owned(), done: 1, failed: vec![], elapsed_ms: 2, left: plan("") }
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
        best: Some(BestView {
            device: "fra-1".to_owned(),
            termination: [203, 0, 113, 8].into(),
            latency_ms: 1.2,
            why: "session host-2/unicast has it".to_owned(),
        }),
    }
}

fn snapshot(file: &Path, state: TunnelState) -> Snapshot {
    let status = StatusView {
        version: "0".to_owned(),
        config: file.display().to_string(),
        tunnels: vec![tunnel(state)],
        sessions: vec![session("ready", 3)],
        orphans: vec![],
        notes: vec![],
    };
    let lease = LeaseView {
        prefix: "198.51.100.8/32".to_owned(),
        pool: "loopbacks".to_owned(),
        holder: "tunnel/ams".to_owned(),
        purpose: "termination".to_owned(),
        state: "active".to_owned(),
        since: 1,
    };
    let pools = PoolsView { rule: vec!["Lowest first.".to_owned()], pools: vec![pool()], strays: vec![] };
    Snapshot { ready: true, status, leases: vec![lease], pools, plan: plan("As last seen.") }
}

fn pool() -> PoolView {
    PoolView {
        name: "loopbacks".to_owned(),
        purpose: "termination".to_owned(),
        tier: "primary".to_owned(),
        total: 8,
        excluded: 0,
        active: 1,
        resting: 0,
        foreign: 0,
        free: 7,
        quota: None,
        next: "198.51.100.9".to_owned(),
        parts: vec![],
    }
}

fn named(name: &TunnelName) -> TunnelView {
    TunnelView { name: name.to_string(), ..tunnel(TunnelState::Up) }
}

fn tunnel(state: TunnelState) -> TunnelView {
    let counters = CountersView {
        rx_bytes: 1536,
        rx_packets: 12,
        rx_errors: 0,
        tx_bytes: 20_480,
        tx_packets: 34,
        tx_errors: 0,
    };
    TunnelView {
        name: "ams".to_owned(),
        kind: Some("unicast".to_owned()),
        state,
        reasons: vec![],
        link: "gh-ams".to_owned(),
        ifindex: Some(7),
        local: Some([198, 51, 100, 8].into()),
        pool: Some("loopbacks".to_owned()),
        remote: Some([192, 0, 2, 1].into()),
        remotes: vec![[192, 0, 2, 1].into()],
        key: None,
        overlay: Some("169.254.10.0/31".to_owned()),
        peer: None,
        mtu: Some(1476),
        overhead: 24,
        vrf: None,
        client: None,
        routes: vec![],
        groups: vec![],
        counters: Some(counters),
        up_since: Some(1),
        last_repair: Some(RepairView { at_ms: 2000, cause: "the link was deleted".to_owned() }),
        probe: None,
    }
}

fn latency() -> LatencyView {
    let termination = TerminationView {
        device: "ams".to_owned(),
        interface: "-".to_owned(),
        termination: [192, 0, 2, 1].into(),
        source: None,
        in_use: true,
        latency_ms: None,
        result: "nobody knows".to_owned(),
        shunned: None,
        methods: vec![],
    };
    LatencyView {
        at_ms: 7,
        terminations: vec![termination],
        not_believed: Default::default(),
        reflector: None,
    }
}

fn probe(held: bool) -> ProbeView {
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
