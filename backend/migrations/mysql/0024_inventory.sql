-- Products that were chosen from the shop's own inventory: ours and its name for them.
CREATE TABLE inventory_items (
    product   VARCHAR(32)  NOT NULL PRIMARY KEY,
    sku       VARCHAR(255) NOT NULL,
    chosen_ms BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What the inventory holds for a round: asked for before it is called, so that nothing is
-- held twice, or held and forgotten.
CREATE TABLE inventory_holds (
    round      VARCHAR(32)  NOT NULL,
    product    VARCHAR(32)  NOT NULL,
    -- Its name at the inventory; a new one each time that it is held anew.
    hold       VARCHAR(100) NOT NULL,
    generation BIGINT       NOT NULL,
    sku        VARCHAR(255) NOT NULL,
    amount     BIGINT       NOT NULL CHECK (amount > 0),
    -- asked: unknown whether it is held. held. settling: to be settled as below. settled.
    state      VARCHAR(16)  NOT NULL CHECK (state IN ('asked', 'held', 'settling', 'settled')),
    sold       BIGINT       NOT NULL DEFAULT 0,
    returned   BIGINT       NOT NULL DEFAULT 0,
    -- Why it is as it is; empty if all is well.
    trouble    VARCHAR(500) NOT NULL DEFAULT '',
    updated_ms BIGINT       NOT NULL,
    PRIMARY KEY (round, product),
    KEY inventory_holds_open (state, updated_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
