-- The audit log, written in the transaction of each action.
CREATE TABLE audit (
    id     BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at_ms  BIGINT       NOT NULL,
    who    VARCHAR(64)  NOT NULL,
    -- console: by this account; command: by this Unix user; system: by itself.
    via    VARCHAR(16)  NOT NULL CHECK (via IN ('console', 'command', 'system')),
    -- Such as round.approve.
    action VARCHAR(64)  NOT NULL,
    -- The object: a round's id, an account, an address; empty if there is none.
    target VARCHAR(128) NOT NULL DEFAULT '',
    -- A JSON object with the details of the action.
    detail TEXT         NOT NULL,
    KEY audit_of_target (target, id),
    KEY audit_of_who (who, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
