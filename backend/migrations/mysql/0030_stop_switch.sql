-- What operators stopped: a round (product is '') or one product of it. A resumed
-- pause leaves no row; the audit log remembers it.
CREATE TABLE IF NOT EXISTS stops (
    round   VARCHAR(32) NOT NULL,
    product VARCHAR(32) NOT NULL DEFAULT '',
    kind    VARCHAR(16) NOT NULL CHECK (kind IN ('paused', 'ended', 'withdrawn')),
    at_ms   BIGINT      NOT NULL,
    -- Which orders are cancelled, also those that are placed later from purchases that
    -- were under way: none (''), the unpaid ones, or all, with a refund due of each that
    -- is paid.
    cancel  VARCHAR(16) NOT NULL DEFAULT '' CHECK (cancel IN ('', 'unpaid', 'all')),
    PRIMARY KEY (round, product),
    KEY stops_cancelling (cancel, round)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Rounds of which Redis may not know the stops yet.
CREATE TABLE IF NOT EXISTS stops_due (
    round   VARCHAR(32) NOT NULL PRIMARY KEY,
    -- The round's version from which Redis has to know them.
    version BIGINT      NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- An amount may be lowered to nothing. MySQL and MariaDB name the old CHECK
-- differently, so that the table is copied; the two change names in one step.
DROP TABLE IF EXISTS frozen_stock_to_zero;
CREATE TABLE frozen_stock_to_zero (
    round     VARCHAR(32)   NOT NULL,
    product   VARCHAR(32)   NOT NULL,
    amount    BIGINT        NOT NULL CHECK (amount >= 0),
    frozen_ms BIGINT        NOT NULL,
    segments  VARCHAR(1100) NOT NULL DEFAULT '',
    PRIMARY KEY (round, product)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
INSERT INTO frozen_stock_to_zero (round, product, amount, frozen_ms, segments)
SELECT round, product, amount, frozen_ms, segments FROM frozen_stock;
DROP TABLE IF EXISTS frozen_stock_from_one;
RENAME TABLE frozen_stock TO frozen_stock_from_one, frozen_stock_to_zero TO frozen_stock;
DROP TABLE frozen_stock_from_one;

-- The orders of a round or a product, by state.
CREATE INDEX orders_of_round ON orders (round, state, product, id);
