-- Rounds go from hand to hand: drafted, submitted, approved or rejected by another
-- person. SQLite cannot widen a CHECK, so that the tables are copied; both, since
-- dropping the rounds would take their products along.
CREATE TABLE rounds_with_states (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    opens_ms     INTEGER NOT NULL,
    ends_ms      INTEGER NOT NULL CHECK (ends_ms > opens_ms),
    state        TEXT    NOT NULL CHECK (state IN ('draft', 'submitted', 'rejected', 'approved')),
    -- Counts every change, so that nobody overwrites what he has not seen.
    version      INTEGER NOT NULL DEFAULT 1,
    -- The name that the days of a repeated round share.
    series       TEXT,
    created_by   TEXT    NOT NULL DEFAULT '',
    edited_by    TEXT    NOT NULL DEFAULT '',
    edited_ms    INTEGER NOT NULL DEFAULT 0,
    submitted_by TEXT,
    submitted_ms INTEGER,
    -- Who approved or rejected it, when, and why not.
    decided_by   TEXT,
    decided_ms   INTEGER,
    reason       TEXT,
    imported_ms  INTEGER NOT NULL,
    approved_ms  INTEGER,
    -- When Redis had all of it; an approval that was interrupted has none.
    published_ms INTEGER
) STRICT;

CREATE TABLE round_products_with_text (
    round            TEXT    NOT NULL REFERENCES rounds_with_states (id) ON DELETE CASCADE,
    product          TEXT    NOT NULL,
    position         INTEGER NOT NULL,
    title            TEXT    NOT NULL,
    amount           INTEGER NOT NULL CHECK (amount > 0),
    price_cents      INTEGER NOT NULL CHECK (price_cents >= 0),
    list_price_cents INTEGER NOT NULL CHECK (list_price_cents >= price_cents),
    per_buyer        INTEGER NOT NULL CHECK (per_buyer BETWEEN 1 AND amount),
    segments         TEXT    NOT NULL DEFAULT '',
    -- What is told of it, in the few marks of sale/text.rs.
    text             TEXT    NOT NULL DEFAULT '',
    -- The name of its picture; empty for none.
    picture          TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (round, product)
) STRICT;

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
ALTER TABLE rounds_with_states RENAME TO rounds;
ALTER TABLE round_products_with_text RENAME TO round_products;

-- Whether a product is in another round at the same time.
CREATE INDEX round_products_of_product ON round_products (product, round);
CREATE INDEX rounds_by_start ON rounds (opens_ms, id);
CREATE INDEX rounds_of_series ON rounds (series) WHERE series IS NOT NULL;
