//! Which address or prefix is next, or why there is none. Pure: what is taken and the time are arguments.
//!
//! | file | what is in it |
//! |---|---|
//! | [`ask`] | what is asked for, and what is chosen |
//! | [`book`] | what is taken: leases, addresses in use, foreign addresses |
//! | [`mod@choose`] | the rule, and the choice by it |
//! | [`mod@explain`] | the state of every pool, and what comes next and why |
//! | [`refused`] | why nothing was chosen, and what to do |
//! | `span` | runs of addresses as numbers, and the aligned blocks in them |
//! | `view` | one pool as one asker sees it: what is in the way, and what can be had, in order |
//! | `census` | what every address of a pool is, run by run |

pub mod ask;
pub mod book;
mod census;
pub mod choose;
pub mod explain;
pub mod refused;
mod span;
mod view;

#[cfg(test)]
mod properties;

pub use ask::{Ask, Choice, Why};
pub use book::{Book, Foreign, Taken};
pub use choose::{RULE, choose};
pub use explain::{
    Explanation, Next, Part, PartState, PoolExplanation, RangeExplanation, Sizes, available, explain,
    explain_pool,
};
pub use refused::{Exhausted, Refused};
