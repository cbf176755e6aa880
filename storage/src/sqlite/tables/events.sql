-- Events of users. Pending as long as `sent_millis` is null; numbers are never used again.
CREATE TABLE IF NOT EXISTS events (
    number               INTEGER PRIMARY KEY AUTOINCREMENT,
    realm                TEXT NOT NULL,
    id                   TEXT NOT NULL,
    user                 TEXT NOT NULL,
    kind                 TEXT NOT NULL,
    data                 TEXT NOT NULL,
    scheduled_millis     INTEGER NOT NULL,
    claimed_until_millis INTEGER NOT NULL,
    sent_millis          INTEGER
);

CREATE INDEX IF NOT EXISTS events_pending
    ON events (realm, user, scheduled_millis, number) WHERE sent_millis IS NULL;

CREATE INDEX IF NOT EXISTS events_sent
    ON events (realm, user, number, scheduled_millis) WHERE sent_millis IS NOT NULL;
