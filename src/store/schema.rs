//! The tables, version by version.

use crate::sqlite::{Sort, Step};

/// The file of the host's own state: "grhy" in ASCII.
pub(super) const SORT: Sort<'static> = Sort {
    application_id: 0x6772_6879,
    steps: &[
        Step { sql: include_str!("schema.sql"), since: "0.1.0" },
        Step { sql: include_str!("schema2.sql"), since: "0.1.0" },
        Step { sql: include_str!("schema3.sql"), since: "0.1.0" },
        Step { sql: include_str!("schema4.sql"), since: "0.1.0" },
    ],
    mode: 0o640,
    finish: |_, _| Ok(()),
};
