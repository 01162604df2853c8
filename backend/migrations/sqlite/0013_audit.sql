-- The audit log, written in the transaction of each action.
CREATE TABLE audit (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms  INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    -- console: by this account; command: by this Unix user; system: by itself.
    via    TEXT    NOT NULL CHECK (via IN ('console', 'command', 'system')),
    -- Such as round.approve.
    action TEXT    NOT NULL,
    -- The object: a round's id, an account, an address; empty if there is none.
    target TEXT    NOT NULL DEFAULT '',
    -- A JSON object with the details of the action.
    detail TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_of_target ON audit (target, id);
CREATE INDEX audit_of_who ON audit (who, id);
