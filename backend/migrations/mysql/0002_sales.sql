-- Sales: rounds and what is sold in them. Money in cents, times in epoch milliseconds.
CREATE TABLE rounds (
    id           VARCHAR(32)  NOT NULL PRIMARY KEY,
    name         VARCHAR(255) NOT NULL,
    opens_ms     BIGINT       NOT NULL,
    ends_ms      BIGINT       NOT NULL,
    state        VARCHAR(16)  NOT NULL CHECK (state IN ('draft', 'approved')),
    imported_ms  BIGINT       NOT NULL,
    approved_ms  BIGINT,
    -- When Redis had all of it; an approval that was interrupted has none.
    published_ms BIGINT,
    CHECK (ends_ms > opens_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE round_products (
    round            VARCHAR(32)  NOT NULL,
    product          VARCHAR(32)  NOT NULL,
    position         BIGINT       NOT NULL,
    title            VARCHAR(255) NOT NULL,
    amount           BIGINT       NOT NULL CHECK (amount > 0),
    price_cents      BIGINT       NOT NULL CHECK (price_cents >= 0),
    list_price_cents BIGINT       NOT NULL,
    per_buyer        BIGINT       NOT NULL,
    PRIMARY KEY (round, product),
    FOREIGN KEY (round) REFERENCES rounds (id) ON DELETE CASCADE,
    CHECK (list_price_cents >= price_cents),
    CHECK (per_buyer BETWEEN 1 AND amount)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What the inventory set aside for a round at its approval: written once, so
-- that preloading the stock again starts from the same number.
CREATE TABLE frozen_stock (
    round     VARCHAR(32) NOT NULL,
    product   VARCHAR(32) NOT NULL,
    amount    BIGINT      NOT NULL CHECK (amount > 0),
    frozen_ms BIGINT      NOT NULL,
    PRIMARY KEY (round, product)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
