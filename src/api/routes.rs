//! Paths, and what each answers. Reads take what the loop last published; the rest is asked of the loop.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use utoipa::IntoParams;

use super::ask::{Params, Payload, bad};
use super::dto::{
    ErrorView, EventView, FlushAsk, LatencyView, LeaseView, MoveAsk, NothingAsk, OutcomeView, PlanView,
    PoolsView, StatusView, TunnelView, VersionView,
};
use super::handle::{Answer, Command, Handle, Snapshot};
use super::peer::{Peer, Right};
use super::reply::{Refusal, json, raw_json};
use super::server::Limits;
use crate::model::TunnelName;

use super::metrics::page;
use super::{MOST_EVENTS, VERSION, VERSION_HEADER, events, openapi, sessions};

/// What every handler may use.
#[derive(Clone, Debug)]
pub struct Shared {
    pub daemon: Handle,
    pub limits: Limits,
    /// So few of those who may only read ask the loop at once: they must not fill its queue.
    pub askers: Arc<Semaphore>,
    /// So many pages of metrics are written at once: of thousands of tunnels each is many megabytes.
    pub writers: Arc<Semaphore>,
    pub stopping: watch::Receiver<bool>,
}

/// Who asks: in every request, from its connection.
#[derive(Clone, Debug)]
pub struct Caller {
    pub peer: Peer,
    pub right: Right,
}

/// So long a reader waits for fresh counters.
const COUNTERS_TIME: Duration = Duration::from_millis(250);

pub(super) type Answered = Result<Response, Refusal>;

pub fn router(shared: Shared) -> Router {
    let routes =
        table().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    let unknown = |request: Request| async move {
        Refusal::new(StatusCode::NOT_FOUND, format!("there is no {}", request.uri().path()))
    };
    let wrong_method = |request: Request| async move {
        let sentence = format!("{} does not take {}", request.uri().path(), request.method());
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
    };
    let routes = routes.fallback(unknown).method_not_allowed_fallback(wrong_method);
    routes.layer(from_fn(envelope)).with_state(shared)
}

/// Every path; `openapi` describes the same ones, and a test compares.
pub fn table() -> Vec<(&'static str, MethodRouter<Shared>)> {
    vec![
        ("/v1/status", get(status)),
        ("/v1/tunnels", get(tunnels)),
        ("/v1/tunnels/{name}", get(tunnel)),
        ("/v1/tunnels/{name}/move", post(move_tunnel)),
        ("/v1/tunnels/{name}/hold", post(hold)),
        ("/v1/tunnels/{name}/unhold", post(unhold)),
        ("/v1/latency", get(latency)),
        ("/v1/pools", get(pools)),
        ("/v1/leases", get(leases)),
        ("/v1/sessions", get(sessions::list).post(sessions::connect)),
        ("/v1/sessions/{tunnel}", get(sessions::one).delete(sessions::disconnect)),
        ("/v1/plan", get(plan)),
        ("/v1/metrics", get(page::metrics)),
        ("/v1/version", get(version)),
        ("/v1/events", get(events::stream)),
        ("/v1/events/history", get(history)),
        ("/v1/apply", post(apply)),
        ("/v1/reload", post(reload)),
        ("/v1/flush", post(flush)),
        ("/v1/openapi.json", get(description)),
    ]
}

/// Around every request: who may not is refused before the body is read, and every answer says the version.
async fn envelope(Extension(caller): Extension<Caller>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let needed = if reads { Right::Read } else { Right::Change };
    let mut response = if caller.right < needed {
        let verb = if reads { "read" } else { "change things" };
        let sentence = format!("uid {} may not {verb}: be root, or in greyhound's group", caller.peer.uid);
        Refusal::new(StatusCode::FORBIDDEN, sentence).into_response()
    } else {
        next.run(request).await
    };
    response.headers_mut().insert(VERSION_HEADER, HeaderValue::from(VERSION));
    response
}

/// This host's tunnels at a glance.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = StatusView), (status = 503, body = ErrorView)))]
pub async fn status(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Answered {
    let seen = shared.counted(&caller).await?;
    json(move || seen.status.clone()).await
}

/// Every tunnel, as declared and as it is.
#[utoipa::path(get, path = "/v1/tunnels", responses((status = 200, body = Vec<TunnelView>), (status = 503, body = ErrorView)))]
pub async fn tunnels(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Answered {
    let seen = shared.counted(&caller).await?;
    json(move || seen.status.tunnels.clone()).await
}

/// One tunnel.
#[utoipa::path(get, path = "/v1/tunnels/{name}", params(("name" = String, Path)),
    responses((status = 200, body = TunnelView), (status = 404, body = ErrorView), (status = 503, body = ErrorView)))]
pub async fn tunnel(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
) -> Answered {
    let seen = shared.counted(&caller).await?;
    let Path(name) = name.map_err(|error| bad(error.body_text()))?;
    let found = seen.status.tunnels.iter().find(|tunnel| tunnel.name == name).cloned();
    match found {
        Some(tunnel) => json(move || tunnel).await,
        None => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no tunnel {name:?}"))),
    }
}

/// Move a tunnel to another of its remotes, also while it is held. It may be moved again by what is measured.
#[utoipa::path(post, path = "/v1/tunnels/{name}/move", params(("name" = String, Path)), request_body = MoveAsk,
    responses((status = 200, body = TunnelView), (status = 400, body = ErrorView), (status = 403, body = ErrorView),
        (status = 500, body = ErrorView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn move_tunnel(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    Payload(MoveAsk { to }): Payload<MoveAsk>,
) -> Answered {
    let command = Command::Move { tunnel: named(name)?, to };
    shared.answer(command, &caller).await
}

/// From now on the tunnel is moved by hand only.
#[utoipa::path(post, path = "/v1/tunnels/{name}/hold", params(("name" = String, Path)), request_body = NothingAsk,
    responses((status = 200, body = TunnelView), (status = 400, body = ErrorView), (status = 403, body = ErrorView),
        (status = 500, body = ErrorView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn hold(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    Payload(NothingAsk {}): Payload<NothingAsk>,
) -> Answered {
    shared.answer(Command::Hold { tunnel: named(name)?, held: true }, &caller).await
}

/// From now on the tunnel is moved by what is measured, too.
#[utoipa::path(post, path = "/v1/tunnels/{name}/unhold", params(("name" = String, Path)), request_body = NothingAsk,
    responses((status = 200, body = TunnelView), (status = 400, body = ErrorView), (status = 403, body = ErrorView),
        (status = 500, body = ErrorView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn unhold(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    Payload(NothingAsk {}): Payload<NothingAsk>,
) -> Answered {
    shared.answer(Command::Hold { tunnel: named(name)?, held: false }, &caller).await
}

/// How far away every termination is, by device, the best first.
#[utoipa::path(get, path = "/v1/latency",
    responses((status = 200, body = LatencyView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn latency(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Answered {
    shared.answer(Command::Latency, &caller).await
}

/// The state of every pool, and how addresses are chosen.
#[utoipa::path(get, path = "/v1/pools", responses((status = 200, body = PoolsView), (status = 503, body = ErrorView)))]
pub async fn pools(State(shared): State<Shared>) -> Answered {
    let seen = shared.seen()?;
    json(move || seen.pools.clone()).await
}

/// Every lease.
#[utoipa::path(get, path = "/v1/leases", responses((status = 200, body = Vec<LeaseView>), (status = 503, body = ErrorView)))]
pub async fn leases(State(shared): State<Shared>) -> Answered {
    let seen = shared.seen()?;
    json(move || seen.leases.clone()).await
}

#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PlanParams {
    /// Look at the kernel now (the default), or take what the daemon last saw.
    fresh: Option<bool>,
}

/// What would change in the kernel; changes nothing.
#[utoipa::path(get, path = "/v1/plan", params(PlanParams),
    responses((status = 200, body = PlanView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn plan(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<PlanParams>,
) -> Answered {
    if params.fresh == Some(false) {
        let seen = shared.seen()?;
        return json(move || seen.plan.clone()).await;
    }
    shared.answer(Command::Plan, &caller).await
}

/// Who answers.
#[utoipa::path(get, path = "/v1/version", responses((status = 200, body = VersionView)))]
pub async fn version() -> Answered {
    json(|| VersionView { version: env!("CARGO_PKG_VERSION").to_owned(), api: VERSION }).await
}

#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryParams {
    /// Only what came after the event of this number; without it, the last ones.
    since: Option<u64>,
    /// The most events, 1000 unless said otherwise.
    limit: Option<usize>,
}

/// What has happened, oldest first.
#[utoipa::path(get, path = "/v1/events/history", params(HistoryParams),
    responses((status = 200, body = Vec<EventView>), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn history(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<HistoryParams>,
) -> Answered {
    let limit = params.limit.unwrap_or(1000).min(MOST_EVENTS);
    shared.answer(Command::Events { since: params.since, limit }, &caller).await
}

/// Read the declaration again, and make the kernel so, now: also what waits after it failed.
#[utoipa::path(post, path = "/v1/apply", request_body = NothingAsk,
    responses((status = 200, body = OutcomeView), (status = 403, body = ErrorView), (status = 422, body = ErrorView),
        (status = 500, body = ErrorView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn apply(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Payload(NothingAsk {}): Payload<NothingAsk>,
) -> Answered {
    shared.answer(Command::Apply, &caller).await
}

/// Read the declaration again, and apply it; a wrong one changes nothing.
#[utoipa::path(post, path = "/v1/reload", request_body = NothingAsk,
    responses((status = 200, body = OutcomeView), (status = 403, body = ErrorView), (status = 422, body = ErrorView),
        (status = 500, body = ErrorView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn reload(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Payload(NothingAsk {}): Payload<NothingAsk>,
) -> Answered {
    shared.answer(Command::Reload, &caller).await
}

/// Take away what greyhound made.
#[utoipa::path(post, path = "/v1/flush", request_body = FlushAsk,
    responses((status = 200, body = OutcomeView), (status = 403, body = ErrorView),
        (status = 500, body = ErrorView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn flush(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Payload(FlushAsk { orphans }): Payload<FlushAsk>,
) -> Answered {
    shared.answer(Command::Flush { orphans }, &caller).await
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", responses((status = 200, body = Object)))]
pub async fn description() -> Answered {
    Ok(raw_json(openapi::text()))
}

pub(super) fn named(name: Result<Path<String>, PathRejection>) -> Result<TunnelName, Refusal> {
    let Path(name) = name.map_err(|error| bad(error.body_text()))?;
    TunnelName::new(&name).map_err(|error| bad(error.to_string()))
}

impl Shared {
    /// What the loop last knew.
    pub(super) fn seen(&self) -> Result<Arc<Snapshot>, Refusal> {
        let seen = self.daemon.snapshot.borrow().clone();
        let early = || {
            let why = seen.status.notes.first().map(|note| format!(": {note}")).unwrap_or_default();
            let sentence = format!("the daemon is starting: it has not seen the kernel yet{why}");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
        };
        if seen.ready { Ok(seen.clone()) } else { Err(early()) }
    }

    /// The same with counters of this moment; with older ones where the loop is busy.
    async fn counted(&self, caller: &Caller) -> Result<Arc<Snapshot>, Refusal> {
        self.seen()?;
        // A busy loop is no reason to show nothing.
        let _ = self.ask(Command::Counters, caller).await;
        self.seen()
    }

    /// What the loop says to a command, as JSON.
    pub(super) async fn answer(&self, command: Command, caller: &Caller) -> Answered {
        match self.ask(command, caller).await? {
            Answer::Outcome(outcome) => json(move || outcome).await,
            Answer::Plan(plan) => json(move || plan).await,
            Answer::Events(events) => json(move || events).await,
            Answer::Counters => Ok(StatusCode::NO_CONTENT.into_response()),
            Answer::Latency(latency) => json(move || latency).await,
            Answer::Tunnel(tunnel) => json(move || tunnel).await,
            Answer::Session(session) => json(move || session).await,
        }
    }

    /// Asks the loop; the times of waiting for a turn and for the answer are bounded.
    pub async fn ask(&self, command: Command, caller: &Caller) -> Result<Answer, Refusal> {
        let patience = match command {
            Command::Counters => COUNTERS_TIME,
            Command::Metrics => page::PATIENCE,
            Command::Plan | Command::Events { .. } | Command::Latency => self.limits.read_time,
            Command::Apply
            | Command::Reload
            | Command::Flush { .. }
            | Command::Move { .. }
            | Command::Hold { .. }
            | Command::Connect(_)
            | Command::Disconnect { .. } => self.limits.change_time,
        };
        let _turn = match caller.right {
            Right::Change => None,
            Right::Read | Right::Nothing => {
                let turn = timeout(patience, Arc::clone(&self.askers).acquire_owned()).await;
                let busy =
                    || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many ask at once: try again");
                Some(turn.map_err(|_| busy())?.map_err(|_| busy())?)
            }
        };
        Ok(self.daemon.ask(command, caller.peer.clone(), patience).await?)
    }
}
