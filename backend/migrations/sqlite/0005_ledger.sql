-- Every event of every stock segment, archived from its stream.
CREATE TABLE ledger (
    round      TEXT    NOT NULL,
    product    TEXT    NOT NULL,
    segment    INTEGER NOT NULL,
    -- The event's id in its stream, in its two parts.
    entry_ms   INTEGER NOT NULL,
    entry_seq  INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    -- The event's fields as a JSON object of texts.
    event      TEXT    NOT NULL,
    archived_ms INTEGER NOT NULL,
    PRIMARY KEY (round, product, segment, entry_ms, entry_seq)
) STRICT, WITHOUT ROWID;
