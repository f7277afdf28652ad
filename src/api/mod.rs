//! HTTP and JSON on a unix socket: what greyhound shows, and how it is told.
//!
//! | file | what it is about |
//! |---|---|
//! | `dto`, `dto_measured`, `dto_session` | the data, as it stands in JSON; `cli` prints the same for `--json` |
//! | `handle` | the daemon as the API sees it: a snapshot to read, a queue to ask, events to follow |
//! | `socket` | the socket's file: made, replaced when nobody answers on it, removed |
//! | `peer` | who is at the other end, and what they may do |
//! | `server` | connections: how many, how large, how long |
//! | `patient` | a stream that gives up on a reader who does not read |
//! | `routes` | paths and what each answers |
//! | `sessions` | the paths of sessions |
//! | `ask` | what a request says: its query and its body |
//! | `reply` | answers and refusals as HTTP |
//! | [`metrics`] | a snapshot as Prometheus reads it; the TCP listener for it |
//! | `events` | the stream of events, and what order they are in |
//! | `openapi` | the description of it all |
//! | `client` | the other end, for `cli` |
//! | `frames` | server-sent events as they are read |

mod ask;
pub mod client;
pub mod dto;
mod dto_measured;
mod dto_session;
mod events;
mod frames;
mod handle;
pub mod metrics;
mod openapi;
mod patient;
mod peer;
mod reply;
mod routes;
mod server;
mod sessions;
mod socket;
#[cfg(test)]
pub(crate) mod tests;

pub use handle::{Answer, Command, Failure, Handle, Request, Snapshot};
pub use metrics::listener::{Listener, Listening, listening};
pub use peer::{Access, Peer, Readers, Right, group_id};
pub use server::{Error, Limits, serve};
pub use socket::{BindError, Socket};

/// Of the API: grows when something is taken away or changes its meaning.
pub const VERSION: u32 = 1;

/// Stands in every answer, and says [`VERSION`].
pub const VERSION_HEADER: &str = "greyhound-api";

/// The most events that one answer holds; the daemon keeps 10,000.
pub const MOST_EVENTS: usize = 10_000;
