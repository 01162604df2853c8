-- Rounds go from hand to hand: drafted, submitted, approved or rejected by another
-- person. MySQL and MariaDB name the old CHECK differently, so that the tables are
-- copied as they are for SQLite.
CREATE TABLE rounds_with_states (
    id           VARCHAR(32)  NOT NULL PRIMARY KEY,
    name         VARCHAR(255) NOT NULL,
    opens_ms     BIGINT       NOT NULL,
    ends_ms      BIGINT       NOT NULL,
    state        VARCHAR(16)  NOT NULL CHECK (state IN ('draft', 'submitted', 'rejected', 'approved')),
    -- Counts every change, so that nobody overwrites what he has not seen.
    version      BIGINT       NOT NULL DEFAULT 1,
    -- The name that the days of a repeated round share.
    series       VARCHAR(32),
    created_by   VARCHAR(64)  NOT NULL DEFAULT '',
    edited_by    VARCHAR(64)  NOT NULL DEFAULT '',
    edited_ms    BIGINT       NOT NULL DEFAULT 0,
    submitted_by VARCHAR(64),
    submitted_ms BIGINT,
    -- Who approved or rejected it, when, and why not.
    decided_by   VARCHAR(64),
    decided_ms   BIGINT,
    reason       VARCHAR(500),
    imported_ms  BIGINT       NOT NULL,
    approved_ms  BIGINT,
    -- When Redis had all of it; an approval that was interrupted has none.
    published_ms BIGINT,
    CHECK (ends_ms > opens_ms),
    KEY rounds_by_start (opens_ms, id),
    KEY rounds_of_series (series)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE round_products_with_text (
    round            VARCHAR(32)   NOT NULL,
    product          VARCHAR(32)   NOT NULL,
    position         BIGINT        NOT NULL,
    title            VARCHAR(255)  NOT NULL,
    amount           BIGINT        NOT NULL CHECK (amount > 0),
    price_cents      BIGINT        NOT NULL CHECK (price_cents >= 0),
    list_price_cents BIGINT        NOT NULL,
    per_buyer        BIGINT        NOT NULL,
    segments         VARCHAR(1100) NOT NULL DEFAULT '',
    -- What is told of it, in the few marks of sale/text.rs.
    text             VARCHAR(4000) NOT NULL DEFAULT '',
    -- The name of its picture; empty for none.
    picture          VARCHAR(128)  NOT NULL DEFAULT '',
    PRIMARY KEY (round, product),
    -- Whether a product is in another round at the same time.
    KEY round_products_of_product (product, round),
    FOREIGN KEY (round) REFERENCES rounds_with_states (id) ON DELETE CASCADE,
    CHECK (list_price_cents >= price_cents),
    CHECK (per_buyer BETWEEN 1 AND amount)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO rounds_with_states
    (id, name, opens_ms, ends_ms, state, edited_ms, imported_ms, approved_ms, published_ms)
SELECT id, name, opens_ms, ends_ms, state, imported_ms, imported_ms, approved_ms, published_ms
FROM rounds;

INSERT INTO round_products_with_text
    (round, product, position, title, amount, price_cents, list_price_cents, per_buyer, segments)
SELECT round, product, position, title, amount, price_cents, list_price_cents, per_buyer, segments
FROM round_products;

DROP TABLE round_products;
DROP TABLE rounds;
RENAME TABLE rounds_with_states TO rounds;
RENAME TABLE round_products_with_text TO round_products;
