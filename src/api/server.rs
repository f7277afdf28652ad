//! Connections: how many at once, how large, how long. One that misbehaves costs its own place only.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::VERSION;
use super::handle::Handle;
use super::metrics::listener;
use super::patient::Patient;
use super::peer::{Access, Peer, Right};
use super::routes::{Caller, Shared, router};
use super::socket::Socket;

/// What a client may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Of these, what those have who may only read: a place is left for who may change things.
    pub readers: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of its body.
    pub body: usize,
    /// For the head to come; also how long a connection may be idle.
    pub head_time: Duration,
    /// For the body to come.
    pub body_time: Duration,
    /// For a client to take what is written to it.
    pub stall_time: Duration,
    /// For the loop to answer what changes nothing.
    pub read_time: Duration,
    /// For the loop to do what is asked.
    pub change_time: Duration,
    /// For what goes on when the server stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            readers: 32,
            head: 64 << 10,
            body: 1 << 20,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            stall_time: Duration::from_secs(60),
            read_time: Duration::from_secs(10),
            change_time: Duration::from_secs(60),
            farewell: Duration::from_secs(5),
        }
    }
}

/// Why the server ended other than by being told to.
#[derive(Debug, Error)]
pub enum Error {
    #[error("the socket cannot be listened on")]
    Listen(#[from] io::Error),
    #[error("the API panicked")]
    Panic(#[source] JoinError),
}

/// Serves until `shutdown`, then ends every stream, lets what is begun end, and removes the socket's file.
pub async fn serve(
    socket: Socket,
    daemon: Handle,
    access: Access,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let Socket { listener, file } = socket;
    let listener = UnixListener::from_std(listener)?;
    let (stop, stopping) = watch::channel(false);
    // One asks while the other's answer is being written out.
    let askers = Arc::new(Semaphore::new(2));
    let writers = Arc::new(Semaphore::new(2));
    let shared = Shared { daemon, limits, askers, writers, stopping: stopping.clone() };
    let mut door = Door {
        router: router(shared.clone()),
        access,
        limits,
        stopping,
        places: Arc::new(Semaphore::new(limits.connections)),
        readers: Arc::new(Semaphore::new(limits.readers)),
        turned_away: Arc::new(Semaphore::new(limits.connections)),
        inside: JoinSet::new(),
    };
    door.inside.spawn(listener::keep(shared));
    door.keep(&listener, shutdown).await?;
    // No file without a listener: who comes now hears that no daemon runs.
    drop((file, listener));
    let _ = stop.send(true);
    let _ = timeout(limits.farewell, async { while door.inside.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Where connections come in.
struct Door {
    router: Router,
    access: Access,
    limits: Limits,
    stopping: watch::Receiver<bool>,
    places: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    /// Ends with the door.
    inside: JoinSet<()>,
}

/// Held as long as the connection is there.
type Place = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl Door {
    async fn keep(
        &mut self,
        listener: &UnixListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.admit(stream),
                    // Out of descriptors, most likely: others must close theirs first.
                    Err(_) => sleep(Duration::from_millis(100)).await,
                },
                Some(ended) = self.inside.join_next() => ended.map_err(Error::Panic)?,
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) {
        // A client that has gone already has no name, and needs no answer.
        let Ok(peer) = Peer::of(&stream) else { return };
        let right = self.access.right(&peer);
        match self.place(right) {
            Some(place) => {
                let router = TowerToHyperService::new(self.router.clone());
                let (limits, stopping) = (self.limits, self.stopping.clone());
                let talk = converse(stream, Caller { peer, right }, router, limits, stopping);
                self.inside.spawn(async move {
                    talk.await;
                    drop(place);
                });
            }
            None => self.turn_away(stream),
        }
    }

    fn place(&self, right: Right) -> Option<Place> {
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let among_readers = match right {
            Right::Change => None,
            Right::Read | Right::Nothing => Some(take(&self.readers)?),
        };
        Some((take(&self.places)?, among_readers))
    }

    /// Says 503 at once. What the client still sends is read for a moment: closing on it would look like a crash.
    fn turn_away(&mut self, mut stream: UnixStream) {
        let Ok(turn) = Arc::clone(&self.turned_away).try_acquire_owned() else {
            // A whole crowd: the answer goes into the socket's buffer, and nothing is waited for.
            let _ = stream.into_std().and_then(|mut stream| stream.write_all(full_house().as_bytes()));
            return;
        };
        self.inside.spawn(async move {
            let _ = timeout(Duration::from_secs(1), async {
                stream.write_all(full_house().as_bytes()).await?;
                stream.shutdown().await?;
                let mut heard = [0; 4096];
                while stream.read(&mut heard).await? > 0 {}
                io::Result::Ok(())
            })
            .await;
            drop(turn);
        });
    }
}

fn full_house() -> String {
    let body = r#"{"error":"too many clients at once: try again","problems":[],"text":null}"#;
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         {}: {VERSION}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        super::VERSION_HEADER,
        body.len()
    )
}

/// One connection, from its first request to its end.
pub(super) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    caller: Caller,
    router: TowerToHyperService<Router>,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(caller.clone());
        router.call(request.map(Body::new))
    });
    let stream = TokioIo::new(Patient::new(stream, limits.stall_time));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head);
    let mut connection = std::pin::pin!(http.serve_connection(stream, service));
    // How a connection ends is the client's business: an error here is one of his.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stopping| *stopping) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
