//! Probes: asking terminations how far away they are, and answering those who ask us.
//!
//! | file | what is in it |
//! |---|---|
//! | [`icmp`], `checksum` | ICMP echo as bytes (pure) |
//! | [`stamp`], [`ntp`] | STAMP as bytes, and its timestamps (pure) |
//! | [`refusal`] | why a probe cannot arrive, in a phrase (pure) |
//! | [`cookie`] | what makes a reply believable (pure) |
//! | [`moment`] | two clocks, and the round trip between two moments (pure) |
//! | [`session`] | one target asked by one method: what is under way and what is believed (pure) |
//! | [`wheel`], [`budget`] | what is due when; so many packets a second (pure) |
//! | [`book`] | all targets: who is asked next, whose a reply is (pure) |
//! | `control` | what the kernel says beside a datagram, as bytes (pure) |
//! | `clock`, `socket`, `line` | the clocks read; a socket; a socket with what leaves by it |
//! | [`engine`] | the one thread that asks all targets |
//! | [`reflect`], `recent` | what a STAMP reflector answers, and its bounded table (pure) |
//! | [`reflector`] | its socket and its thread |
//! | `error` | what can go wrong |

pub mod book;
pub mod budget;
mod checksum;
mod clock;
mod control;
pub mod cookie;
pub mod engine;
mod error;
pub mod icmp;
mod line;
pub mod moment;
pub mod ntp;
mod recent;
pub mod reflect;
pub mod reflector;
pub mod refusal;
pub mod session;
mod socket;
pub mod stamp;
pub mod wheel;

pub use book::{Ask, Census, Pace, Report};
pub use engine::Engine;
pub use error::Error;
pub use reflect::{Reflected, Settings};
pub use reflector::Reflector;
