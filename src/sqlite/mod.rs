//! One SQLite file: found, made, checked, upgraded; what its errors mean. What is in it is another room's.
//!
//! | file | what is in it |
//! |---|---|
//! | [`mod@open`] | finding, making and checking the file |
//! | [`journal`] | the write-ahead log, or what does where there can be none |
//! | [`schema`] | the tables, and the way from older ones |
//! | [`place`] | on what sort of file system it is |
//! | [`copy`] | a copy of it, and a copy put in its place |
//! | [`error`] | what can go wrong, and what to do about it |

pub mod copy;
pub mod error;
pub mod journal;
pub mod open;
pub mod place;
pub mod schema;

pub use error::{Error, PATIENCE, failed, file, invalid};
pub use place::network;
pub use schema::{Sort, Step};
