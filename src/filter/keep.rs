//! Looking, changing, and what came of it. Nobody waits for the filter: what goes wrong is told, and tried again.

use std::time::{Duration, Instant};

use super::ruleset::{self, Change, Line, Ruleset, Table};
use super::{COMMENT, Error, TABLE, nft};
use crate::model::EventKind;
use crate::netlink::Netfilter;
use crate::netlink::netfilter::Count;

/// What could not be done is tried again after this, unless something else is wanted or somebody asks for it. Where `nft`
/// does not end it is twice as long each time, and until then nobody waits for it again, not even to look.
const AGAIN: Duration = Duration::from_secs(10);
const SELDOM: Duration = Duration::from_secs(160);
/// Who changes nftables all the time has the table listed so often at most. A change of ours lists it anyway.
const LISTINGS: Duration = Duration::from_secs(1);
/// Somebody else may change nftables between a look and a change, once.
const TRIES: usize = 2;

/// The filter of this network namespace.
#[derive(Default)]
pub struct Filter {
    netfilter: Option<Netfilter>,
    known: Option<Known>,
    listed_at: Option<Instant>,
    waits: Option<Waits>,
    trouble: Option<String>,
    /// What somebody has done to the table.
    altered: Option<&'static str>,
    repairs: u64,
    told: Vec<(EventKind, String)>,
    done: usize,
}

/// The table, as long as nobody has changed nftables since.
struct Known {
    /// `None`: somebody did, while we looked or changed it.
    generation: Option<u32>,
    table: Table,
}

/// Something could not be done, and is tried again.
struct Waits {
    wanted: Option<Ruleset>,
    until: Instant,
    after: Duration,
}

/// What there is of the filter, and what is to be done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What there is to be; `None`: no filter.
    pub wanted: Option<Ruleset>,
    pub lines: Vec<Line>,
    /// Packets, since the table was made.
    pub dropped: Option<u64>,
    /// How often the table was put right.
    pub repairs: u64,
    /// Why it is not as it should be.
    pub trouble: Option<String>,
}

impl Filter {
    /// Looks, and changes nothing.
    pub fn see(&mut self, wanted: Option<Ruleset>) -> Seen {
        let found = self.changes(wanted.as_ref());
        let (lines, trouble) = match found {
            Ok(Change::Refused) => (Change::Refused.lines(wanted.as_ref()), Some(Error::Foreign.to_string())),
            Ok(Change::Nothing) => (Vec::new(), None),
            Ok(change) => {
                let absent = nft::find().is_none().then(|| Error::Absent.to_string());
                (change.lines(wanted.as_ref()), absent)
            }
            // There can be no table that anybody would have to take away.
            Err(Error::Netlink(_)) if wanted.is_none() => (Vec::new(), None),
            Err(error) => {
                self.failed(wanted.as_ref(), &error);
                let change = if wanted.is_some() { Change::Anew } else { Change::Remove };
                (change.lines(wanted.as_ref()), Some(sentence(&error, wanted.as_ref())))
            }
        };
        let trouble = trouble.or_else(|| self.trouble.clone().filter(|_| !lines.is_empty()));
        let dropped = wanted.as_ref().and_then(|_| self.dropped());
        Seen { wanted, lines, dropped, repairs: self.repairs, trouble }
    }

    /// Makes it so.
    pub fn keep(&mut self, wanted: Option<&Ruleset>) {
        if self.is_waiting(wanted) {
            return;
        }
        match self.put(wanted) {
            Ok(()) => {
                self.waits = None;
                if self.trouble.take().is_some() {
                    self.told.push((EventKind::Apply, "the filter is as it should be again".to_owned()));
                }
            }
            // Without nftables there is nothing to take away.
            Err(Error::Netlink(_)) if wanted.is_none() => {
                self.known = Some(Known { generation: None, table: Table::Absent })
            }
            Err(error) => self.failed(wanted, &error),
        }
    }

    /// Was it tried in vain a short while ago?
    fn is_waiting(&self, wanted: Option<&Ruleset>) -> bool {
        let now = Instant::now();
        self.waits.as_ref().is_some_and(|waits| waits.wanted.as_ref() == wanted && now < waits.until)
    }

    fn failed(&mut self, wanted: Option<&Ruleset>, error: &Error) {
        let again = self.waits.as_ref().filter(|waits| waits.wanted.as_ref() == wanted);
        let slow = matches!(error, Error::Run(_));
        let after = again.filter(|_| slow).map_or(AGAIN, |waits| (waits.after * 2).min(SELDOM));
        self.waits = Some(Waits { wanted: wanted.cloned(), until: Instant::now() + after, after });
        let text = sentence(error, wanted);
        if self.trouble.as_ref() != Some(&text) {
            self.told.push((EventKind::Fail, format!("the filter cannot be kept: {text}")));
            self.trouble = Some(text);
        }
    }

    /// What is to be changed, of the table as it is; as it was last seen, while a failure is not tried again.
    fn changes(&mut self, wanted: Option<&Ruleset>) -> Result<Change, Error> {
        if self.is_waiting(wanted) {
            let known = self.known.as_ref().map(|known| &known.table);
            return Ok(known.map_or(Change::Anew, |known| ruleset::change(wanted, known)));
        }
        self.find(wanted).map(|table| ruleset::change(wanted, table))
    }

    /// What waits is tried now.
    pub fn hurry(&mut self) {
        self.waits = None;
    }

    /// Packets that were dropped since the table was made; `None`: not known.
    pub fn dropped(&mut self) -> Option<u64> {
        let counted = self.netfilter().and_then(|netfilter| Ok(netfilter.counter(TABLE, "dropped")?));
        counted.ok().flatten().map(|count| count.packets)
    }

    /// What is to be told of what was done since this was asked last.
    pub fn take_told(&mut self) -> Vec<(EventKind, String)> {
        std::mem::take(&mut self.told)
    }

    /// How many changes were made since this was asked last.
    pub fn take_done(&mut self) -> usize {
        std::mem::take(&mut self.done)
    }

    fn put(&mut self, wanted: Option<&Ruleset>) -> Result<(), Error> {
        let mut failed = Ok(());
        for _ in 0..TRIES {
            let change = ruleset::change(wanted, self.find(wanted)?);
            match change {
                Change::Nothing => {
                    self.altered = None;
                    return Ok(());
                }
                Change::Refused => return Err(Error::Foreign),
                _ => {}
            }
            failed = self.carry_out(&change, wanted);
            match &failed {
                Ok(()) => return Ok(()),
                // It was told of another table than there is now, or it cannot be done at all.
                Err(Error::Refused(_)) => self.known = None,
                Err(_) => break,
            }
        }
        failed
    }

    fn carry_out(&mut self, change: &Change, wanted: Option<&Ruleset>) -> Result<(), Error> {
        let counted = match change {
            Change::Anew => self.netfilter()?.counter(TABLE, "dropped")?.unwrap_or_default(),
            _ => Count::default(),
        };
        let before = self.known.as_ref().and_then(|known| known.generation);
        nft::change(&change.script(wanted, counted), count(wanted))?;
        let after = self.netfilter()?.generation()?;
        // Ours was one transaction: if that is all, nobody else was there. The number is never 0.
        let alone = before.is_some_and(|before| before.checked_add(1).unwrap_or(1) == after);
        let table = wanted.map_or(Table::Absent, |wanted| Table::Intact(wanted.clone()));
        self.known = Some(Known { generation: alone.then_some(after), table });
        let lines = change.lines(wanted);
        self.done += lines.len();
        let text =
            lines.iter().map(|line| format!("{} {}", line.action.name(), line.text)).collect::<Vec<_>>();
        match self.altered.take() {
            Some(what) => {
                self.repairs += 1;
                self.told.push((EventKind::Repair, format!("{what}: {}", text.join("; "))));
            }
            // Who comes and goes is told with its tunnel.
            None if matches!(change, Change::Elements { .. }) => {}
            None => self.told.push((EventKind::Apply, text.join("; "))),
        }
        Ok(())
    }

    /// The table as it is. Nobody but us makes one, so one that is not wanted is looked for once.
    fn find(&mut self, wanted: Option<&Ruleset>) -> Result<&Table, Error> {
        let absent = |known: &Known| known.table == Table::Absent;
        if wanted.is_none() && self.known.as_ref().is_some_and(absent) {
            return Ok(&Table::Absent);
        }
        let generation = self.netfilter()?.generation()?;
        if !self.is_known(wanted, generation) {
            let table = self.look(count(wanted))?;
            // A look is several questions: the answer is of one moment if nobody was there meanwhile.
            let after = self.netfilter()?.generation()?;
            self.compare(&table);
            self.listed_at = Some(Instant::now());
            self.known = Some(Known { generation: (after == generation).then_some(after), table });
        }
        Ok(self.known.as_ref().map_or(&Table::Absent, |known| &known.table))
    }

    fn is_known(&self, wanted: Option<&Ruleset>, generation: u32) -> bool {
        let Some(known) = &self.known else { return false };
        let settled = ruleset::change(wanted, &known.table) == Change::Nothing;
        let recently = self.listed_at.is_some_and(|at| at.elapsed() < LISTINGS);
        known.generation == Some(generation) || (settled && recently)
    }

    fn look(&mut self, pairs: usize) -> Result<Table, Error> {
        Ok(match self.netfilter()?.table(TABLE)? {
            None => Table::Absent,
            Some(table) if table.comment.as_deref() != Some(COMMENT) => Table::Foreign,
            Some(table) if table.flagged => Table::Altered,
            Some(_) => nft::list(pairs)?,
        })
    }

    /// Has somebody changed what we knew?
    fn compare(&mut self, table: &Table) {
        let Some(Known { table: known, .. }) = &self.known else { return };
        if known != table && matches!(known, Table::Intact(_)) {
            self.altered = Some(match table {
                Table::Absent => "the filter's table was deleted",
                Table::Foreign | Table::Intact(_) | Table::Altered => "the filter's table was changed",
            });
        }
    }

    fn netfilter(&mut self) -> Result<&mut Netfilter, Error> {
        if self.netfilter.is_none() {
            self.netfilter = Some(Netfilter::open()?);
        }
        self.netfilter.as_mut().ok_or(Error::Absent)
    }
}

/// What is wrong, and what to do about it where a table is to be kept, or taken away.
fn sentence(error: &Error, wanted: Option<&Ruleset>) -> String {
    match (error, wanted) {
        (Error::Absent, None) => Error::Stays.to_string(),
        _ => error.to_string(),
    }
}

fn count(wanted: Option<&Ruleset>) -> usize {
    wanted.map_or(0, |wanted| wanted.pairs.len())
}
