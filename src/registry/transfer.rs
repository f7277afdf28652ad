//! All of the inventory as one JSON document, and back. Brought in twice, the second time changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::draft::Draft;
use super::pools;
use super::record::Stored;
use super::refused::Refused;
use super::row::{Kind, Row, RowName, Snapshot, Transaction, Write};
use super::tables::{Registry, Tabled};
use crate::model::{Device, Interface, Lease, Need, Seat, Session, SharedPool, Termination, Used};

/// The form of the document.
const VERSION: u32 = 1;

/// The whole inventory, row by row, in an order in which it can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub greyhound_inventory: u32,
    /// By kind: the rows' values, by key.
    pub rows: Map<String, Value>,
}

/// Why a document was not brought in. Nothing was written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unfit {
    #[error("it is a document of form {0}, and this greyhound reads {VERSION}")]
    Version(u32),
    #[error("it has rows of kind {0:?}, which is none: it was exported by a later greyhound")]
    Kind(String),
    #[error("{0} is in the inventory already, and another: --replace takes the document's")]
    Another(RowName),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// The rows of a snapshot as a document. Fences, and the form, are the store's own.
pub fn export(snapshot: &Snapshot) -> Document {
    let mut rows = Map::new();
    for kind in Kind::ALL.into_iter().filter(|kind| carried(*kind)) {
        let mut of_kind: Vec<_> = snapshot.rows.iter().filter(|row| row.name.kind == kind).collect();
        of_kind.sort_by_key(|row| &row.name);
        let values = of_kind.into_iter().map(|row| (row.name.key.clone(), row.value.clone()));
        rows.insert(kind.name().to_owned(), Value::Object(values.collect()));
    }
    Document { greyhound_inventory: VERSION, rows }
}

impl Document {
    /// The rows as a snapshot that was never in a store: what was seen last, for when the store is away.
    pub fn snapshot(&self) -> Result<Snapshot, Unfit> {
        if self.greyhound_inventory != VERSION {
            return Err(Unfit::Version(self.greyhound_inventory));
        }
        let mut rows = Vec::new();
        for (kind, values) in &self.rows {
            let known = Kind::of_name(kind).filter(|kind| carried(*kind));
            let kind = known.ok_or_else(|| Unfit::Kind(kind.clone()))?;
            let values = values.as_object().into_iter().flatten();
            rows.extend(values.map(|(key, value)| Row {
                name: RowName::new(kind, key),
                value: value.clone(),
                revision: 0,
            }));
        }
        Ok(Snapshot { revision: 0, rows })
    }
}

/// What brings the document's rows in, in transactions that fit. Rows that are there and not in the document stay; one
/// that is there and another is an error, unless it is to be replaced. The whole must fit together: references, and
/// pools beside each other.
pub fn import(snapshot: &Snapshot, document: &Document, replace: bool) -> Result<Vec<Transaction>, Unfit> {
    let registry = &Registry::new(snapshot)?;
    let mut draft = Draft::new(registry);
    for row in document.snapshot()?.rows {
        bring(&mut draft, &row, replace)?;
    }
    let transaction = draft.finish()?;
    pools::audit(&Registry::new(&after(snapshot, &transaction))?)?;
    Ok(transaction.split().into_iter().filter(|part| !part.is_empty()).collect())
}

/// The rows as they are once the transaction is carried out.
fn after(snapshot: &Snapshot, transaction: &Transaction) -> Snapshot {
    let mut rows: BTreeMap<_, _> = snapshot.rows.iter().map(|row| (row.name.clone(), row.clone())).collect();
    for write in &transaction.writes {
        match write {
            Write::Put(name, value) => {
                let row = Row { name: name.clone(), value: value.clone(), revision: snapshot.revision };
                rows.insert(name.clone(), row);
            }
            Write::Delete(name) => drop(rows.remove(name)),
        }
    }
    Snapshot { revision: snapshot.revision, rows: rows.into_values().collect() }
}

fn carried(kind: Kind) -> bool {
    !matches!(kind, Kind::Meta | Kind::Fence)
}

fn bring(draft: &mut Draft<'_>, row: &Row, replace: bool) -> Result<(), Unfit> {
    match row.name.kind {
        Kind::Device => bring_as::<Device>(draft, row, replace),
        Kind::Interface => bring_as::<Interface>(draft, row, replace),
        Kind::Pool => bring_as::<SharedPool>(draft, row, replace),
        Kind::Used => bring_as::<Used>(draft, row, replace),
        Kind::Termination => bring_as::<Termination>(draft, row, replace),
        Kind::Session => bring_as::<Session>(draft, row, replace),
        Kind::Lease => bring_as::<Lease>(draft, row, replace),
        Kind::Seat => bring_as::<Seat>(draft, row, replace),
        Kind::Need => bring_as::<Need>(draft, row, replace),
        Kind::Meta | Kind::Fence => Ok(()),
    }
}

fn bring_as<T: Tabled>(draft: &mut Draft<'_>, row: &Row, replace: bool) -> Result<(), Unfit> {
    let unreadable = |what: String| Refused::Unreadable { row: row.name.clone(), what };
    let stored = Stored::<T>::read(&row.value, 0).map_err(|error| unreadable(error.to_string()))?;
    if stored.value.key() != row.name.key {
        return Err(unreadable(format!("by its fields its key is {}", stored.value.key())).into());
    }
    let there = T::table(draft.registry).get(&row.name.key);
    let another = there.is_some_and(|there| there.value != stored.value || there.more != stored.more);
    if another && !replace {
        return Err(Unfit::Another(row.name.clone()));
    }
    draft.put_with(&stored.value, &stored.more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW, Paper, device, pool};
    use super::super::{devices, pools as of_pools};
    use super::*;
    use crate::model::Purpose;

    fn stocked() -> Paper {
        let mut paper = Paper::default();
        paper.change(|r| devices::put(r, &device("ams-1", &["198.51.100.8/29"]), NOW)).unwrap();
        paper
            .change(|r| of_pools::put(r, &pool("inside", Purpose::Overlay, &["169.254.0.0/24"]), NOW))
            .unwrap();
        paper
    }

    fn bring_in(paper: &mut Paper, document: &Document, replace: bool) -> Result<usize, Unfit> {
        let parts = import(&paper.0, document, replace)?;
        assert!(parts.iter().all(|part| paper.commit(part)));
        Ok(parts.len())
    }

    #[test]
    fn what_was_exported_comes_in_once() {
        let document = export(&stocked().0);
        let text = serde_json::to_string(&document).unwrap();
        let document: Document = serde_json::from_str(&text).unwrap();
        let seen = Registry::new(&document.snapshot().unwrap()).unwrap();
        assert_eq!((seen.devices.len(), seen.pools.len()), (1, 2), "it can be read without a store");
        let mut paper = Paper::default();
        assert_eq!(bring_in(&mut paper, &document, false), Ok(1));
        assert_eq!(export(&paper.0), document);
        assert_eq!(bring_in(&mut paper, &document, false), Ok(0));
    }

    #[test]
    fn a_large_one_comes_in_in_parts() {
        let mut document = export(&Paper::default().0);
        let devices = (0..300).map(|n| {
            let device = device(&format!("d{n}"), &[]);
            (device.code.to_string(), serde_json::to_value(device).unwrap())
        });
        document.rows.insert("device".to_owned(), Value::Object(devices.collect()));
        let mut paper = Paper::default();
        assert_eq!(bring_in(&mut paper, &document, false), Ok(3));
        assert_eq!(paper.registry().devices.len(), 300);
    }

    #[test]
    fn what_is_there_and_another_is_kept_unless_it_is_to_be_replaced() {
        let mut paper = stocked();
        let mut document = export(&paper.0);
        document.rows["device"]["ams-1"]["owner"] = "other".into();
        let refused = bring_in(&mut paper, &document, false).unwrap_err().to_string();
        assert!(refused.starts_with("device ams-1 is in the inventory already"), "{refused}");
        assert_eq!(bring_in(&mut paper, &document, true), Ok(1));
        assert_eq!(paper.registry().devices["ams-1"].value.owner, "other");
    }

    #[test]
    fn what_does_not_fit_together_does_not_come_in() {
        let refused = |change: &dyn Fn(&mut Document)| {
            let mut document = export(&stocked().0);
            change(&mut document);
            bring_in(&mut Paper::default(), &document, false).unwrap_err().to_string()
        };
        let dangling = refused(&|document| drop(document.rows.remove("device")));
        assert!(dangling.starts_with("pool ams-1 refers to device ams-1, which is not"), "{dangling}");
        let overlap = refused(&|document| {
            document.rows["pool"]["inside"]["ranges"] = serde_json::json!(["198.51.100.8/32"]);
        });
        assert!(overlap.contains("overlaps"), "{overlap}");
        let unreadable = refused(&|document| document.rows["device"]["ams-1"]["public_ip"] = "x".into());
        assert!(unreadable.starts_with("device ams-1 cannot be read"), "{unreadable}");
        let misnamed = refused(&|document| document.rows["device"]["ams-1"]["code"] = "ams-2".into());
        assert!(misnamed.contains("its key is ams-2"), "{misnamed}");
        let unknown = refused(&|document| drop(document.rows.insert("tenant".to_owned(), Value::Null)));
        assert!(unknown.contains("\"tenant\""), "{unknown}");
    }
}
