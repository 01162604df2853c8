-- Payments of several providers, whose ids are of any length and charset. Money in minor
-- units of its currency.
ALTER TABLE payments ADD COLUMN provider VARCHAR(16) NOT NULL DEFAULT 'signed';
-- The provider's id where it is not the key (the column id) itself.
ALTER TABLE payments ADD COLUMN provider_id MEDIUMTEXT;
-- The order as the notice named it, where that is no number of ours.
ALTER TABLE payments ADD COLUMN order_named MEDIUMTEXT;
-- Empty: received before currencies were recorded.
ALTER TABLE payments ADD COLUMN currency VARCHAR(3) NOT NULL DEFAULT '';
-- How much of it was refunded in all.
ALTER TABLE payments ADD COLUMN refunded_cents BIGINT NOT NULL DEFAULT 0;

-- Where buyers were sent to pay: one payment for an order at each provider.
CREATE TABLE checkouts (
    order_id    BIGINT      NOT NULL,
    provider    VARCHAR(16) NOT NULL,
    user        VARCHAR(255) NOT NULL,
    pay_url     TEXT        NOT NULL,
    -- What the provider calls it, where that is not our order number.
    provider_id VARCHAR(255) NOT NULL,
    amount      BIGINT      NOT NULL,
    currency    VARCHAR(3)  NOT NULL,
    created_ms  BIGINT      NOT NULL,
    PRIMARY KEY (order_id, provider),
    KEY checkouts_by_time (created_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
