-- What retention has removed of a round, written before the first row is removed.
CREATE TABLE removals (
    round   VARCHAR(64)  NOT NULL,
    what    VARCHAR(16)  NOT NULL CHECK (what IN ('orders', 'ledger')),
    -- Rows exported so far, in which file last, and that file's SHA-256.
    removed BIGINT       NOT NULL,
    file    TEXT         NOT NULL,
    digest  VARCHAR(64)  NOT NULL,
    at_ms   BIGINT       NOT NULL,
    -- When nothing of it was left.
    done_ms BIGINT,
    PRIMARY KEY (round, what)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
