-- Orders that are paid, cancelled or never placed, and stock that follows them.
-- SQLite cannot widen a CHECK, so that the table is copied.
CREATE TABLE orders_with_states (
    id          INTEGER NOT NULL PRIMARY KEY,
    request     TEXT    NOT NULL,
    round       TEXT    NOT NULL,
    product     TEXT    NOT NULL,
    segment     INTEGER NOT NULL,
    user        TEXT    NOT NULL,
    type        TEXT    NOT NULL DEFAULT 'seckill',
    quantity    INTEGER NOT NULL CHECK (quantity > 0),
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    permit      TEXT    NOT NULL,
    -- failed: decided not to be placed, so that its message, should it come
    -- again, finds that.
    state       TEXT    NOT NULL CHECK (state IN ('created', 'paid', 'cancelled', 'failed')),
    -- Why it was cancelled or failed.
    reason      TEXT,
    -- What the stock in Redis still has to follow: written in the transaction
    -- that decided it, taken out when it is done. lost: Redis knows no such
    -- purchase.
    stock_due   TEXT    CHECK (stock_due IN ('confirm', 'release', 'lost')),
    pay_by_ms   INTEGER NOT NULL,
    locked_ms   INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
) STRICT;

INSERT INTO orders_with_states
SELECT id, request, round, product, segment, user, type, quantity, price_cents, permit, state,
       NULL, NULL, created_ms + 600000, locked_ms, created_ms, updated_ms
FROM orders;

DROP TABLE orders;
ALTER TABLE orders_with_states RENAME TO orders;

-- A purchase is delivered at least once and becomes one order. Request ids are
-- chosen by clients: unique neither among buyers, nor, once a purchase came to
-- nothing, among the purchases of one buyer.
CREATE UNIQUE INDEX orders_one_purchase ON orders (request, user, round, product, locked_ms);

-- Whatever the queue or Redis may do, a buyer never has two live orders.
CREATE UNIQUE INDEX orders_one_live ON orders (round, product, user, type)
    WHERE state IN ('created', 'paid');

CREATE INDEX orders_of_user ON orders (user, id);
CREATE INDEX orders_unpaid ON orders (pay_by_ms) WHERE state = 'created';
CREATE INDEX orders_stock_due ON orders (updated_ms) WHERE stock_due IS NOT NULL;
