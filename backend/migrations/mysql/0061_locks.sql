-- Locks that processes take in turn: for a transaction, by changing the row, or for some
-- steps in a row, by writing their name into it.
CREATE TABLE locks (
    name     VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    -- Who has it; empty if nobody has.
    holder   VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    -- When it is free again, should the holder die.
    until_ms BIGINT       NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Held by whoever changes which products are in which rounds.
INSERT INTO locks (name) VALUES ('rounds');

-- MariaDB changed the index audit_of_target together with its column, and finds only some
-- of the rows by it since. Written anew, the table has an index that is whole.
ALTER TABLE audit FORCE;
