//! What a request says: its query and its body, both checked before anything is done.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::reply::Refusal;
use super::routes::Shared;

/// A query; a parameter that is not known is refused.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, shared).await;
        query.map(|Query(value)| Self(value)).map_err(|error| bad(error.body_text()))
    }
}

/// A JSON body of bounded size that comes in bounded time; an empty one is `{}`.
#[derive(Debug)]
pub struct Payload<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for Payload<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Refusal> {
        let limits = shared.limits;
        let too_large = || {
            let sentence = format!("the body is larger than {} bytes", limits.body);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
        };
        let announced =
            request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > limits.body) {
            return Err(too_large());
        }
        let collected =
            timeout(limits.body_time, Limited::new(request.into_body(), limits.body).collect()).await;
        let Ok(collected) = collected else {
            return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took too long"));
        };
        let bytes = match collected {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
            Err(error) => return Err(bad(format!("the body cannot be read: {error}"))),
        };
        let said = if bytes.is_empty() { b"{}" } else { &bytes[..] };
        serde_json::from_slice(said)
            .map(Self)
            .map_err(|error| bad(format!("the body is not what is asked for: {error}")))
    }
}

pub fn bad(sentence: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, sentence)
}
