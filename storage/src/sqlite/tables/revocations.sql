-- Tokens that are no longer good, until they would have run out anyway.
CREATE TABLE IF NOT EXISTS revocations (
    realm        TEXT NOT NULL,
    token        TEXT NOT NULL,
    until_millis INTEGER NOT NULL,
    PRIMARY KEY (realm, token)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS revocations_by_time ON revocations (until_millis);
