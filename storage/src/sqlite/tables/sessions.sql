-- Counted, resumable sessions and the texts that are kept with them.
CREATE TABLE IF NOT EXISTS sessions (
    id                   TEXT PRIMARY KEY,
    count                INTEGER NOT NULL,
    last_activity_millis INTEGER NOT NULL,
    runs_out_millis      INTEGER NOT NULL,
    entry_bytes          INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions (runs_out_millis);

CREATE TABLE IF NOT EXISTS session_entries (
    session TEXT NOT NULL,
    number  INTEGER NOT NULL,
    entry   TEXT NOT NULL,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;
