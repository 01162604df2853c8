-- What orders that retention has removed were: by round, product and state, for the report
-- of the round. Counted in the transaction that removes them, in their own database.
CREATE TABLE removed_orders (
    round    TEXT COLLATE "C" NOT NULL,
    product  TEXT COLLATE "C" NOT NULL,
    state    TEXT COLLATE "C" NOT NULL,
    orders   BIGINT           NOT NULL,
    items    BIGINT           NOT NULL,
    -- What they cost, in cents.
    cents    BIGINT           NOT NULL,
    -- When the first and the last of them were placed.
    first_ms BIGINT           NOT NULL,
    last_ms  BIGINT           NOT NULL,
    PRIMARY KEY (round, product, state)
);
