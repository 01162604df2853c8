-- Payments: the amount, the sender of the notice, and refunds that are due.
CREATE TABLE payments (
    id           TEXT    NOT NULL PRIMARY KEY,
    order_id     INTEGER NOT NULL,
    amount_cents INTEGER NOT NULL CHECK (amount_cents >= 0),
    state        TEXT    NOT NULL CHECK (state IN ('failed', 'paid', 'refund_due', 'refunded')),
    -- Why a refund is due.
    reason       TEXT,
    -- shop: the shop's own payment page; provider: a signed callback.
    via          TEXT    NOT NULL CHECK (via IN ('shop', 'provider')),
    received_ms  INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL
) STRICT;

CREATE INDEX payments_of_order ON payments (order_id);
CREATE INDEX payments_refund_due ON payments (received_ms) WHERE state = 'refund_due';
