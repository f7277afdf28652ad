//! A transaction in the making. What refers to a row cannot be written without it, and a row that is referred to
//! cannot be removed, also when others write at the same time: each of them writes the row's fence.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::record::written;
use super::refused::Refused;
use super::row::{Condition, RowName, Transaction, Write};
use super::tables::{Registry, Tabled};

/// What was decided, and the transaction that makes it so. An empty one: it is so already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    pub transaction: Transaction,
    pub value: T,
}

impl<T> Decision<T> {
    /// The same, when only that it is done matters.
    pub fn without_value(self) -> Decision<()> {
        Decision { transaction: self.transaction, value: () }
    }
}

/// Changes of the rows of a moment.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    pub registry: &'a Registry,
    puts: BTreeMap<RowName, Put>,
    deletes: BTreeMap<RowName, Vec<RowName>>,
    fences: BTreeSet<RowName>,
}

#[derive(Clone, Debug)]
struct Put {
    value: Value,
    /// What it refers to, and did not before.
    begins: Vec<RowName>,
    /// What it referred to, and does no more.
    ceases: Vec<RowName>,
    refers: Vec<RowName>,
}

impl<'a> Draft<'a> {
    /// No changes yet.
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, puts: BTreeMap::new(), deletes: BTreeMap::new(), fences: BTreeSet::new() }
    }

    /// Writes the row of this record, new or in the place of the one that is there, whose unknown fields stay.
    pub fn put<T: Tabled>(&mut self, record: &T) {
        let none = Map::new();
        let more = T::table(self.registry).get(&record.key()).map_or(&none, |before| &before.more);
        self.put_with(record, more);
    }

    /// The same, with these unknown fields.
    pub fn put_with<T: Tabled>(&mut self, record: &T, more: &Map<String, Value>) {
        let (row, refers) = (record.row_name(), record.refers());
        self.deletes.remove(&row);
        let before = T::table(self.registry).get(&row.key);
        if before.is_some_and(|before| before.value == *record && before.more == *more) {
            self.puts.remove(&row);
            return;
        }
        let referred = before.map(|before| before.value.refers()).unwrap_or_default();
        let begins = refers.iter().filter(|to| !referred.contains(to)).cloned().collect();
        let ceases = referred.into_iter().filter(|to| !refers.contains(to)).collect();
        let value = written(record, more);
        self.puts.insert(row, Put { value, begins, ceases, refers });
    }

    /// Removes the row of this record, if it is there.
    pub fn delete<T: Tabled>(&mut self, record: &T) {
        let row = record.row_name();
        self.puts.remove(&row);
        if let Some(before) = T::table(self.registry).get(&row.key) {
            self.deletes.insert(row, before.value.refers());
        }
    }

    /// Whatever passes this fence too is done before this, or after it.
    pub fn pass(&mut self, fence: RowName) {
        self.fences.insert(fence);
    }

    /// The transaction; an error names the row that is missing, or who still refers to one that goes.
    pub fn finish(mut self) -> Result<Transaction, Refused> {
        let mut held = BTreeSet::new();
        for (row, put) in &self.puts {
            for referred in &put.refers {
                self.check_there(row, referred)?;
            }
            for referred in put.begins.iter().filter(|referred| !self.puts.contains_key(referred)) {
                held.insert(referred.clone());
            }
        }
        for row in self.deletes.keys() {
            self.check_unused(row)?;
        }
        let begun = self.puts.values().flat_map(|put| put.begins.iter().chain(&put.ceases));
        let referred = begun.chain(self.deletes.values().flatten());
        let there = referred.filter(|row| self.registry.revision_of(row).is_some());
        let fences = there.filter(|row| !self.deletes.contains_key(row)).map(RowName::fence);
        let fences: BTreeSet<_> = fences.collect();
        self.fences.extend(fences);
        Ok(self.assemble(held))
    }

    fn check_there(&self, row: &RowName, referred: &RowName) -> Result<(), Refused> {
        let there = self.registry.revision_of(referred).is_some() && !self.deletes.contains_key(referred);
        if there || self.puts.contains_key(referred) {
            return Ok(());
        }
        Err(Refused::Dangling { row: row.clone(), referred: referred.clone() })
    }

    fn check_unused(&self, row: &RowName) -> Result<(), Refused> {
        let refers = |referrer: &&RowName| {
            let replaced = self.puts.get(*referrer).is_some_and(|put| !put.refers.contains(row));
            !replaced && !self.deletes.contains_key(*referrer)
        };
        match self.registry.referrers(row).find(refers) {
            Some(by) => Err(Refused::Referred { row: row.clone(), by: by.clone() }),
            None => Ok(()),
        }
    }

    /// `held`: rows that are referred to from now on, and must still be what they were.
    fn assemble(self, held: BTreeSet<RowName>) -> Transaction {
        let Self { registry, puts, deletes, fences } = self;
        if puts.is_empty() && deletes.is_empty() {
            return Transaction::default();
        }
        // Who goes takes its fence along; one that is absent must stay so.
        let gone = deletes.keys().filter(|row| row.kind.is_referred_to());
        let gone: BTreeSet<_> = gone.map(RowName::fence).collect();
        let rows = puts.keys().chain(deletes.keys()).chain(&held).chain(&fences).chain(&gone);
        let rows: BTreeSet<&RowName> = rows.collect();
        let condition = |row: &RowName| Condition { row: row.clone(), at: registry.revision_of(row) };
        let conditions = rows.into_iter().map(condition).collect();
        let leaves = gone.into_iter().filter(|fence| registry.revision_of(fence).is_some());
        let deletes = deletes.into_keys().chain(leaves).map(Write::Delete);
        let passed = fences.into_iter().map(|fence| Write::Put(fence, json!({})));
        let writes = puts.into_iter().map(|(row, put)| Write::Put(row, put.value));
        Transaction { conditions, writes: writes.chain(deletes).chain(passed).collect() }
    }
}
