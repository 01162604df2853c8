-- What orders that retention has removed were: by round, product and state, for the report
-- of the round. Counted in the transaction that removes them, in their own database.
CREATE TABLE removed_orders (
    round    TEXT    NOT NULL,
    product  TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    orders   INTEGER NOT NULL,
    items    INTEGER NOT NULL,
    -- What they cost, in cents.
    cents    INTEGER NOT NULL,
    -- When the first and the last of them were placed.
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    PRIMARY KEY (round, product, state)
) STRICT;
