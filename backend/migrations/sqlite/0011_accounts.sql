-- Who may use the console.
CREATE TABLE accounts (
    name          TEXT    NOT NULL PRIMARY KEY,
    role          TEXT    NOT NULL CHECK (role IN ('operator', 'supervisor')),
    -- Argon2id in the PHC string format, salt and costs included.
    password_hash TEXT    NOT NULL,
    -- 1: made by "seckill up --demo", which gives it a new password each time.
    demo          INTEGER NOT NULL DEFAULT 0,
    -- Changes with password and role; a session that began before is over.
    version       INTEGER NOT NULL DEFAULT 1,
    created_ms    INTEGER NOT NULL,
    changed_ms    INTEGER NOT NULL
) STRICT;
