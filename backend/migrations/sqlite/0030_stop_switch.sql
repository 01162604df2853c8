-- What operators stopped: a round (product is '') or one product of it. A resumed
-- pause leaves no row; the audit log remembers it.
CREATE TABLE stops (
    round   TEXT    NOT NULL,
    product TEXT    NOT NULL DEFAULT '',
    kind    TEXT    NOT NULL CHECK (kind IN ('paused', 'ended', 'withdrawn')),
    at_ms   INTEGER NOT NULL,
    -- Which orders are cancelled, also those that are placed later from purchases that
    -- were under way: none (''), the unpaid ones, or all, with a refund due of each that
    -- is paid.
    cancel  TEXT    NOT NULL DEFAULT '' CHECK (cancel IN ('', 'unpaid', 'all')),
    PRIMARY KEY (round, product)
) STRICT;

CREATE INDEX stops_cancelling ON stops (round) WHERE cancel <> '';

-- Rounds of which Redis may not know the stops yet.
CREATE TABLE stops_due (
    round   TEXT    NOT NULL PRIMARY KEY,
    -- The round's version from which Redis has to know them.
    version INTEGER NOT NULL
) STRICT;

-- An amount may be lowered to nothing. SQLite cannot widen a CHECK, so that the table
-- is copied.
CREATE TABLE frozen_stock_to_zero (
    round     TEXT    NOT NULL,
    product   TEXT    NOT NULL,
    amount    INTEGER NOT NULL CHECK (amount >= 0),
    frozen_ms INTEGER NOT NULL,
    segments  TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (round, product)
) STRICT;
INSERT INTO frozen_stock_to_zero (round, product, amount, frozen_ms, segments)
SELECT round, product, amount, frozen_ms, segments FROM frozen_stock;
DROP TABLE frozen_stock;
ALTER TABLE frozen_stock_to_zero RENAME TO frozen_stock;

-- The orders of a round or a product, by state.
CREATE INDEX orders_of_round ON orders (round, state, product, id);
