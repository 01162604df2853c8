-- What retention has removed of a round, written before the first row is removed.
CREATE TABLE removals (
    round   TEXT    NOT NULL,
    what    TEXT    NOT NULL CHECK (what IN ('orders', 'ledger')),
    -- Rows exported so far, in which file last, and that file's SHA-256.
    removed INTEGER NOT NULL,
    file    TEXT    NOT NULL,
    digest  TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL,
    -- When nothing of it was left.
    done_ms INTEGER,
    PRIMARY KEY (round, what)
) STRICT;
