//! Every scenario: what greyhound, or the kernel under it, does in a world of network namespaces.
//!
//! ```text
//! make scenarios [ARGS="FILTER --exact --list --test-threads N"]
//! ```
//!
//! - `scenarios`  what is shown, a file a topic
//! - `support`    what they are written with: worlds, hosts, underlays, captures, traffic
//! - `witness`    what the kernel holds, read without any code of greyhound
//!
//! A scenario whose needs this kernel or machine does not meet is printed as ignored, with the reason; with `CI=true`
//! it fails.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a scenario that panics has failed, and says where"
)]

mod scenarios;
#[allow(dead_code, unused_imports, reason = "a kit: not every tool of it is in use every day")]
mod support;
#[allow(dead_code, unused_imports, reason = "a kit, as `support` is")]
mod witness;

use libtest_mimic::Arguments;
use std::process::ExitCode;
use support::{needs, scenario, world};

/// Scenarios spend their time waiting for the kernel; the machine of the lab has two processors.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let all = scenarios::all();
    if !arguments.list && needs::GRE.unmet().is_some() {
        eprintln!(
            "scenarios make GRE links as root, which is not possible here: run them by `make scenarios`"
        );
        return ExitCode::FAILURE;
    }
    let _base = match world::open_base() {
        Ok(base) => base,
        Err(error) => {
            eprintln!("no place for the scenarios' files: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    libtest_mimic::run(&arguments, scenario::trials(all)).exit_code()
}
