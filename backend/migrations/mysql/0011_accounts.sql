-- Accounts of the console.
CREATE TABLE accounts (
    name          VARCHAR(64)  NOT NULL PRIMARY KEY,
    role          VARCHAR(16)  NOT NULL CHECK (role IN ('operator', 'supervisor')),
    -- Argon2id in the PHC string format, salt and costs included.
    password_hash VARCHAR(255) NOT NULL,
    -- 1: created by "seckill up --demo", which sets a new password each time.
    demo          BIGINT       NOT NULL DEFAULT 0,
    -- Increased by each change of password or role, which ends older sessions.
    version       BIGINT       NOT NULL DEFAULT 1,
    created_ms    BIGINT       NOT NULL,
    changed_ms    BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
