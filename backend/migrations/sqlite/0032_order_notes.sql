-- What operators wrote about orders and did with them, beside the orders themselves.
CREATE TABLE order_notes (
    id       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    who      TEXT    NOT NULL,
    -- note, cancel, refund or resend.
    kind     TEXT    NOT NULL,
    text     TEXT    NOT NULL
) STRICT;

CREATE INDEX order_notes_of_order ON order_notes (order_id, id);
