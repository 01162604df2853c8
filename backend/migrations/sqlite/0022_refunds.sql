-- Refunds that were asked for: written before the provider is called, so that the same
-- refund is never made twice, whoever dies in between.
CREATE TABLE refunds (
    id          TEXT    NOT NULL PRIMARY KEY,
    payment     TEXT    NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    state       TEXT    NOT NULL CHECK (state IN ('asked', 'pending', 'done', 'refused')),
    -- Why it was refused.
    reason      TEXT,
    asked_by    TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
) STRICT;

CREATE INDEX refunds_of_payment ON refunds (payment);
CREATE INDEX payments_by_provider ON payments (provider, received_ms);

-- Days whose payments were compared with the provider's list.
CREATE TABLE reconciliations (
    provider    TEXT    NOT NULL,
    day         TEXT    NOT NULL,
    -- What was different, mended or not; and how much is left for a person.
    differences INTEGER NOT NULL,
    open        INTEGER NOT NULL,
    report      TEXT    NOT NULL,
    done_ms     INTEGER NOT NULL,
    PRIMARY KEY (provider, day)
) STRICT;
