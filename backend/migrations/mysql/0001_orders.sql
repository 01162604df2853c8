-- Orders. Money in cents, times in epoch milliseconds. Names compare by their
-- bytes, as they do in Redis.
CREATE TABLE orders (
    id          BIGINT       NOT NULL PRIMARY KEY,
    request     VARCHAR(64)  NOT NULL,
    round       VARCHAR(32)  NOT NULL,
    product     VARCHAR(32)  NOT NULL,
    segment     INT          NOT NULL,
    user        VARCHAR(64)  NOT NULL,
    type        VARCHAR(16)  NOT NULL DEFAULT 'seckill',
    quantity    BIGINT       NOT NULL CHECK (quantity > 0),
    price_cents BIGINT       NOT NULL CHECK (price_cents >= 0),
    permit      VARCHAR(128) NOT NULL,
    -- failed: decided not to be placed, so that its message, should it come
    -- again, finds that.
    state       VARCHAR(16)  NOT NULL CHECK (state IN ('created', 'paid', 'cancelled', 'failed')),
    -- Why it was cancelled or failed.
    reason      VARCHAR(32),
    -- What the stock in Redis still has to follow: written in the transaction
    -- that decided it, taken out when it is done. lost: Redis knows no such
    -- purchase.
    stock_due   VARCHAR(16)  CHECK (stock_due IN ('confirm', 'release', 'lost')),
    pay_by_ms   BIGINT       NOT NULL,
    locked_ms   BIGINT       NOT NULL,
    created_ms  BIGINT       NOT NULL,
    updated_ms  BIGINT       NOT NULL,
    -- There is no partial index: NULLs differ from each other instead.
    live        TINYINT AS (CASE WHEN state IN ('created', 'paid') THEN 1 END) STORED,

    -- A purchase is delivered at least once and becomes one order. Request ids
    -- are chosen by clients: unique neither among buyers, nor, once a purchase
    -- came to nothing, among the purchases of one buyer.
    UNIQUE KEY orders_one_purchase (request, user, round, product, locked_ms),
    -- Whatever the queue or Redis may do, a buyer never has two live orders.
    UNIQUE KEY orders_one_live (round, product, user, type, live),
    KEY orders_of_user (user, id),
    KEY orders_unpaid (state, pay_by_ms),
    KEY orders_stock_due (stock_due, updated_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
