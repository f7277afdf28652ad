//! The store: claims and leases of this host, in SQLite.
