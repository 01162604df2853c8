-- Locks that processes take in turn: for a transaction, by changing the row, or for some
-- steps in a row, by writing their name into it.
CREATE TABLE locks (
    name     TEXT    NOT NULL PRIMARY KEY,
    -- Who has it; empty if nobody has.
    holder   TEXT    NOT NULL DEFAULT '',
    -- When it is free again, should the holder die.
    until_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Held by whoever changes which products are in which rounds.
INSERT INTO locks (name) VALUES ('rounds');
