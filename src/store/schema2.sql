-- Version 2: what happened, and since when a tunnel's link is there.

CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL CHECK (at_ms >= 0),
    kind TEXT NOT NULL,
    tunnel TEXT,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX event_of ON event (tunnel, kind, seq);

CREATE TABLE made (
    tunnel TEXT PRIMARY KEY,
    at INTEGER NOT NULL CHECK (at >= 0)
) STRICT, WITHOUT ROWID;
