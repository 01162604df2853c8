-- Who did what, written in the transaction that did it.
CREATE TABLE audit (
    id     BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at_ms  BIGINT       NOT NULL,
    who    VARCHAR(64)  NOT NULL,
    -- console: with this account; command: whoever ran it on the box; system: by itself.
    via    VARCHAR(16)  NOT NULL CHECK (via IN ('console', 'command', 'system')),
    -- Such as round.approve.
    action VARCHAR(64)  NOT NULL,
    -- On what: a round's id, an account, an address; empty for nothing in particular.
    target VARCHAR(128) NOT NULL DEFAULT '',
    -- A JSON object with what belongs to the action.
    detail TEXT         NOT NULL,
    KEY audit_of_target (target, id),
    KEY audit_of_who (who, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
