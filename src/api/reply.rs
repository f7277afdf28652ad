//! Answers and refusals as HTTP.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::dto::ErrorView;
use super::handle::Failure;

/// Why a request has no other answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    error: String,
    problems: Vec<Value>,
    text: Option<String>,
}

impl Refusal {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), problems: Vec::new(), text: None }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Declaration { sentence, problems, text } => {
                Self { problems, text, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence) }
            }
            Failure::Wrong(sentence) => Self::new(StatusCode::BAD_REQUEST, sentence),
            Failure::Nothing { sentence, reasons } => {
                let text = reasons.iter().map(|why| format!("  {why}\n")).collect::<String>();
                let problems = reasons.into_iter().map(Value::String).collect();
                let text = Some(text).filter(|text| !text.is_empty());
                Self { problems, text, ..Self::new(StatusCode::CONFLICT, sentence) }
            }
            Failure::Busy(sentence) => Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence),
            Failure::Late(sentence) => Self::new(StatusCode::GATEWAY_TIMEOUT, sentence),
            Failure::Failed(sentence) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, error, problems, text } = self;
        let view = ErrorView { error, problems, text };
        let mut response = (status, axum::Json(view)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// JSON, written out on another thread: a table of thousands of tunnels must not hold up the loop.
pub async fn json<T: Serialize>(value: impl FnOnce() -> T + Send + 'static) -> Result<Response, Refusal> {
    let written = tokio::task::spawn_blocking(move || serde_json::to_vec(&value())).await;
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer cannot be written: {error}"))
    };
    let bytes = written.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(raw_json(bytes))
}

/// JSON that is written out already.
pub fn raw_json(bytes: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes.into()).into_response()
}
