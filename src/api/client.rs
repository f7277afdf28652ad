//! The other end, for `cli`. It looks blocking: every call waits. Not for use inside an async task.

use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::dto::{
    ConnectAsk, ErrorView, EventView, FlushAsk, LatencyView, LeaseView, LostView, MoveAsk, NothingAsk,
    OutcomeView, PlanView, PoolsView, SessionView, StatusView, TunnelView, VersionView,
};
use super::frames::{Frame, Frames};
use super::metrics::Format;
use super::{VERSION, VERSION_HEADER};
use crate::model::TunnelName;

/// Longer than the server lets anything take, and than it is silent in a stream.
const PATIENCE: Duration = Duration::from_secs(75);

const JSON: &str = "application/json";

/// The status of [`Error::Refused`] when it is the declaration that is wrong.
pub const WRONG_DECLARATION: u16 = 422;

/// The status of [`Error::Refused`] when what was asked for is not there.
const NOT_THERE: u16 = 404;

/// Why there is no answer, and what to do about it.
#[derive(Debug, Error)]
pub enum Error {
    #[error("the daemon does not run: nobody listens on {path} (start it with `systemctl start greyhound`)", path = .0.display())]
    NotRunning(PathBuf),
    #[error("permission denied on {path}: be root, or in group greyhound", path = .0.display())]
    Denied(PathBuf),
    #[error("the daemon has too many clients at once: try again")]
    Crowded,
    #[error("cannot connect to {path}", path = .path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error(
        "the daemon speaks version {theirs} of the API and this program version {VERSION}: \
        restart the daemon, so that both are of one release"
    )]
    Version { theirs: String },
    /// The daemon's own sentence.
    #[error("{}", .view.error)]
    Refused { status: u16, view: ErrorView },
    #[error("the daemon ended the conversation")]
    Broken(#[source] hyper::Error),
    #[error("the daemon has been silent for {} s", PATIENCE.as_secs())]
    Silent,
    #[error("the daemon's answer is not understood")]
    Answer(#[from] serde_json::Error),
    #[error("this program cannot talk to the daemon")]
    Own(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A way to the daemon. Each call is a connection of its own, so a daemon that was restarted does not matter.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

/// What a stream of events says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Event(EventView),
    /// Events that this client will not hear of here; [`Client::history`] may have them still.
    Lost(LostView),
}

/// Waits for each event; ends with the daemon.
#[derive(Debug)]
pub struct Events<'a> {
    runtime: &'a Runtime,
    body: Incoming,
    frames: Frames,
}

impl Client {
    /// Errors when no daemon answers there, or one that speaks another version.
    pub fn connect(socket: &Path) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let client =
            Self { socket: socket.to_owned(), runtime: runtime.map_err(|error| Error::Own(error.into()))? };
        client.version()?;
        Ok(client)
    }

    /// Where the daemon listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn version(&self) -> Result<VersionView, Error> {
        self.get("/v1/version")
    }

    pub fn status(&self) -> Result<StatusView, Error> {
        self.get("/v1/status")
    }

    pub fn tunnels(&self) -> Result<Vec<TunnelView>, Error> {
        self.get("/v1/tunnels")
    }

    pub fn tunnel(&self, name: &TunnelName) -> Result<TunnelView, Error> {
        self.get(&format!("/v1/tunnels/{name}"))
    }

    pub fn move_tunnel(&self, name: &TunnelName, to: Ipv4Addr) -> Result<TunnelView, Error> {
        self.post(&format!("/v1/tunnels/{name}/move"), &MoveAsk { to })
    }

    /// By hand only from now on, or no longer.
    pub fn hold(&self, name: &TunnelName, held: bool) -> Result<TunnelView, Error> {
        let verb = if held { "hold" } else { "unhold" };
        self.post(&format!("/v1/tunnels/{name}/{verb}"), &NothingAsk {})
    }

    /// What was measured, up to now.
    pub fn latency(&self) -> Result<LatencyView, Error> {
        self.get("/v1/latency")
    }

    /// The sessions of this host, or with this device.
    pub fn sessions(&self) -> Result<Vec<SessionView>, Error> {
        self.get("/v1/sessions")
    }

    /// Begins a session. Both ends build it after that: [`Self::session_after`] says how far they have come.
    pub fn connect_session(&self, ask: &ConnectAsk) -> Result<SessionView, Error> {
        self.post("/v1/sessions", ask)
    }

    /// Ends a session of this host. It is gone when its edge says so.
    pub fn disconnect_session(&self, tunnel: &TunnelName) -> Result<SessionView, Error> {
        self.call(Method::DELETE, &format!("/v1/sessions/{tunnel}"), Bytes::new())
    }

    /// The session once it is otherwise than `known`, or as it is after `wait`, 30 s at most. `None`: it is gone.
    pub fn session_after(&self, known: &SessionView, wait: Duration) -> Result<Option<SessionView>, Error> {
        let SessionView { tunnel, state, steps, .. } = known;
        let (wait, steps) = (wait.as_millis(), steps.count());
        match self.get(&format!("/v1/sessions/{tunnel}?wait_ms={wait}&state={state}&steps={steps}")) {
            Ok(session) => Ok(Some(session)),
            Err(Error::Refused { status: NOT_THERE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn pools(&self) -> Result<PoolsView, Error> {
        self.get("/v1/pools")
    }

    /// All metrics as text, in this format.
    pub fn metrics(&self, format: Format) -> Result<String, Error> {
        let bytes = self.bytes(Method::GET, "/v1/metrics", Bytes::new(), format.content_type())?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn leases(&self) -> Result<Vec<LeaseView>, Error> {
        self.get("/v1/leases")
    }

    /// What would change in the kernel as it is now.
    pub fn plan(&self) -> Result<PlanView, Error> {
        self.get("/v1/plan")
    }

    pub fn apply(&self) -> Result<OutcomeView, Error> {
        self.post("/v1/apply", &NothingAsk {})
    }

    pub fn reload(&self) -> Result<OutcomeView, Error> {
        self.post("/v1/reload", &NothingAsk {})
    }

    pub fn flush(&self, orphans: bool) -> Result<OutcomeView, Error> {
        self.post("/v1/flush", &FlushAsk { orphans })
    }

    /// The first `limit` events after `since`; without it the last `limit`. Oldest first.
    pub fn history(&self, since: Option<u64>, limit: usize) -> Result<Vec<EventView>, Error> {
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        self.get(&format!("/v1/events/history?limit={limit}{since}"))
    }

    /// Events as they happen, after those that are kept and came after `since`.
    pub fn events(&self, since: Option<u64>) -> Result<Events<'_>, Error> {
        let query = since.map(|since| format!("?since={since}")).unwrap_or_default();
        let path = format!("/v1/events{query}");
        let answer = self.runtime.block_on(patiently(self.exchange(
            Method::GET,
            &path,
            Bytes::new(),
            "text/event-stream",
        )))?;
        let body = answer.into_body();
        Ok(Events { runtime: &self.runtime, body, frames: Frames::default() })
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.call(Method::GET, path, Bytes::new())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, ask: &impl Serialize) -> Result<T, Error> {
        self.call(Method::POST, path, serde_json::to_vec(ask)?.into())
    }

    fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Error> {
        Ok(serde_json::from_slice(&self.bytes(method, path, body, JSON)?)?)
    }

    fn bytes(&self, method: Method, path: &str, body: Bytes, accept: &str) -> Result<Bytes, Error> {
        self.runtime.block_on(patiently(async {
            let answer = self.exchange(method, path, body, accept).await?;
            Ok(answer.into_body().collect().await.map_err(Error::Broken)?.to_bytes())
        }))
    }

    /// Asks, and sees to it that the answer is one: of this version, and no refusal.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        accept: &str,
    ) -> Result<Response<Incoming>, Error> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::Broken)?;
        // Its end is seen in the answer's.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(HOST, "greyhound");
        let request = request.header(CONTENT_TYPE, JSON).header(ACCEPT, accept).body(Full::new(body));
        let request = request.map_err(|error| Error::Own(error.into()))?;
        let answer = sender.send_request(request).await.map_err(Error::Broken)?;
        let theirs = answer
            .headers()
            .get(VERSION_HEADER)
            .map_or("none".into(), |v| String::from_utf8_lossy(v.as_bytes()));
        if theirs != VERSION.to_string() {
            return Err(Error::Version { theirs: theirs.into_owned() });
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.into_body().collect().await.map_err(Error::Broken)?.to_bytes();
        Err(Error::Refused { status: status.as_u16(), view: serde_json::from_slice(&bytes)? })
    }

    fn unreachable(&self, source: io::Error) -> Error {
        let path = self.socket.clone();
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::NotRunning(path),
            ErrorKind::PermissionDenied => Error::Denied(path),
            // EAGAIN: more wait to be let in than the kernel keeps (unix(7)).
            ErrorKind::WouldBlock => Error::Crowded,
            _ => Error::Connect { path, source },
        }
    }
}

impl Iterator for Events<'_> {
    type Item = Result<Heard, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(frame) = self.frames.pop() {
                return Some(heard(&frame));
            }
            let (runtime, body) = (self.runtime, &mut self.body);
            let more =
                runtime.block_on(patiently(async { body.frame().await.transpose().map_err(Error::Broken) }));
            match more.transpose()? {
                Ok(more) => self.frames.push(more.data_ref().map_or(&[], |data| data)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn heard(frame: &Frame) -> Result<Heard, Error> {
    match frame.name.as_str() {
        "lost" => Ok(Heard::Lost(serde_json::from_str(&frame.data)?)),
        _ => Ok(Heard::Event(serde_json::from_str(&frame.data)?)),
    }
}

async fn patiently<T>(talk: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(PATIENCE, talk).await.unwrap_or(Err(Error::Silent))
}
