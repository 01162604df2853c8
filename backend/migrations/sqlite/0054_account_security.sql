-- 1: may not log in.
ALTER TABLE accounts ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
-- 1: somebody else knows the password, so that a new one is chosen at the next login.
ALTER TABLE accounts ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0;
-- The secret of the second factor in Base32; empty for none.
ALTER TABLE accounts ADD COLUMN totp TEXT NOT NULL DEFAULT '';
-- The last step of time whose code was used: a code is good once.
ALTER TABLE accounts ADD COLUMN totp_step INTEGER NOT NULL DEFAULT 0;
-- Who gave it its password, role or state at the console, and when: for a day it is no
-- second pair of eyes on what they do.
ALTER TABLE accounts ADD COLUMN keyed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN keyed_ms INTEGER NOT NULL DEFAULT 0;
