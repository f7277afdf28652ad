-- Version 1. A row is a JSON text under a kind and a key; that it exists is what makes something taken.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rows (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL CHECK (json_valid(value)),
    revision INTEGER NOT NULL CHECK (revision > 0),
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- Each row that was put or deleted, with the last transaction that did. Older ones than `compacted` may be gone.
CREATE TABLE changes (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX changes_by_revision ON changes (revision);

-- One row: the last revision, and the one up to which changes may be forgotten.
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL,
    compacted INTEGER NOT NULL CHECK (compacted <= revision)
) STRICT;
INSERT INTO clock VALUES (1, 0, 0);
