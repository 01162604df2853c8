-- When a round that was over and settled left the catalogue and Redis; and 1 once nothing
-- of it is left in Redis.
ALTER TABLE rounds
    ADD COLUMN retired_ms BIGINT,
    ADD COLUMN cleared TINYINT NOT NULL DEFAULT 0,
    ADD KEY rounds_to_retire (retired_ms, ends_ms),
    ADD KEY rounds_to_clear (cleared, retired_ms);

-- What a segment of a retired round held at its end, and a digest of its archived events:
-- the ledger of every round that was ever held can be verified by these.
CREATE TABLE IF NOT EXISTS retired_segments (
    round   VARCHAR(32) NOT NULL,
    product VARCHAR(32) NOT NULL,
    segment INT         NOT NULL,
    sale    BIGINT      NOT NULL,
    saled   BIGINT      NOT NULL,
    events  BIGINT      NOT NULL,
    digest  VARCHAR(64) NOT NULL,
    PRIMARY KEY (round, product, segment)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
