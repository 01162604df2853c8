-- Every event of every stock segment, archived from its stream.
CREATE TABLE ledger (
    round       VARCHAR(32) NOT NULL,
    product     VARCHAR(32) NOT NULL,
    segment     INT         NOT NULL,
    -- The event's id in its stream, in its two parts.
    entry_ms    BIGINT      NOT NULL,
    entry_seq   BIGINT      NOT NULL,
    kind        VARCHAR(32) NOT NULL,
    -- The event's fields as a JSON object of texts.
    event       TEXT        NOT NULL,
    archived_ms BIGINT      NOT NULL,
    PRIMARY KEY (round, product, segment, entry_ms, entry_seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
