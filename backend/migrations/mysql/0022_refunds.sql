-- Refunds that were asked for: written before the provider is called, so that the same
-- refund is never made twice, whoever dies in between.
CREATE TABLE refunds (
    id          VARCHAR(64)  NOT NULL PRIMARY KEY,
    payment     VARCHAR(64)  NOT NULL,
    amount      BIGINT       NOT NULL CHECK (amount > 0),
    state       VARCHAR(16)  NOT NULL CHECK (state IN ('asked', 'pending', 'done', 'refused')),
    -- Why it was refused.
    reason      VARCHAR(500),
    asked_by    VARCHAR(255) NOT NULL,
    created_ms  BIGINT       NOT NULL,
    updated_ms  BIGINT       NOT NULL,
    KEY refunds_of_payment (payment)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE INDEX payments_by_provider ON payments (provider, received_ms);

-- Days whose payments were compared with the provider's list.
CREATE TABLE reconciliations (
    provider    VARCHAR(16) NOT NULL,
    day         VARCHAR(10) NOT NULL,
    -- What was different, mended or not; and how much is left for a person.
    differences BIGINT      NOT NULL,
    open        BIGINT      NOT NULL,
    report      MEDIUMTEXT  NOT NULL,
    done_ms     BIGINT      NOT NULL,
    PRIMARY KEY (provider, day)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
