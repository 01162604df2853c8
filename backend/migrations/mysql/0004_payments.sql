-- What was paid, by whom it was told, and what has to be paid back.
CREATE TABLE payments (
    id           VARCHAR(64) NOT NULL PRIMARY KEY,
    order_id     BIGINT      NOT NULL,
    amount_cents BIGINT      NOT NULL CHECK (amount_cents >= 0),
    state        VARCHAR(16) NOT NULL CHECK (state IN ('failed', 'paid', 'refund_due', 'refunded')),
    -- Why it has to be paid back.
    reason       VARCHAR(32),
    -- shop: the buyer at our own page; provider: a signed callback.
    via          VARCHAR(16) NOT NULL CHECK (via IN ('shop', 'provider')),
    received_ms  BIGINT      NOT NULL,
    updated_ms   BIGINT      NOT NULL,
    KEY payments_of_order (order_id),
    KEY payments_by_state (state, received_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
