//! Which GRE this host takes in: a table of nftables of our own, `ip greyhound`, replaced or changed in one transaction.
//!
//! Its chain judges what comes to this host itself (hook input), and of that protocol 47 alone. It is let in by the
//! pair of its outer addresses, if any link or declared tunnel has a use for it, foreign ones too. What is not is
//! dropped and counted.
//!
//! | file | what is in it |
//! |---|---|
//! | [`pairs`] | who is let in: tunnels and links into a ruleset (pure) |
//! | [`ruleset`] | the ruleset; the difference to what is there, as a script for `nft` (pure) |
//! | [`listed`] | what `nft` lists, into a ruleset (pure) |
//! | [`nft`] | the program, run with a deadline |
//! | [`keep`] | looking, changing, and what came of it |

pub mod keep;
pub mod listed;
pub mod nft;
pub mod pairs;
pub mod ruleset;

use thiserror::Error;

use crate::{command, netlink};

pub use keep::{Filter, Seen};
pub use ruleset::Ruleset;

/// The table, of family ip.
pub const TABLE: &str = "greyhound";

/// The table's comment, by which it is known again.
pub const COMMENT: &str = "made and kept by greyhound";

/// Why the filter is not as it should be. No tunnel waits for it.
#[derive(Debug, Error)]
pub enum Error {
    #[error("nft is not installed: install nftables, or write enable = false into the [filter] section")]
    Absent,
    #[error(
        "nft is not installed, and the table ip greyhound still drops GRE: install nftables, so that it can be deleted"
    )]
    Stays,
    #[error(
        "the table ip greyhound of nftables is not greyhound's, and is left alone: rename or delete it, \
         or write enable = false into the [filter] section"
    )]
    Foreign,
    #[error(transparent)]
    Run(#[from] command::Error),
    #[error("nft refuses: {0}")]
    Refused(String),
    #[error("what nft lists cannot be read: {0}")]
    Listing(String),
    #[error("nftables cannot be asked: {}", .0.in_full())]
    Netlink(#[from] netlink::Error),
}
