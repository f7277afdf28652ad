//! plan(desired, observed, owned) -> ordered steps. Pure and total.
//!
//! | file | what is in it |
//! |---|---|
//! | [`step`] | one change of the kernel |

pub mod step;

pub use step::{Difference, PlannedStep, Step};
