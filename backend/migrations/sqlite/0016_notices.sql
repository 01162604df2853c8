-- Notifications to buyers, a row a channel: written in the transaction that changed
-- their order, so that neither happens without the other.
CREATE TABLE notices (
    order_id   INTEGER NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('ordered', 'paid', 'cancelled', 'failed', 'refund_due')),
    -- The payment whose refund is due; empty for other kinds.
    payment    TEXT    NOT NULL DEFAULT '',
    channel    TEXT    NOT NULL CHECK (channel IN ('webhook', 'email')),
    -- skipped: it has no recipient. dead: given up; the reason is beside it.
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'sent', 'skipped', 'dead')),
    attempts   INTEGER NOT NULL,
    -- The time of the next attempt; during an attempt, the end of its claim.
    due_ms     INTEGER NOT NULL,
    reason     TEXT,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (order_id, kind, payment, channel)
) STRICT, WITHOUT ROWID;

CREATE INDEX notices_waiting ON notices (channel, due_ms) WHERE state = 'waiting';
CREATE INDEX notices_dead ON notices (updated_ms) WHERE state = 'dead';
