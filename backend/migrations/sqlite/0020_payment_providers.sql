-- Payments of several providers, whose ids are of any length and charset. Money in minor
-- units of its currency.
ALTER TABLE payments ADD COLUMN provider TEXT NOT NULL DEFAULT 'signed';
-- The provider's id where it is not the key (the column id) itself.
ALTER TABLE payments ADD COLUMN provider_id TEXT;
-- The order as the notice named it, where that is no number of ours.
ALTER TABLE payments ADD COLUMN order_named TEXT;
-- Empty: received before currencies were recorded.
ALTER TABLE payments ADD COLUMN currency TEXT NOT NULL DEFAULT '';
-- How much of it was refunded in all.
ALTER TABLE payments ADD COLUMN refunded_cents INTEGER NOT NULL DEFAULT 0;

-- Where buyers were sent to pay: one payment for an order at each provider.
CREATE TABLE checkouts (
    order_id    INTEGER NOT NULL,
    provider    TEXT    NOT NULL,
    user        TEXT    NOT NULL,
    pay_url     TEXT    NOT NULL,
    -- What the provider calls it, where that is not our order number.
    provider_id TEXT    NOT NULL,
    amount      INTEGER NOT NULL,
    currency    TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (order_id, provider)
) STRICT, WITHOUT ROWID;

CREATE INDEX checkouts_by_time ON checkouts (created_ms);
