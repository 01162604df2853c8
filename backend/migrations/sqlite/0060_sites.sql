-- Transfers of items between sites that sell one round: this site's end of each.
CREATE TABLE site_transfers (
    -- Named by the site that asked.
    id         TEXT    NOT NULL PRIMARY KEY,
    -- The site at the other end.
    peer       TEXT    NOT NULL,
    round      TEXT    NOT NULL,
    product    TEXT    NOT NULL,
    -- in: the items come here. out: they leave.
    side       TEXT    NOT NULL CHECK (side IN ('in', 'out')),
    -- 1: the site that they leave was declared lost.
    lost       INTEGER NOT NULL DEFAULT 0,
    -- Items asked for.
    wanted     INTEGER NOT NULL CHECK (wanted > 0),
    -- Items that left or came; 0 until that is known.
    items      INTEGER NOT NULL DEFAULT 0,
    -- Items that were sold here before it was known that they were taken over elsewhere.
    short      INTEGER NOT NULL DEFAULT 0,
    state      TEXT    NOT NULL
        CHECK (state IN ('asked', 'granted', 'arrived', 'taking', 'given', 'done')),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX site_transfers_open ON site_transfers (state, updated_ms);
CREATE INDEX site_transfers_of_item ON site_transfers (round, product);
