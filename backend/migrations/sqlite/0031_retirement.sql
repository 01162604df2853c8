-- When a round that was over and settled left the catalogue and Redis.
ALTER TABLE rounds ADD COLUMN retired_ms INTEGER;
-- 1 once nothing of a retired round is left in Redis.
ALTER TABLE rounds ADD COLUMN cleared INTEGER NOT NULL DEFAULT 0;
CREATE INDEX rounds_to_retire ON rounds (ends_ms) WHERE retired_ms IS NULL;
CREATE INDEX rounds_to_clear ON rounds (retired_ms) WHERE retired_ms IS NOT NULL AND cleared = 0;

-- What a segment of a retired round held at its end, and a digest of its archived events:
-- the ledger of every round that was ever held can be verified by these.
CREATE TABLE retired_segments (
    round   TEXT    NOT NULL,
    product TEXT    NOT NULL,
    segment INTEGER NOT NULL,
    sale    INTEGER NOT NULL,
    saled   INTEGER NOT NULL,
    events  INTEGER NOT NULL,
    digest  TEXT    NOT NULL,
    PRIMARY KEY (round, product, segment)
) STRICT;
