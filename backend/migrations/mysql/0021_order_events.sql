-- The order feed: every change of an order, written in the transaction that made it, for
-- the shop's own systems. Its number is its position.
CREATE TABLE order_events (
    position BIGINT      NOT NULL PRIMARY KEY AUTO_INCREMENT,
    order_id BIGINT      NOT NULL,
    kind     VARCHAR(16) NOT NULL,
    -- The key of the payment that it is about; else empty.
    payment  VARCHAR(64) NOT NULL DEFAULT '',
    at_ms    BIGINT      NOT NULL,
    KEY order_events_by_time (at_ms),
    KEY order_events_of_order (order_id, kind)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- How far each receiver is, and who sends to it at the moment.
CREATE TABLE order_feeds (
    name     VARCHAR(32)  NOT NULL PRIMARY KEY,
    position BIGINT       NOT NULL,
    sender   VARCHAR(64)  NOT NULL DEFAULT '',
    until_ms BIGINT       NOT NULL DEFAULT 0,
    -- Why nothing is sent, and since when; empty if all is well.
    trouble  VARCHAR(500) NOT NULL DEFAULT '',
    since_ms BIGINT       NOT NULL DEFAULT 0
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What an order needs from its buyer, such as an address: JSON of the shop's own.
CREATE TABLE order_details (
    order_id   BIGINT NOT NULL PRIMARY KEY,
    details    TEXT   NOT NULL,
    updated_ms BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
