-- Transfers of items between sites that sell one round: this site's end of each.
CREATE TABLE site_transfers (
    -- Named by the site that asked.
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- The site at the other end.
    peer       TEXT COLLATE "C" NOT NULL,
    round      TEXT COLLATE "C" NOT NULL,
    product    TEXT COLLATE "C" NOT NULL,
    -- in: the items come here. out: they leave.
    side       TEXT COLLATE "C" NOT NULL CHECK (side IN ('in', 'out')),
    -- 1: the site that they leave was declared lost.
    lost       BIGINT NOT NULL DEFAULT 0,
    -- Items asked for.
    wanted     BIGINT NOT NULL CHECK (wanted > 0),
    -- Items that left or came; 0 until that is known.
    items      BIGINT NOT NULL DEFAULT 0,
    -- Items that were sold here before it was known that they were taken over elsewhere.
    short      BIGINT NOT NULL DEFAULT 0,
    state      TEXT COLLATE "C" NOT NULL
        CHECK (state IN ('asked', 'granted', 'arrived', 'taking', 'given', 'done')),
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX site_transfers_open ON site_transfers (state, updated_ms);
CREATE INDEX site_transfers_of_item ON site_transfers (round, product);
