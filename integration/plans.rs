//! Golden plans, and the properties of `plan` against a kernel of the model.
//!
//! `integration/plans/CASE/` has a declaration, what the kernel and the store say, and the plan as text.
//! `GREYHOUND_BLESS=1 cargo test --test plans` writes the plans anew.

mod plan_properties;
mod support {
    pub mod fake_kernel;
}
