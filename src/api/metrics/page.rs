//! The answer to who asks for metrics: what the daemon knows now, or as it last was where the loop is busy.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::{Format, exposition};
use crate::api::handle::Command;
use crate::api::reply::Refusal;
use crate::api::routes::{Answered, Caller, Shared};

/// So long a loop that is busy is waited for: well within the 10 s that Prometheus waits.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// All metrics, in Prometheus' text format 0.0.4; with `Accept: application/openmetrics-text` in OpenMetrics 1.0, with
/// `application/json` as JSON.
#[utoipa::path(get, path = "/v1/metrics", responses((status = 200, content_type = "text/plain", body = String)))]
pub async fn metrics(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Answered {
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::accepted(&accept.collect::<Vec<_>>().join(","));
    // Of a loop that is busy there is what it last said.
    let _ = shared.ask(Command::Metrics, &caller).await;
    let _turn = shared.writers.acquire().await;
    let seen = shared.daemon.snapshot.borrow().clone();
    // On another thread: thousands of tunnels must not hold up the API.
    let written = tokio::task::spawn_blocking(move || exposition(&seen, now_ms(), format)).await;
    let failed = |error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer cannot be written: {error}"))
    };
    Ok(page(written.map_err(failed)?, format))
}

fn page(text: String, format: Format) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(format.content_type()))], text).into_response()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
