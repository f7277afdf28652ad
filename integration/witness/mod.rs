//! The witness: it says whether the invariants of FAULTS.md hold, and knows no code of greyhound.
//!
//! It reads the declaration as TOML, the kernel by `ip -j -d`, and the store by its tables.
//!
//! | file | gives |
//! |---|---|
//! | `inspect`   | `Witness`: `mark` a moment, and ask whether all `holds` since |
//! | `view`      | one look at declaration, store and kernel, on which I1, I3 and I4 stand |
//! | `kept`      | I1: the kernel is as declared, and has nothing more of ours |
//! | `unchanged` | I2: what is not ours is as it was at the mark |
//! | `once`      | I3: no address and no tuple is given out twice |
//! | `orphans`   | I4: marked in the kernel is claimed in the store, active in the store is in the kernel |
//! | `stream`    | I5: numbered streams lose none |
//! | `watch`     | I6 and I7 from a mark on: `alive`, the process; `told`, what it says of its deeds |
//! | `damped`    | I8: repairs stay within the damping bound |
//! | `snapshot`, `object` | what a kernel holds, and its differences; `look` asks for single objects |
//! | `foreign`   | objects of somebody else, to be watched |
//!
//! Of I7 it checks log and events, each repair that the kernel's own events show included; metrics it does not read yet.

pub mod alive;
pub mod damped;
mod declaration;
pub mod foreign;
mod inspect;
mod kept;
pub mod look;
mod object;
mod once;
mod orphans;
mod snapshot;
pub mod store;
mod stream;
pub mod told;
mod unchanged;
mod verdict;
mod view;
mod watch;

pub use inspect::Witness;
pub use object::{Kind, Object};
pub use snapshot::Snapshot;
