//! What must become true within a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(50);

/// Asks until the answer is `Ok`; once the time is over, the last error says what was still missing.
/// The answer is asked for at least once, however slow the machine is.
pub fn eventually<T>(within: Duration, mut ask: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() >= within => {
                return Err(error.context(format!("not within {within:?}")));
            }
            Err(_) => sleep(PAUSE),
        }
    }
}
