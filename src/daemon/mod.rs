//! `greyhound daemon`: makes the declaration true, and keeps it true.
//!
//! One thread owns all state and takes turns (`keeper`); the main thread serves the API and hears signals. What
//! they tell each other goes through a bounded queue with a bell, and a snapshot of which the latest wins. A panic
//! anywhere ends the process: half a daemon is worse than none, and the tunnels stay.
//!
//! | file | what is in it |
//! |---|---|
//! | `start` | what is opened, and in which order; signals; the end |
//! | `keeper` | the loop: hear, turn, tell |
//! | `commands` | what the API asks of the loop |
//! | `moves` | tunnels that move, by what is measured or by hand |
//! | `part` | what of the inventory is known here, and what this host owes it |
//! | `lookout` | watches the inventory, on a thread of its own |
//! | `clerk` | writes into it, on a thread of its own |
//! | `sessions`, `session_view` | sessions that somebody asks for; sessions as they are shown |
//! | `prober` | the engine that asks, and the survey that knows what came of it |
//! | `measured` | what was measured, as it is shown |
//! | `mirrored` | the kernel as the loop sees it: a mirror kept true by events |
//! | `chronicle` | what a turn means: events to tell, repairs to hold back (pure) |
//! | `damping` | how often one object is put right (pure) |
//! | `gathered` | what metrics are made of: counted, and gathered when somebody asks |
//! | `shown` | what the loop knows, gathered to be shown |
//! | `publisher` | events into store, log and streams; the snapshot that the API reads |
//! | `source` | the declaration, read and read again |
//! | `inbox` | the queue and its bell |
//! | `notify` | word to the service manager |
//! | `clock` | the two clocks: one that never jumps, one that people read |
//! | `log` | text or JSON on standard error |

mod chronicle;
mod clerk;
mod clock;
mod commands;
mod damping;
mod gathered;
mod inbox;
mod keeper;
mod log;
mod lookout;
mod measured;
mod mirrored;
mod moves;
mod notify;
mod part;
mod prober;
mod publisher;
mod session_view;
mod sessions;
mod shown;
mod source;
mod start;

pub use log::Format;
pub use start::{Ended, Options, run};
