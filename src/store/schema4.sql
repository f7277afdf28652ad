-- Version 4: what a tunnel learnt of its ends.

-- The peer inside that answered a probe.
ALTER TABLE choice ADD COLUMN peer INTEGER CHECK (peer BETWEEN 0 AND 4294967295);

-- Candidates at which the tunnel failed, whatever their probes said: when last, and how often in a row.
CREATE TABLE failure (
    tunnel TEXT NOT NULL REFERENCES choice (tunnel) ON DELETE CASCADE,
    remote INTEGER NOT NULL CHECK (remote BETWEEN 0 AND 4294967295),
    at_ms INTEGER NOT NULL,
    times INTEGER NOT NULL CHECK (times BETWEEN 1 AND 4294967295),
    PRIMARY KEY (tunnel, remote)
) STRICT, WITHOUT ROWID;
