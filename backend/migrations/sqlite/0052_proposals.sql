-- Changes of approved rounds that wait for a second person, and what became of them.
CREATE TABLE proposals (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    round       TEXT    NOT NULL,
    -- The whole round as it is to be: the editor's form, as JSON.
    form        TEXT    NOT NULL,
    -- What differs from the round as it was when this was proposed, as JSON:
    -- [{"field","from","to"}]. Approved is exactly this, or nothing.
    changes     TEXT    NOT NULL,
    reason      TEXT    NOT NULL DEFAULT '',
    -- outdated: what it was to change had changed before it was approved.
    state       TEXT    NOT NULL
        CHECK (state IN ('waiting', 'approved', 'rejected', 'withdrawn', 'outdated')),
    proposed_by TEXT    NOT NULL,
    via         TEXT    NOT NULL,
    proposed_ms INTEGER NOT NULL,
    decided_by  TEXT,
    decided_ms  INTEGER,
    -- Why it was rejected or is outdated.
    decision    TEXT    NOT NULL DEFAULT '',
    -- When an approved one was carried out.
    carried_ms  INTEGER
) STRICT;

CREATE INDEX proposals_by_state ON proposals (state, id);
CREATE INDEX proposals_of_round ON proposals (round, id);
