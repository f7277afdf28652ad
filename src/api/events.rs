//! The stream of events: what is kept first, then each one as it happens; holes are told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::broadcast::{self, error::RecvError};
use utoipa::IntoParams;

use super::ask::{Params, bad};
use super::dto::{ErrorView, EventView, LostView};
use super::handle::{Answer, Command};
use super::reply::Refusal;
use super::routes::{Caller, Shared};

/// So many events are taken from the store at once.
const PAGE: usize = 1000;

/// A client that hears nothing for much longer than this may think that nobody is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamParams {
    /// Begin with what came after the event of this number; 0 is all that is kept. The header `Last-Event-ID`
    /// says the same, and wins.
    since: Option<u64>,
}

/// Events as they happen (`text/event-stream`). `data` is an `EventView`, or with `event: lost` a `LostView`: events
/// that this client was too slow for, or that are no longer kept.
#[utoipa::path(get, path = "/v1/events", params(StreamParams),
    responses((status = 200, content_type = "text/event-stream", body = EventView), (status = 503, body = ErrorView)))]
pub async fn stream(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<StreamParams>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let since = last_event_id(&headers)?.or(params.since);
    // Subscribed before the store is read: what happens in between comes twice, and is dropped once.
    let live = shared.daemon.events.subscribe();
    let order = Order { last: since, shown: false, skipped: 0 };
    let mut feed =
        Feed { shared, caller, live, order, page: VecDeque::new(), rest: since.is_some(), held: None };
    if feed.rest {
        feed.turn_page().await?;
    }
    let feed = stream::unfold(feed, |feed| async { feed.next().await });
    Ok(Sse::new(feed).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let number = id.to_str().ok().and_then(|id| id.parse().ok());
    number.map(Some).ok_or_else(|| bad("Last-Event-ID is not the number of an event".to_owned()))
}

/// One client's way through the events.
struct Feed {
    shared: Shared,
    caller: Caller,
    live: broadcast::Receiver<EventView>,
    order: Order,
    /// From the store, not shown yet.
    page: VecDeque<EventView>,
    /// The store may have more.
    rest: bool,
    /// Comes after the hole that was just told.
    held: Option<EventView>,
}

impl Feed {
    /// Ends with the server, and when the store cannot be read: the client comes back with its Last-Event-ID.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.held.take() {
                return Some((Ok(shown(&event)?), self));
            }
            let event = self.take().await?;
            match self.order.place(event.seq) {
                Place::Seen => {}
                Place::Next => return Some((Ok(shown(&event)?), self)),
                Place::Hole(lost) => {
                    self.held = Some(event);
                    return Some((Ok(Event::default().event("lost").json_data(lost).ok()?), self));
                }
            }
        }
    }

    async fn take(&mut self) -> Option<EventView> {
        loop {
            if let Some(event) = self.page.pop_front() {
                return Some(event);
            }
            if self.rest {
                self.turn_page().await.ok()?;
                continue;
            }
            let received = tokio::select! {
                received = self.live.recv() => received,
                _ = self.shared.stopping.wait_for(|stopping| *stopping) => return None,
            };
            match received {
                Ok(event) => return Some(event),
                // The store may have them yet.
                Err(RecvError::Lagged(_)) if self.order.last.is_some() => self.rest = true,
                Err(RecvError::Lagged(skipped)) => self.order.skipped += skipped,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn turn_page(&mut self) -> Result<(), Refusal> {
        let command = Command::Events { since: self.order.last, limit: PAGE };
        if let Answer::Events(events) = self.shared.ask(command, &self.caller).await? {
            self.rest = events.len() >= PAGE;
            self.page = events.into();
        }
        Ok(())
    }
}

fn shown(event: &EventView) -> Option<Event> {
    Event::default().id(event.seq.to_string()).json_data(event).ok()
}

/// Where one is in the row of numbers.
#[derive(Debug)]
struct Order {
    /// The last event shown, or the one that the client has seen.
    last: Option<u64>,
    /// Was any shown? Until then `last` is the client's word, and may be of another store.
    shown: bool,
    /// Were dropped before the first one came.
    skipped: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Seen,
    Next,
    /// Between the last one and this.
    Hole(LostView),
}

impl Order {
    fn place(&mut self, seq: u64) -> Place {
        let after = self.last;
        if self.shown && after.is_some_and(|last| seq <= last) {
            return Place::Seen;
        }
        let missed = after.map_or(self.skipped, |last| seq.saturating_sub(last).saturating_sub(1));
        (self.last, self.shown) = (Some(seq), true);
        if missed == 0 { Place::Next } else { Place::Hole(LostView { after, missed }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(last: Option<u64>) -> Order {
        Order { last, shown: false, skipped: 0 }
    }

    #[test]
    fn each_event_is_shown_once_and_holes_are_told() {
        let mut order = order(Some(3));
        assert_eq!(order.place(4), Place::Next);
        assert_eq!(order.place(4), Place::Seen);
        assert_eq!(order.place(2), Place::Seen);
        assert_eq!(order.place(5), Place::Next);
        assert_eq!(order.place(9), Place::Hole(LostView { after: Some(5), missed: 3 }));
        assert_eq!(order.place(10), Place::Next);
    }

    #[test]
    fn a_stream_that_begins_now_has_no_hole_before_it() {
        assert_eq!(order(None).place(700), Place::Next);
        assert_eq!(order(Some(0)).place(700), Place::Hole(LostView { after: Some(0), missed: 699 }));
        let mut lagged = Order { skipped: 12, ..order(None) };
        assert_eq!(lagged.place(700), Place::Hole(LostView { after: None, missed: 12 }));
    }

    #[test]
    fn numbers_that_begin_again_are_shown() {
        let mut order = order(Some(5000));
        assert_eq!(order.place(1), Place::Next);
        assert_eq!(order.place(2), Place::Next);
    }
}
