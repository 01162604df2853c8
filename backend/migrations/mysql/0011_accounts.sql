-- Who may use the console.
CREATE TABLE accounts (
    name          VARCHAR(64)  NOT NULL PRIMARY KEY,
    role          VARCHAR(16)  NOT NULL CHECK (role IN ('operator', 'supervisor')),
    -- Argon2id in the PHC string format, salt and costs included.
    password_hash VARCHAR(255) NOT NULL,
    -- 1: made by "seckill up --demo", which gives it a new password each time.
    demo          BIGINT       NOT NULL DEFAULT 0,
    -- Changes with password and role; a session that began before is over.
    version       BIGINT       NOT NULL DEFAULT 1,
    created_ms    BIGINT       NOT NULL,
    changed_ms    BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
