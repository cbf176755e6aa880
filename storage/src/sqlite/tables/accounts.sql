-- Tenants and users. A realm is whatever keeps users apart: a dialect, or one of its tenants. `id_form` is 0 for an id that
-- was given as a string, 1 for an integer.
CREATE TABLE IF NOT EXISTS tenants (
    realm       TEXT NOT NULL,
    id          TEXT NOT NULL,
    id_form     INTEGER NOT NULL,
    name        TEXT NOT NULL,
    schema_name TEXT NOT NULL,
    PRIMARY KEY (realm, id),
    UNIQUE (realm, schema_name)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS accounts (
    realm             TEXT NOT NULL,
    id                TEXT NOT NULL,
    id_form           INTEGER NOT NULL,
    username          TEXT NOT NULL,
    email             TEXT,
    name              TEXT,
    avatar            TEXT,
    password_hash     TEXT,
    last_seen_millis  INTEGER,
    logged_out_second INTEGER,
    PRIMARY KEY (realm, id),
    UNIQUE (realm, username),
    UNIQUE (realm, email)
) WITHOUT ROWID;
