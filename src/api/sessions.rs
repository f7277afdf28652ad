//! The paths of sessions.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::IntoParams;

use super::ask::{Params, Payload};
use super::dto::{ConnectAsk, ErrorView, SessionView};
use super::handle::{Command, Snapshot};
use super::reply::{Refusal, json};
use super::routes::{Answered, Caller, Shared, named};

/// Nobody waits longer than this for a session to change.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The sessions of this host, or with this device.
#[utoipa::path(get, path = "/v1/sessions",
    responses((status = 200, body = Vec<SessionView>), (status = 503, body = ErrorView)))]
pub async fn list(State(shared): State<Shared>) -> Answered {
    let seen = shared.seen()?;
    json(move || seen.status.sessions.clone()).await
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitParams {
    /// Wait so many milliseconds at most, 30000 at most, until the session is otherwise than these two say.
    wait_ms: Option<u64>,
    /// The state that is known already.
    state: Option<String>,
    /// How many of its steps are known already.
    steps: Option<usize>,
}

/// One session, by its tunnel's name.
#[utoipa::path(get, path = "/v1/sessions/{tunnel}", params(("tunnel" = String, Path), WaitParams),
    responses((status = 200, body = SessionView), (status = 400, body = ErrorView), (status = 404, body = ErrorView),
        (status = 503, body = ErrorView)))]
pub async fn one(
    State(shared): State<Shared>,
    name: Result<Path<String>, PathRejection>,
    Params(params): Params<WaitParams>,
) -> Answered {
    let name = named(name)?;
    shared.seen()?;
    let found = |seen: &Snapshot| {
        seen.status.sessions.iter().find(|session| session.tunnel == name.as_str()).cloned()
    };
    let WaitParams { wait_ms, state, steps } = params;
    let known = |session: &SessionView| {
        state.as_ref().is_none_or(|state| *state == session.state)
            && steps.is_none_or(|steps| steps == session.steps.count())
    };
    let mut snapshots = shared.daemon.snapshot.clone();
    if let Some(wait) = wait_ms {
        let is_news = |seen: &Arc<Snapshot>| !found(seen).is_some_and(|session| known(&session));
        // Without news it is as it was.
        let wait = Duration::from_millis(wait).min(LONGEST_WAIT);
        let _ = timeout(wait, snapshots.wait_for(is_news)).await;
    }
    let session = found(&snapshots.borrow());
    match session {
        Some(session) => json(move || session).await,
        None => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no session {:?}", name.as_str()))),
    }
}

/// Begin a session on the nearest termination that can be had. It is answered when its addresses are leased; both ends
/// build it after that.
#[utoipa::path(post, path = "/v1/sessions", request_body = ConnectAsk,
    responses((status = 200, body = SessionView), (status = 400, body = ErrorView), (status = 403, body = ErrorView),
        (status = 409, body = ErrorView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn connect(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Payload(ask): Payload<ConnectAsk>,
) -> Answered {
    shared.answer(Command::Connect(Box::new(ask)), &caller).await
}

/// End a session of this host. Both ends take it down after that, and its addresses are free when its edge says so.
#[utoipa::path(delete, path = "/v1/sessions/{tunnel}", params(("tunnel" = String, Path)),
    responses((status = 200, body = SessionView), (status = 400, body = ErrorView), (status = 403, body = ErrorView),
        (status = 409, body = ErrorView), (status = 503, body = ErrorView), (status = 504, body = ErrorView)))]
pub async fn disconnect(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
) -> Answered {
    shared.answer(Command::Disconnect { tunnel: named(name)? }, &caller).await
}
