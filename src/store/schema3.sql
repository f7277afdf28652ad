-- Version 3: which of its remotes a tunnel uses.

CREATE TABLE choice (
    tunnel TEXT PRIMARY KEY,
    remote INTEGER CHECK (remote BETWEEN 0 AND 4294967295),
    held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1))
) STRICT, WITHOUT ROWID;
