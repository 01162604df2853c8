-- Who did what, written in the transaction that did it.
CREATE TABLE audit (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms  INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    -- console: with this account; command: whoever ran it on the box; system: by itself.
    via    TEXT    NOT NULL CHECK (via IN ('console', 'command', 'system')),
    -- Such as round.approve.
    action TEXT    NOT NULL,
    -- On what: a round's id, an account, an address; empty for nothing in particular.
    target TEXT    NOT NULL DEFAULT '',
    -- A JSON object with what belongs to the action.
    detail TEXT    NOT NULL
) STRICT;

CREATE INDEX audit_of_target ON audit (target, id);
CREATE INDEX audit_of_who ON audit (who, id);
