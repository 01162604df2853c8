-- What the live board showed, a point every ten seconds.
CREATE TABLE board_history (
    -- When, epoch milliseconds, a whole ten seconds: of several ops roles one writes.
    at_ms BIGINT NOT NULL PRIMARY KEY,
    -- The numbers as JSON.
    data  TEXT   NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
