-- The trace (W3C traceparent) that the notification belongs to; NULL if it is not sampled.
ALTER TABLE notices ADD COLUMN traceparent TEXT COLLATE "C";
