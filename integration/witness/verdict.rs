//! What an inspection found: each violated invariant with what differs.

use anyhow::{Result, bail};

#[derive(Debug, Default)]
pub struct Verdict(Vec<String>);

impl Verdict {
    /// `invariant` is its name in FAULTS.md: I1 to I8.
    pub fn violated(&mut self, invariant: &str, what: impl AsRef<str>) {
        self.0.push(format!("{invariant}: {}", what.as_ref()));
    }

    /// An error of one line for each violation.
    pub fn result(self) -> Result<()> {
        if !self.0.is_empty() {
            bail!("{} things are not as they must be:\n{}", self.0.len(), self.0.join("\n"));
        }
        Ok(())
    }
}
