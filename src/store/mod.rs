//! The host's own state: claims and leases in `state.db`, one SQLite file shared by processes of one host.
//! Choosing happens inside the transaction, so this room may use `alloc`.
//!
//! | file | what is in it |
//! |---|---|
//! | [`state`] | [`State`]: opened once, read, and changed in transactions |
//! | [`leases`] | leases of a transaction: take, give back |
//! | [`claims`] | claims of a transaction: tunnels and loopback addresses |
//! | [`choices`] | which of its remotes each tunnel uses |
//! | [`lessons`] | what each tunnel learnt of its ends |
//! | [`events`] | what happened, kept over restarts |
//! | [`mod@backup`] | the state as one file, and back |
//! | [`error`] | what can go wrong, and what to do about it |
//! | `open` | the file, or a copy of it in memory |
//! | `schema` | the tables (`schema.sql`), version by version |
//!
//! The inventory that several hosts share is another file, and another room.

pub mod backup;
pub mod choices;
pub mod claims;
pub mod error;
pub mod events;
pub mod leases;
pub mod lessons;
mod open;
mod schema;
pub mod state;

#[cfg(test)]
mod crash;

pub use backup::{backup, check, exists, restore};
pub use error::Error;
pub use leases::Supply;
pub use open::NAME as FILE;
pub use state::{Change, State};
