-- Changes of approved rounds that wait for a second person, and what became of them.
CREATE TABLE proposals (
    id          BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    round       VARCHAR(64)  NOT NULL,
    -- The whole round as it is to be: the editor's form, as JSON.
    form        MEDIUMTEXT   NOT NULL,
    -- What differs from the round as it was when this was proposed, as JSON:
    -- [{"field","from","to"}]. Approved is exactly this, or nothing.
    changes     MEDIUMTEXT   NOT NULL,
    reason      TEXT         NOT NULL,
    -- outdated: what it was to change had changed before it was approved.
    state       VARCHAR(16)  NOT NULL
        CHECK (state IN ('waiting', 'approved', 'rejected', 'withdrawn', 'outdated')),
    proposed_by VARCHAR(64)  NOT NULL,
    via         VARCHAR(16)  NOT NULL,
    proposed_ms BIGINT       NOT NULL,
    decided_by  VARCHAR(64),
    decided_ms  BIGINT,
    -- Why it was rejected or is outdated.
    decision    TEXT         NOT NULL,
    -- When an approved one was carried out.
    carried_ms  BIGINT,
    KEY proposals_by_state (state, id),
    KEY proposals_of_round (round, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
