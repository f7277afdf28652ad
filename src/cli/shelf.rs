//! The inventory as verbs use it: opened as declared, changed, and what came of it told.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::bail;
use serde::Serialize;

use super::context::{Context, Declaration, read};
use super::{Ended, output};
use crate::inventory::{Error, Sqlite, change};
use crate::registry::{Decision, Refused, Registry};
use crate::sqlite;

/// The declared inventory.
pub enum Shelf {
    Open(Sqlite),
    /// None is declared.
    Absent,
    /// The declaration is wrong and was shown to be.
    BadDeclaration,
}

impl Context {
    /// Opens the inventory that the declaration names.
    pub fn shelf(&self) -> anyhow::Result<Shelf> {
        Ok(match self.declaration()? {
            Declaration::Bad => Shelf::BadDeclaration,
            Declaration::Good(config) => match &config.inventory {
                Some(path) => Shelf::Open(Sqlite::open(path)?),
                None => Shelf::Absent,
            },
        })
    }

    /// The same, for who can do without: `None` when none is declared, or the declaration cannot be read, which is no
    /// error where a daemon answered. Who may not open it is told, and shown the rest.
    pub fn shelf_if_declared(&self) -> anyhow::Result<Option<Sqlite>> {
        let Ok(Ok(config)) = read(self.file()) else { return Ok(None) };
        match config.inventory.as_deref().map(Sqlite::open).transpose() {
            Err(error @ Error::File(sqlite::Error::Denied { .. })) => {
                anstream::eprintln!("greyhound: without the inventory: {error}");
                Ok(None)
            }
            opened => Ok(opened?),
        }
    }

    /// Does what only an inventory can answer.
    pub fn with_inventory(&self, f: impl FnOnce(&Sqlite) -> anyhow::Result<Ended>) -> anyhow::Result<Ended> {
        match self.shelf()? {
            Shelf::Open(inventory) => f(&inventory),
            Shelf::BadDeclaration => Ok(Ended::BadDeclaration),
            Shelf::Absent => bail!(
                "no inventory is declared: write its file into {}, such as\n\
                 [inventory]\npath = \"/var/lib/greyhound-inventory/inventory.db\"",
                self.file().display()
            ),
        }
    }

    /// Decides, carries it out, and tells what it is now: the value as JSON, or a sentence for people.
    pub fn change_inventory<T: Serialize>(
        &self,
        decide: impl FnMut(&Registry) -> Result<Decision<T>, Refused>,
        sentence: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<Ended> {
        self.with_inventory(|inventory| {
            let value = change::change(inventory, decide)?;
            self.tell(&value, || sentence(&value))
        })
    }

    /// The value as JSON, or text for people.
    pub fn tell(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<Ended> {
        if self.json {
            output::json(value)?;
        } else {
            output::text(&format!("{}\n", text().trim_end()))?;
        }
        Ok(Ended::Whole)
    }
}

/// Everything that is in the inventory now.
pub fn registry(inventory: &Sqlite) -> Result<Registry, Error> {
    change::read(inventory)
}

/// A value of the command line that is one of a few words.
pub fn word<T: Copy + Display + Send + Sync>(
    all: &'static [T],
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync {
    move |text| {
        let known = all.iter().copied().find(|word| word.to_string() == text);
        known.ok_or_else(|| {
            let words: Vec<_> = all.iter().map(ToString::to_string).collect();
            format!("write one of {}", words.join(", "))
        })
    }
}

/// A number, or `none` for no limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit(pub Option<u64>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            _ => text
                .parse()
                .map(|number| Self(Some(number)))
                .map_err(|_| "write a number, or none".to_owned()),
        }
    }
}

/// Takes out what is `without`, then adds what is new of `with`, in order.
pub fn edited<T: PartialEq + Clone>(list: &[T], with: &[T], without: &[T]) -> Vec<T> {
    let mut edited: Vec<T> = list.iter().filter(|item| !without.contains(item)).cloned().collect();
    for item in with {
        if !edited.contains(item) {
            edited.push(item.clone());
        }
    }
    edited
}

/// Values in one column, or a dash.
pub fn joined(values: impl IntoIterator<Item = impl Display>) -> String {
    let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    if values.is_empty() { "-".to_owned() } else { values.join(" ") }
}

/// A name and its value a line.
pub fn lines(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(what, value)| format!("{what:<19} {}\n", output::one_line(value))).collect()
}

/// A text, or a dash for none.
pub fn shown(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { output::one_line(text) }
}
