-- Transfers of items between sites that sell one round: this site's end of each.
CREATE TABLE site_transfers (
    -- Named by the site that asked.
    id         VARCHAR(64) NOT NULL PRIMARY KEY,
    -- The site at the other end.
    peer       VARCHAR(32) NOT NULL,
    round      VARCHAR(64) NOT NULL,
    product    VARCHAR(64) NOT NULL,
    -- in: the items come here. out: they leave.
    side       VARCHAR(3)  NOT NULL CHECK (side IN ('in', 'out')),
    -- 1: the site that they leave was declared lost.
    lost       BIGINT      NOT NULL DEFAULT 0,
    -- Items asked for.
    wanted     BIGINT      NOT NULL CHECK (wanted > 0),
    -- Items that left or came; 0 until that is known.
    items      BIGINT      NOT NULL DEFAULT 0,
    -- Items that were sold here before it was known that they were taken over elsewhere.
    short      BIGINT      NOT NULL DEFAULT 0,
    state      VARCHAR(16) NOT NULL
        CHECK (state IN ('asked', 'granted', 'arrived', 'taking', 'given', 'done')),
    created_ms BIGINT      NOT NULL,
    updated_ms BIGINT      NOT NULL,
    KEY site_transfers_open (state, updated_ms),
    KEY site_transfers_of_item (round, product)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
