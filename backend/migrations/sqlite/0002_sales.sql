-- Sales: rounds and what is sold in them. Money in cents, times in epoch milliseconds.
CREATE TABLE rounds (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    opens_ms     INTEGER NOT NULL,
    ends_ms      INTEGER NOT NULL CHECK (ends_ms > opens_ms),
    state        TEXT    NOT NULL CHECK (state IN ('draft', 'approved')),
    imported_ms  INTEGER NOT NULL,
    approved_ms  INTEGER,
    -- When Redis had all of it; an approval that was interrupted has none.
    published_ms INTEGER
) STRICT;

CREATE TABLE round_products (
    round            TEXT    NOT NULL REFERENCES rounds (id) ON DELETE CASCADE,
    product          TEXT    NOT NULL,
    position         INTEGER NOT NULL,
    title            TEXT    NOT NULL,
    amount           INTEGER NOT NULL CHECK (amount > 0),
    price_cents      INTEGER NOT NULL CHECK (price_cents >= 0),
    list_price_cents INTEGER NOT NULL CHECK (list_price_cents >= price_cents),
    per_buyer        INTEGER NOT NULL CHECK (per_buyer BETWEEN 1 AND amount),
    PRIMARY KEY (round, product)
) STRICT;

-- What the inventory set aside for a round at its approval: written once, so
-- that preloading the stock again starts from the same number.
CREATE TABLE frozen_stock (
    round     TEXT    NOT NULL,
    product   TEXT    NOT NULL,
    amount    INTEGER NOT NULL CHECK (amount > 0),
    frozen_ms INTEGER NOT NULL,
    PRIMARY KEY (round, product)
) STRICT;
