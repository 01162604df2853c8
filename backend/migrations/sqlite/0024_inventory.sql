-- Products that were chosen from the shop's own inventory: ours and its name for them.
CREATE TABLE inventory_items (
    product   TEXT    NOT NULL PRIMARY KEY,
    sku       TEXT    NOT NULL,
    chosen_ms INTEGER NOT NULL
) STRICT;

-- What the inventory holds for a round: asked for before it is called, so that nothing is
-- held twice, or held and forgotten.
CREATE TABLE inventory_holds (
    round      TEXT    NOT NULL,
    product    TEXT    NOT NULL,
    -- Its name at the inventory; a new one each time that it is held anew.
    hold       TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    sku        TEXT    NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    -- asked: unknown whether it is held. held. settling: to be settled as below. settled.
    state      TEXT    NOT NULL CHECK (state IN ('asked', 'held', 'settling', 'settled')),
    sold       INTEGER NOT NULL DEFAULT 0,
    returned   INTEGER NOT NULL DEFAULT 0,
    -- Why it is as it is; empty if all is well.
    trouble    TEXT    NOT NULL DEFAULT '',
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (round, product)
) STRICT;

CREATE INDEX inventory_holds_open ON inventory_holds (state, updated_ms);
