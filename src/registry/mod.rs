//! What the inventory means: rows as the words of the model, and every change as a transaction worked out from a
//! snapshot. Pure: whoever has a store reads, asks here, commits, and on a conflict begins again.
//!
//! | file | what is in it |
//! |---|---|
//! | [`row`] | rows, conditions, writes: what is asked of a store |
//! | [`record`] | the words of the model as rows: keys, references, unknown fields |
//! | [`tables`] | all rows of a moment, typed; who refers to whom |
//! | [`draft`] | a transaction in the making: references are checked, fences written |
//! | [`refused`] | why a change is not made, and what to do about it |
//! | [`supply`] | addresses taken from pools and given back; low water |
//! | [`devices`], [`interfaces`] | registering and changing them; terminations |
//! | [`pools`], [`carve`] | pools beside each other; prefixes carved from a block |
//! | [`leases`] | leases of other holders |
//! | [`sessions`] | the life of a session |
//! | [`ends`] | sessions as tunnels: what each end builds |
//! | [`offers`] | which termination a new tunnel should have |
//! | [`booking`] | a new session of a host, on the nearest termination that it can have |
//! | [`duties`] | what hosts and edge boxes owe the inventory |
//! | [`form`] | the form of the rows, and who can read it |
//! | [`transfer`] | all of it as one JSON document, and back |

pub mod booking;
pub mod carve;
pub mod devices;
pub mod draft;
pub mod duties;
pub mod ends;
pub mod form;
pub mod interfaces;
pub mod leases;
pub mod offers;
pub mod pools;
pub mod record;
pub mod refused;
pub mod row;
pub mod sessions;
pub mod supply;
pub mod tables;
pub mod transfer;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod testing;

pub use draft::{Decision, Draft};
pub use record::{Record, Stored};
pub use refused::Refused;
pub use row::{Condition, Kind, LARGEST, Revision, Row, RowName, Snapshot, Transaction, Write};
pub use tables::{Registry, Table};
