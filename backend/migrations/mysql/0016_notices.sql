-- What buyers are to be told, a row a channel: written in the transaction that
-- changed their order, so that neither happens without the other.
CREATE TABLE notices (
    order_id   BIGINT       NOT NULL,
    kind       VARCHAR(16)  NOT NULL CHECK (kind IN ('ordered', 'paid', 'cancelled', 'failed', 'refund_due')),
    -- The payment that is to be given back; else empty.
    payment    VARCHAR(64)  NOT NULL DEFAULT '',
    channel    VARCHAR(16)  NOT NULL CHECK (channel IN ('webhook', 'email')),
    -- skipped: there is nobody to tell. dead: given up, for the reason beside it.
    state      VARCHAR(16)  NOT NULL CHECK (state IN ('waiting', 'sent', 'skipped', 'dead')),
    attempts   BIGINT       NOT NULL,
    -- When it is to be tried next; while somebody tries, until when he has.
    due_ms     BIGINT       NOT NULL,
    reason     VARCHAR(255),
    created_ms BIGINT       NOT NULL,
    updated_ms BIGINT       NOT NULL,
    PRIMARY KEY (order_id, kind, payment, channel),
    KEY notices_by_state (state, channel, due_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
