//! One turn: look, lease, plan, claim, apply, read back. The daemon's loop and the one-shot verbs
//! run this same code; recovery after a crash is a turn like any other.
//!
//! | file | what is in it |
//! |---|---|
//! | [`locals`] | each tunnel's local address: what to ask for, and what was got |
//! | [`claims`] | what to claim before the kernel is touched, and what is left of it after |
//! | [`turn`] | the turn itself |
//! | [`view`] | a turn as the data that greyhound shows |
//! | `capability` | may this process change the kernel at all |
//! | `declaration` | the declaration's file |
//! | [`part`] | what the inventory asks of this host |
//! | `home` | one store for one network namespace |
//! | [`lock`] | one writer per network namespace |

mod capability;
pub mod claims;
mod declaration;
mod home;
pub mod locals;
pub mod lock;
pub mod part;
pub mod turn;
pub mod view;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::model::Timestamp;
use crate::{netlink, store};

pub use capability::may_change;
pub use declaration::read_declaration;
pub use home::{at_home, take_home};
pub use lock::Lock;
pub use turn::{Done, Goal, Halted, Kernel, Look, Outcome, Reins, Turn};

/// Why a turn could not be made. What concerns one tunnel only is data in the plan, not an error.
#[derive(Debug, Error)]
pub enum Error {
    #[error(
        "another greyhound is at work in this network namespace ({holder}): let it end, or stop the daemon"
    )]
    Locked { holder: String },
    #[error(
        "the state in {} belongs to another network namespace, net:[{inode}], which is still there: \
         set another state_dir for this one", directory.display()
    )]
    Home { directory: PathBuf, inode: u64 },
    #[error("CAP_NET_ADMIN is missing: run as root, or with that capability")]
    Capability,
    #[error("cannot take the lock of this network namespace")]
    Lock(#[source] std::io::Error),
    #[error("the kernel could not be read or changed")]
    Netlink(#[from] netlink::Error),
    #[error("the state in {} cannot be used", directory.display())]
    State { directory: PathBuf, source: Box<store::Error> },
    #[error("this host has no name for the inventory: {why}; write name into the [host] section")]
    NoName { why: String },
    #[error(
        "what was kept of the inventory cannot be read: {why}; it is left as it is, because the tunnels of its sessions \
         would be taken for undeclared ones"
    )]
    Part { why: String },
}

impl From<Halted> for Error {
    fn from(halted: Halted) -> Self {
        halted.error
    }
}

/// The wall clock, for leases. Before 1970 it is 1970.
pub fn now() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
