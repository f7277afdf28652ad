//! The form of the rows: which fields they have and what these mean. The store says which form it has and who can read
//! it; a later greyhound writes the old form until it is told to migrate, so that one host that was upgraded does not
//! stop the others.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::row::{Condition, Kind, LARGEST, Row, RowName, Snapshot, Transaction, Write};

/// The key of the row that says it, of kind [`Kind::Meta`].
const KEY: &str = "form";

/// What a store says of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// All rows have at least this form.
    pub form: u32,
    /// The least form that a greyhound must know to read them.
    pub min_reader: u32,
}

/// One form's way to the next: the value that a row of this kind gets, or `None`: it stays.
pub type Step = fn(Kind, &Value) -> Option<Value>;

/// Step n leads from form n + 1 to n + 2. Steps are only ever added.
pub const STEPS: &[Step] = &[];

/// The rows are for a later greyhound.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "the inventory has rows of form {needs}, and this greyhound knows up to {knows}: use a later greyhound on this host"
)]
pub struct TooNew {
    pub needs: u32,
    pub knows: u32,
}

/// The newest form that these steps lead to.
pub fn newest(steps: &[Step]) -> u32 {
    u32::try_from(steps.len()).unwrap_or(u32::MAX - 1) + 1
}

/// Which form the rows have; an error if they are for a later greyhound. A store that says nothing has the first form.
pub fn check(snapshot: &Snapshot, steps: &[Step]) -> Result<Form, TooNew> {
    let said = snapshot.rows.iter().find(|row| row.name == name());
    let form = said.and_then(|row| Form::deserialize(&row.value).ok());
    // What cannot be read at all was written by somebody who knows more.
    let unreadable = Form { form: u32::MAX, min_reader: u32::MAX };
    let form = form.unwrap_or(if said.is_some() { unreadable } else { Form { form: 1, min_reader: 1 } });
    let knows = newest(steps);
    if form.min_reader > knows {
        return Err(TooNew { needs: form.min_reader, knows });
    }
    Ok(form)
}

/// What is next on the way to the newest form; `None`: it is there. First older readers are kept out; then the rows
/// are changed, as many as fit; at last the form is said. Carried out until nothing is next; begun again after a
/// crash, it goes on.
pub fn next(snapshot: &Snapshot, steps: &[Step]) -> Result<Option<Transaction>, TooNew> {
    let (form, newest) = (check(snapshot, steps)?, newest(steps));
    if form.form >= newest {
        return Ok(None);
    }
    if form.min_reader < newest {
        return Ok(Some(say(snapshot, Form { form: form.form, min_reader: newest })));
    }
    let behind = &steps[form.form.saturating_sub(1) as usize..];
    let changed = snapshot.rows.iter().filter_map(|row| upgraded(row, behind).map(|value| (row, value)));
    let mut transaction = Transaction::default();
    for (row, value) in changed.take(LARGEST) {
        transaction.conditions.push(Condition { row: row.name.clone(), at: Some(row.revision) });
        transaction.writes.push(Write::Put(row.name.clone(), value));
    }
    if transaction.is_empty() {
        return Ok(Some(say(snapshot, Form { form: newest, min_reader: newest })));
    }
    Ok(Some(transaction))
}

fn upgraded(row: &Row, steps: &[Step]) -> Option<Value> {
    let step = |value: Option<Value>, step: &Step| {
        let before = value.as_ref().unwrap_or(&row.value);
        step(row.name.kind, before).or(value)
    };
    steps.iter().fold(None, step).filter(|value| *value != row.value)
}

fn say(snapshot: &Snapshot, form: Form) -> Transaction {
    let at = snapshot.rows.iter().find(|row| row.name == name()).map(|row| row.revision);
    let value = serde_json::to_value(form).unwrap_or_default();
    Transaction { conditions: vec![Condition { row: name(), at }], writes: vec![Write::Put(name(), value)] }
}

fn name() -> RowName {
    RowName::new(Kind::Meta, KEY)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The second form spells a device's `site` as `location`.
    const RENAME: Step = |kind, value| {
        let site = value.get("site").filter(|_| kind == Kind::Device)?;
        let mut value = value.clone();
        value["location"] = site.clone();
        value.as_object_mut()?.remove("site");
        Some(value)
    };

    fn snapshot(devices: usize) -> Snapshot {
        let row = |n| Row {
            name: RowName::new(Kind::Device, format!("d{n}")),
            value: json!({ "code": format!("d{n}"), "site": "ams" }),
            revision: 1,
        };
        Snapshot { revision: 1, rows: (0..devices).map(row).collect() }
    }

    fn carry_out(snapshot: &mut Snapshot, transaction: &Transaction) {
        assert!(transaction.fits());
        for write in &transaction.writes {
            let Write::Put(name, value) = write else { panic!("nothing goes") };
            snapshot.rows.retain(|row| row.name != *name);
            snapshot.rows.push(Row { name: name.clone(), value: value.clone(), revision: 2 });
        }
    }

    #[test]
    fn a_migration_keeps_older_readers_out_before_it_changes_anything() {
        let mut store = snapshot(300);
        let mut turns = 0;
        while let Some(transaction) = next(&store, &[RENAME]).unwrap() {
            carry_out(&mut store, &transaction);
            turns += 1;
            assert_eq!(check(&store, &[]), Err(TooNew { needs: 2, knows: 1 }), "after {turns}");
        }
        assert_eq!(turns, 5, "one, three of rows, and one");
        assert_eq!(check(&store, &[RENAME]).unwrap(), Form { form: 2, min_reader: 2 });
        let devices = store.rows.iter().filter(|row| row.name.kind == Kind::Device);
        assert!(devices.clone().all(|row| row.value["location"] == "ams" && row.value.get("site").is_none()));
        assert_eq!(devices.count(), 300);
    }

    #[test]
    fn until_then_both_read_it() {
        let store = snapshot(1);
        let first = Form { form: 1, min_reader: 1 };
        assert_eq!((check(&store, &[]), check(&store, &[RENAME])), (Ok(first), Ok(first)));
        assert_eq!(next(&store, STEPS), Ok(None));
    }

    #[test]
    fn what_says_its_form_in_words_that_are_not_known_is_too_new() {
        let mut store = snapshot(0);
        store.rows.push(Row { name: name(), value: json!({ "epoch": "next" }), revision: 1 });
        assert!(check(&store, &[RENAME]).is_err());
    }
}
