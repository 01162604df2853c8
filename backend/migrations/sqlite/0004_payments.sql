-- What was paid, by whom it was told, and what has to be paid back.
CREATE TABLE payments (
    id           TEXT    NOT NULL PRIMARY KEY,
    order_id     INTEGER NOT NULL,
    amount_cents INTEGER NOT NULL CHECK (amount_cents >= 0),
    state        TEXT    NOT NULL CHECK (state IN ('failed', 'paid', 'refund_due', 'refunded')),
    -- Why it has to be paid back.
    reason       TEXT,
    -- shop: the buyer at our own page; provider: a signed callback.
    via          TEXT    NOT NULL CHECK (via IN ('shop', 'provider')),
    received_ms  INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL
) STRICT;

CREATE INDEX payments_of_order ON payments (order_id);
CREATE INDEX payments_refund_due ON payments (received_ms) WHERE state = 'refund_due';
