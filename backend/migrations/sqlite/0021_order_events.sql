-- The order feed: every change of an order, written in the transaction that made it, for
-- the shop's own systems. Its number is its position.
CREATE TABLE order_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    -- The key of the payment that it is about; else empty.
    payment  TEXT    NOT NULL DEFAULT '',
    at_ms    INTEGER NOT NULL
) STRICT;

CREATE INDEX order_events_by_time ON order_events (at_ms);
CREATE INDEX order_events_of_order ON order_events (order_id, kind);

-- How far each receiver is, and who sends to it at the moment.
CREATE TABLE order_feeds (
    name     TEXT    NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    sender   TEXT    NOT NULL DEFAULT '',
    until_ms INTEGER NOT NULL DEFAULT 0,
    -- Why nothing is sent, and since when; empty if all is well.
    trouble  TEXT    NOT NULL DEFAULT '',
    since_ms INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What an order needs from its buyer, such as an address: JSON of the shop's own.
CREATE TABLE order_details (
    order_id   INTEGER NOT NULL PRIMARY KEY,
    details    TEXT    NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;
