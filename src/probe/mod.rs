//! Probes: asking terminations how far away they are, answering those who ask us, and which one a tunnel should use.
//!
//! Measuring:
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
//! | `worker` | a thread and the orders that it is given |
//! | [`engine`] | the one thread that asks all targets |
//! | [`sized`] | echoes of any size, and complaints about GRE packets, as bytes (pure) |
//! | [`largest`] | the largest packet that passes a path, measured; who complains of GRE packets |
//! | [`reflect`], `recent` | what a STAMP reflector answers, and its bounded table (pure) |
//! | [`reflector`] | its socket and its thread |
//! | `error` | what can go wrong |
//!
//! Judging, all of it pure:
//!
//! | file | what is in it |
//! |---|---|
//! | [`window`] | the last samples of one target and method, and their summary |
//! | [`score`] | the effective latency: the one figure that terminations are compared by |
//! | [`rank`] | terminations in order, the same one for all who ask |
//! | [`liveness`] | is the other end of a tunnel there, asked through the tunnel |
//! | [`choice`] | which endpoint a tunnel uses: when it stays, and when it moves |
//! | [`survey`] | all of it together: who is asked how often, and where each tunnel should lead |
//! | [`decay`] | a penalty that halves with time |
//! | [`figures`] | spans of time as people and JSON read them |

pub mod book;
pub mod budget;
mod checksum;
pub mod choice;
mod clock;
mod control;
pub mod cookie;
pub mod decay;
pub mod engine;
mod error;
pub mod figures;
pub mod icmp;
pub mod largest;
mod line;
pub mod liveness;
pub mod moment;
pub mod ntp;
pub mod rank;
mod recent;
pub mod reflect;
pub mod reflector;
pub mod refusal;
pub mod score;
pub mod session;
pub mod sized;
mod socket;
pub mod stamp;
pub mod survey;
pub mod wheel;
pub mod window;
mod worker;

pub use book::{Ask, Census, Pace, Report};
pub use engine::Engine;
pub use error::Error;
pub use reflect::{Reflected, Settings};
pub use reflector::Reflector;
