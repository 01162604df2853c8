-- What buyers are to be told, a row a channel: written in the transaction that
-- changed their order, so that neither happens without the other.
CREATE TABLE notices (
    order_id   INTEGER NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('ordered', 'paid', 'cancelled', 'failed', 'refund_due')),
    -- The payment that is to be given back; else empty.
    payment    TEXT    NOT NULL DEFAULT '',
    channel    TEXT    NOT NULL CHECK (channel IN ('webhook', 'email')),
    -- skipped: there is nobody to tell. dead: given up, for the reason beside it.
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'sent', 'skipped', 'dead')),
    attempts   INTEGER NOT NULL,
    -- When it is to be tried next; while somebody tries, until when he has.
    due_ms     INTEGER NOT NULL,
    reason     TEXT,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (order_id, kind, payment, channel)
) STRICT, WITHOUT ROWID;

CREATE INDEX notices_waiting ON notices (channel, due_ms) WHERE state = 'waiting';
CREATE INDEX notices_dead ON notices (updated_ms) WHERE state = 'dead';
