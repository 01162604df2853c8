-- Who seems to be a program, by the analysis of access logs.
CREATE TABLE findings (
    kind          TEXT    NOT NULL CHECK (kind IN ('address', 'user')),
    subject       TEXT    NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('proposed', 'banned', 'confirmed', 'dismissed')),
    score         INTEGER NOT NULL,
    -- A JSON list: code, numbers, points and sentence of each reason.
    reasons       TEXT    NOT NULL,
    first_ms      INTEGER NOT NULL,
    last_ms       INTEGER NOT NULL,
    ban_until_ms  INTEGER,
    -- Dismissed: a person until then, whatever it does.
    good_until_ms INTEGER,
    decided_by    TEXT,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX findings_by_score ON findings (score, last_ms);
