-- What two users write to each other. A pair has one dialogue, its ids in order; its messages lie together, by number.
CREATE TABLE IF NOT EXISTS dialogues (
    dialogue            INTEGER PRIMARY KEY,
    realm               TEXT NOT NULL,
    low                 TEXT NOT NULL,
    high                TEXT NOT NULL,
    last_number         INTEGER NOT NULL,
    last_millis         INTEGER NOT NULL,
    -- Messages to each that he has not read, and the number up to which he has read all.
    unread_by_low       INTEGER NOT NULL,
    unread_by_high      INTEGER NOT NULL,
    read_by_low_until   INTEGER NOT NULL DEFAULT 0,
    read_by_high_until  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (realm, low, high)
);

CREATE INDEX IF NOT EXISTS dialogues_by_high ON dialogues (realm, high);

CREATE TABLE IF NOT EXISTS dialogue_messages (
    dialogue         INTEGER NOT NULL,
    number           INTEGER NOT NULL,
    is_from_low      INTEGER NOT NULL,
    id               TEXT NOT NULL,
    content          TEXT NOT NULL,
    kind             TEXT NOT NULL,
    created_millis   INTEGER NOT NULL,
    delivered_millis INTEGER,
    read_millis      INTEGER,
    PRIMARY KEY (dialogue, number)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS dialogue_messages_by_age ON dialogue_messages (created_millis);
