-- Orders. Money in cents, times in epoch milliseconds.
CREATE TABLE orders (
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
    state       TEXT    NOT NULL CHECK (state IN ('created', 'paid', 'cancelled')),
    locked_ms   INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
) STRICT;

-- A purchase is delivered at least once and becomes one order. Request ids are
-- chosen by clients, so that they are unique only within one buyer's purchases
-- of one product: two buyers who both send "1" must both get their order.
CREATE UNIQUE INDEX orders_one_request ON orders (request, user, round, product);

-- Whatever the queue or Redis may do, a buyer never has two live orders.
CREATE UNIQUE INDEX orders_one_live ON orders (round, product, user, type)
    WHERE state <> 'cancelled';

CREATE INDEX orders_of_user ON orders (user, id);
