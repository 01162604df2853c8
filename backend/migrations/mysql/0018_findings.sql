-- Who seems to be a program, by the analysis of access logs.
CREATE TABLE findings (
    kind          VARCHAR(16) NOT NULL CHECK (kind IN ('address', 'user')),
    subject       VARCHAR(64) NOT NULL,
    state         VARCHAR(16) NOT NULL CHECK (state IN ('proposed', 'banned', 'confirmed', 'dismissed')),
    score         BIGINT      NOT NULL,
    -- A JSON list: code, numbers, points and sentence of each reason.
    reasons       TEXT        NOT NULL,
    first_ms      BIGINT      NOT NULL,
    last_ms       BIGINT      NOT NULL,
    ban_until_ms  BIGINT,
    -- Dismissed: a person until then, whatever it does.
    good_until_ms BIGINT,
    decided_by    VARCHAR(200),
    PRIMARY KEY (kind, subject),
    INDEX findings_by_score (score, last_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
