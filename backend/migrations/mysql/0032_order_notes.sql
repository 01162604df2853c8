-- What operators wrote about orders and did with them, beside the orders themselves.
CREATE TABLE IF NOT EXISTS order_notes (
    id       BIGINT        NOT NULL PRIMARY KEY AUTO_INCREMENT,
    order_id BIGINT        NOT NULL,
    at_ms    BIGINT        NOT NULL,
    who      VARCHAR(64)   NOT NULL,
    -- note, cancel, refund or resend.
    kind     VARCHAR(16)   NOT NULL,
    text     VARCHAR(1000) NOT NULL,
    KEY order_notes_of_order (order_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
