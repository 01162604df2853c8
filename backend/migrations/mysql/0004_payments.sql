-- Payments: the amount, the sender of the notice, and refunds that are due.
CREATE TABLE payments (
    id           VARCHAR(64) NOT NULL PRIMARY KEY,
    order_id     BIGINT      NOT NULL,
    amount_cents BIGINT      NOT NULL CHECK (amount_cents >= 0),
    state        VARCHAR(16) NOT NULL CHECK (state IN ('failed', 'paid', 'refund_due', 'refunded')),
    -- Why a refund is due.
    reason       VARCHAR(32),
    -- shop: the shop's own payment page; provider: a signed callback.
    via          VARCHAR(16) NOT NULL CHECK (via IN ('shop', 'provider')),
    received_ms  BIGINT      NOT NULL,
    updated_ms   BIGINT      NOT NULL,
    KEY payments_of_order (order_id),
    KEY payments_by_state (state, received_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
