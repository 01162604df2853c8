-- The person whom an OpenID provider knows by this issuer and this written subject logs in
-- with the account; NULL for an account that is linked to nobody.
ALTER TABLE accounts ADD COLUMN oidc_issuer TEXT COLLATE "C";
ALTER TABLE accounts ADD COLUMN oidc_subject TEXT COLLATE "C";
CREATE UNIQUE INDEX accounts_of_identity ON accounts (oidc_issuer, oidc_subject);
