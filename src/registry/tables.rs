//! All rows of a moment, typed, and who refers to whom.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Record, Stored};
use super::refused::Refused;
use super::row::{Kind, Revision, Row, RowName, Snapshot};
use crate::model::{Device, Interface, Lease, Need, Seat, Session, SharedPool, Termination, Used};

/// Rows of one kind, by key.
pub type Table<T> = BTreeMap<String, Stored<T>>;

/// The inventory at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    pub revision: Revision,
    pub devices: Table<Device>,
    pub interfaces: Table<Interface>,
    pub pools: Table<SharedPool>,
    pub used: Table<Used>,
    pub terminations: Table<Termination>,
    pub sessions: Table<Session>,
    pub leases: Table<Lease>,
    pub seats: Table<Seat>,
    pub needs: Table<Need>,
    revisions: BTreeMap<RowName, Revision>,
    referrers: BTreeMap<RowName, BTreeSet<RowName>>,
}

/// A record whose table is known: how a draft finds the row that it replaces.
pub trait Tabled: Record {
    fn table(registry: &Registry) -> &Table<Self>;
    fn table_mut(registry: &mut Registry) -> &mut Table<Self>;
}

macro_rules! tabled {
    ($($type:ident $table:ident),*) => {
        $(impl Tabled for $type {
            fn table(registry: &Registry) -> &Table<Self> {
                &registry.$table
            }

            fn table_mut(registry: &mut Registry) -> &mut Table<Self> {
                &mut registry.$table
            }
        })*
    };
}

tabled!(
    Device devices, Interface interfaces, SharedPool pools, Used used, Termination terminations,
    Session sessions, Lease leases, Seat seats, Need needs
);

impl Registry {
    /// Reads a snapshot. A row that is not what its kind says is an error that names it.
    pub fn new(snapshot: &Snapshot) -> Result<Self, Refused> {
        let mut registry = Self { revision: snapshot.revision, ..Self::default() };
        snapshot.rows.iter().try_for_each(|row| registry.add(row))?;
        Ok(registry)
    }

    /// When the row was written last; `None`: it is not there.
    pub fn revision_of(&self, row: &RowName) -> Option<Revision> {
        self.revisions.get(row).copied()
    }

    /// The rows that refer to this one, in order.
    pub fn referrers(&self, row: &RowName) -> impl Iterator<Item = &RowName> {
        self.referrers.get(row).into_iter().flatten()
    }

    /// References to rows that are not there: who refers, and to what.
    pub fn dangling(&self) -> impl Iterator<Item = (&RowName, &RowName)> {
        let missing = self.referrers.iter().filter(|(row, _)| !self.revisions.contains_key(*row));
        missing.flat_map(|(row, referrers)| referrers.iter().map(move |referrer| (referrer, row)))
    }

    fn add(&mut self, row: &Row) -> Result<(), Refused> {
        match row.name.kind {
            Kind::Device => self.enter::<Device>(row),
            Kind::Interface => self.enter::<Interface>(row),
            Kind::Pool => self.enter::<SharedPool>(row),
            Kind::Used => self.enter::<Used>(row),
            Kind::Termination => self.enter::<Termination>(row),
            Kind::Session => self.enter::<Session>(row),
            Kind::Lease => self.enter::<Lease>(row),
            Kind::Seat => self.enter::<Seat>(row),
            Kind::Need => self.enter::<Need>(row),
            Kind::Meta | Kind::Fence => {
                self.revisions.insert(row.name.clone(), row.revision);
                Ok(())
            }
        }
    }

    fn enter<T: Tabled>(&mut self, row: &Row) -> Result<(), Refused> {
        let unreadable = |what: String| Refused::Unreadable { row: row.name.clone(), what };
        let stored =
            Stored::<T>::read(&row.value, row.revision).map_err(|error| unreadable(error.to_string()))?;
        let key = stored.value.key();
        if key != row.name.key {
            return Err(unreadable(format!("by its fields its key is {key}")));
        }
        for referred in stored.value.refers() {
            self.referrers.entry(referred).or_default().insert(row.name.clone());
        }
        self.revisions.insert(row.name.clone(), row.revision);
        T::table_mut(self).insert(key, stored);
        Ok(())
    }
}
