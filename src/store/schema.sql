-- Version 1. Addresses are integers in host order. The constraints hold whatever the program does.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A lease is one aligned prefix. 0.0.0.0 is in none.
CREATE TABLE lease (
    first INTEGER PRIMARY KEY CHECK (first > 0 AND first % (1 << (32 - length)) = 0),
    last INTEGER NOT NULL CHECK (last <= 4294967295 AND last = first + (1 << (32 - length)) - 1),
    length INTEGER NOT NULL CHECK (length BETWEEN 0 AND 32),
    pool TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('termination', 'overlay', 'client')),
    holder TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'resting')),
    since INTEGER NOT NULL CHECK (since >= 0),
    -- Which one of the holder's leases of this purpose it is: two writers cannot both give the first.
    nth INTEGER CHECK ((nth IS NOT NULL) = (state = 'active')),
    UNIQUE (holder, purpose, nth)
) STRICT;

-- Leases never overlap, so the one that begins last before NEW's end is the only one to look at.
CREATE TRIGGER lease_overlap BEFORE INSERT ON lease
WHEN (SELECT last FROM lease WHERE first <= NEW.last ORDER BY first DESC LIMIT 1) >= NEW.first
BEGIN
    SELECT RAISE(ABORT, 'overlaps another lease');
END;

CREATE TRIGGER lease_fixed BEFORE UPDATE OF first, last, length ON lease
BEGIN
    SELECT RAISE(ABORT, 'a lease keeps its prefix');
END;

CREATE TABLE claim (
    tunnel TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE claim_tuple (
    tunnel TEXT NOT NULL REFERENCES claim (tunnel) ON DELETE CASCADE,
    local INTEGER NOT NULL CHECK (local BETWEEN 0 AND 4294967295),
    remote INTEGER NOT NULL CHECK (remote BETWEEN 0 AND 4294967295),
    -- NULL: no key, which is not key 0.
    key INTEGER CHECK (key BETWEEN 0 AND 4294967295)
) STRICT;

-- No two tunnels claim the same tuple.
CREATE UNIQUE INDEX claim_tuple_once ON claim_tuple (local, remote, ifnull(key, -1));
CREATE INDEX claim_tuple_of ON claim_tuple (tunnel);

CREATE TABLE claim_address (
    tunnel TEXT NOT NULL REFERENCES claim (tunnel) ON DELETE CASCADE,
    address INTEGER NOT NULL CHECK (address BETWEEN 0 AND 4294967295),
    length INTEGER NOT NULL CHECK (length BETWEEN 0 AND 32),
    PRIMARY KEY (tunnel, address, length)
) STRICT, WITHOUT ROWID;

CREATE TABLE loopback (
    address INTEGER PRIMARY KEY CHECK (address BETWEEN 1 AND 4294967295)
) STRICT;
