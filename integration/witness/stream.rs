//! I5: a numbered stream over tunnels that a fault does not concern loses none.

use super::verdict::Verdict;
use crate::support::traffic::Report;
use crate::support::{Receiver, Result, Sender};

pub struct Stream {
    name: String,
    ends: Option<(Sender, Receiver)>,
    report: Option<Report>,
}

impl Stream {
    pub fn new(name: &str, sender: Sender, receiver: Receiver) -> Self {
        Self { name: name.to_owned(), ends: Some((sender, receiver)), report: None }
    }

    /// Ends it. Asked again it says the same.
    pub fn check(&mut self, verdict: &mut Verdict) -> Result<()> {
        if let Some((sender, receiver)) = self.ends.take() {
            self.report = Some(receiver.report(sender.stop())?);
        }
        if let Some(Err(error)) = self.report.map(|report| report.complete()) {
            verdict.violated("I5", format!("{}: {error}", self.name));
        }
        Ok(())
    }
}
