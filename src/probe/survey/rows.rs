//! What was measured, line by line. Pure.

use std::time::Duration;

use super::Survey;
use crate::model::{Method, Target};
use crate::probe::choice::Shunned;
use crate::probe::rank::Entry;
use crate::probe::window::Summary;

/// One line of what was measured.
#[derive(Clone, Debug)]
pub struct Row {
    pub entry: Entry,
    pub target: Target,
    pub in_use: bool,
    /// Why the tunnel does not move here for being better; of the one in use there is nothing to say.
    pub shunned: Option<Shunned>,
    pub methods: Vec<(Method, Summary, Vec<Option<Duration>>)>,
}

impl Survey {
    /// All terminations by device, each device's best first; the newest `series` round trips of each method.
    pub fn rows(&self, now: Duration, series: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        for (name, course) in &self.courses {
            for entry in self.ranking(now, name, course).entries() {
                let in_use = entry.address == course.subject.current;
                let shunned = course.chooser.shunned(now, entry.address).filter(|_| !in_use);
                let target = course.subject.to(entry.address);
                rows.push(self.row(now, series, self.offered.placed(entry), target, (in_use, shunned)));
            }
        }
        for (target, _) in self.users.iter().filter(|(_, users)| users.is_empty()) {
            let entry = self.offered.entry(target.address, self.health(now, target));
            rows.push(self.row(now, series, entry, target.clone(), (false, None)));
        }
        rows.sort_by(|a, b| (&a.entry.device, a.entry.key()).cmp(&(&b.entry.device, b.entry.key())));
        rows
    }

    fn row(
        &self,
        now: Duration,
        series: usize,
        entry: Entry,
        target: Target,
        (in_use, shunned): (bool, Option<Shunned>),
    ) -> Row {
        let windows = self.windows.get(&target).into_iter().flatten();
        let methods =
            windows.map(|(method, window)| (*method, window.summary(now), window.series(now, series)));
        let methods = methods.collect();
        Row { entry, target, in_use, shunned, methods }
    }
}
