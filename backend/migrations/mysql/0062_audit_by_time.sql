-- What the console's charts and reports mark, and what is old enough to be removed, is found
-- by time; without this both read the whole log, of years.
CREATE INDEX audit_of_time ON audit (at_ms);
