//! The page over TCP, where that is declared: `GET /metrics`, and nothing else of the API. Whoever reaches the address
//! reads it; it costs a bounded number of connections of bounded size and time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::get;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::page;
use crate::api::peer::{Peer, Right};
use crate::api::routes::{Caller, Shared};
use crate::api::server::{Limits, converse};

/// Waits before an address that cannot be listened on is tried again: from, to.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A few Prometheus servers, and a person with curl.
const CONNECTIONS: usize = 8;
/// Bytes of a request's head; hyper takes no less than 8 KiB.
const HEAD: usize = 16 << 10;
/// Who scrapes has a deadline of its own, 10 s by default.
const STALL: Duration = Duration::from_secs(30);

/// Where to listen, and why nobody does: the API's end of it.
#[derive(Clone, Debug)]
pub struct Listening {
    wanted: watch::Receiver<Option<SocketAddr>>,
    trouble: watch::Sender<Option<String>>,
}

/// The daemon's end of it.
#[derive(Debug)]
pub struct Listener {
    wanted: watch::Sender<Option<SocketAddr>>,
    trouble: watch::Receiver<Option<String>>,
}

/// Both ends; `wanted` at first.
pub fn listening(wanted: Option<SocketAddr>) -> (Listener, Listening) {
    let (listen, wanted) = watch::channel(wanted);
    let (trouble, deaf) = watch::channel(None);
    (Listener { wanted: listen, trouble: deaf }, Listening { wanted, trouble })
}

impl Listener {
    /// Metrics are to be served there from now on.
    pub fn listen(&self, address: Option<SocketAddr>) {
        self.wanted.send_if_modified(|before| std::mem::replace(before, address) != address);
    }

    /// Why they are not served where they should be.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }
}

/// Listens where it is wanted until the API stops. What cannot be listened on is said, and tried again.
pub async fn keep(shared: Shared) {
    let Listening { mut wanted, trouble } = shared.daemon.listening.clone();
    let mut stopping = shared.stopping.clone();
    loop {
        let address = *wanted.borrow_and_update();
        tokio::select! {
            never = listen(address, &shared, &trouble) => match never {},
            changed = wanted.changed() => if changed.is_err() { return },
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        trouble.send_replace(None);
    }
}

async fn listen(
    address: Option<SocketAddr>,
    shared: &Shared,
    trouble: &watch::Sender<Option<String>>,
) -> Infallible {
    let Some(address) = address else { return std::future::pending().await };
    let listener = bound(address, trouble).await;
    trouble.send_replace(None);
    tracing::info!("metrics are served at http://{address}/metrics");
    serve(&listener, shared).await
}

async fn bound(address: SocketAddr, trouble: &watch::Sender<Option<String>>) -> TcpListener {
    let mut wait = RETRY.0;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                let text = sentence(address, &error);
                // What is said already is not said again.
                if trouble.send_replace(Some(text.clone())).as_ref() != Some(&text) {
                    tracing::warn!("{text}");
                }
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
    }
}

fn sentence(address: SocketAddr, error: &io::Error) -> String {
    format!("metrics are not served at {address}: {error}; it is tried again")
}

async fn serve(listener: &TcpListener, shared: &Shared) -> Infallible {
    let router = router(shared.clone());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut inside = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Who finds no place is closed on, and comes again with the next scrape.
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let talk = talk(stream, router.clone(), shared);
                    inside.spawn(async move {
                        talk.await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely: others must close theirs first.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
            Some(_) = inside.join_next() => {}
        }
    }
}

fn talk(stream: TcpStream, router: Router, shared: &Shared) -> impl Future<Output = ()> + use<> {
    let limits = Limits { head: HEAD, stall_time: STALL, ..shared.limits };
    // Nobody of this host: it may read the page, and that is all there is.
    let nobody = Caller { peer: Peer { uid: u32::MAX, pid: None, groups: Vec::new() }, right: Right::Read };
    converse(stream, nobody, TowerToHyperService::new(router), limits, shared.stopping.clone())
}

fn router(shared: Shared) -> Router {
    let unknown = |request: Request| async move {
        (StatusCode::NOT_FOUND, format!("there is no {}: metrics are at /metrics\n", request.uri().path()))
    };
    Router::new().route("/metrics", get(page::metrics)).fallback(unknown).with_state(shared)
}
