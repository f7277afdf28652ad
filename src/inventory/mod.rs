//! The inventory that several hosts share: devices, interfaces, pools, leases, sessions. One trait for where it is kept.
//! What its rows mean is `registry`'s.
//!
//! | file | what is in it |
//! |---|---|
//! | [`backend`] | [`Backend`]: read, commit, watch; and [`Watch`] |
//! | [`change`] | decide by what is there, commit, and on a conflict decide again; migrate, import |
//! | [`error`] | what can go wrong, and what to do about it |
//! | [`sqlite`] | the embedded backend: a file that the daemons and users of one host share |
//! | `suite` | what every backend must do, as tests |

pub mod backend;
pub mod change;
pub mod error;
pub mod sqlite;

#[cfg(test)]
mod crash;
#[cfg(test)]
mod suite;

pub use backend::{Backend, Changed, Committed, Heard, Watch};
pub use error::Error;
pub use sqlite::Sqlite;
