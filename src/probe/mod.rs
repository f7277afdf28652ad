//! Probes: how far away a termination is, and which one a tunnel should use.
//!
//! | file | what is in it |
//! |---|---|
//! | [`window`] | the last samples of one target and method, and their summary (pure) |
//! | [`score`] | the effective latency: the one figure that terminations are compared by (pure) |
//! | [`rank`] | terminations in order, the same one for all who ask (pure) |
//! | [`liveness`] | is the other end of a tunnel there, asked through the tunnel (pure) |
//! | [`choice`] | which endpoint a tunnel uses: when it stays, and when it moves (pure) |
//! | [`decay`] | a penalty that halves with time (pure) |
//! | [`figures`] | spans of time as people and JSON read them (pure) |

pub mod choice;
pub mod decay;
pub mod figures;
pub mod liveness;
pub mod rank;
pub mod score;
pub mod window;
