-- Channels, their members, what is said in them and who has read it. Everything hangs on a channel's number.
--
-- `posts` and `readings` are counts of what the other tables hold, so that what a member has not read is known without
-- looking at it: the channel's posts, less his own, less his readings.
CREATE TABLE IF NOT EXISTS channels (
    number   INTEGER PRIMARY KEY,
    realm    TEXT NOT NULL,
    id       TEXT NOT NULL,
    name     TEXT,
    sequence INTEGER NOT NULL DEFAULT 0,
    posts    INTEGER NOT NULL DEFAULT 0,
    members  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (realm, id)
);

CREATE TABLE IF NOT EXISTS channel_members (
    channel  INTEGER NOT NULL,
    member   TEXT NOT NULL,
    realm    TEXT NOT NULL,
    posts    INTEGER NOT NULL DEFAULT 0,
    readings INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, member)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS channels_by_member ON channel_members (realm, member, channel);

CREATE TABLE IF NOT EXISTS posts (
    channel   INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    id        TEXT NOT NULL,
    author    TEXT NOT NULL,
    text      TEXT NOT NULL,
    at_millis INTEGER NOT NULL,
    readers   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, sequence)
) WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS posts_by_id ON posts (channel, id);

CREATE TABLE IF NOT EXISTS readings (
    channel   INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    reader    TEXT NOT NULL,
    at_millis INTEGER NOT NULL,
    PRIMARY KEY (channel, sequence, reader)
) WITHOUT ROWID;
