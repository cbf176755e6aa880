-- What every schema has: those of the tenants, and the shared one for realms that are no tenant's. `id_form` is 0 for an id
-- that was given as a string, 1 for an integer.
CREATE TABLE accounts (
    realm             text COLLATE "C" NOT NULL,
    id                text COLLATE "C" NOT NULL,
    id_form           smallint NOT NULL,
    username          text COLLATE "C" NOT NULL,
    email             text COLLATE "C",
    name              text COLLATE "C",
    avatar            text COLLATE "C",
    password_hash     text COLLATE "C",
    last_seen_millis  bigint,
    logged_out_second bigint,
    PRIMARY KEY (realm, id),
    UNIQUE (realm, username),
    UNIQUE (realm, email)
);

-- `posts`, `members` and `readings` are counts of what the other tables hold, so that what a member has not read is known
-- without looking at it: the channel's posts, less his own, less his readings.
CREATE TABLE channels (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    realm    text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    name     text COLLATE "C",
    sequence bigint NOT NULL DEFAULT 0,
    posts    bigint NOT NULL DEFAULT 0,
    members  bigint NOT NULL DEFAULT 0,
    UNIQUE (realm, id)
);

CREATE TABLE channel_members (
    channel  bigint NOT NULL,
    member   text COLLATE "C" NOT NULL,
    realm    text COLLATE "C" NOT NULL,
    posts    bigint NOT NULL DEFAULT 0,
    readings bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, member)
);

CREATE INDEX channel_members_by_member ON channel_members (realm, member, channel);

CREATE TABLE posts (
    channel   bigint NOT NULL,
    sequence  bigint NOT NULL,
    id        text COLLATE "C" NOT NULL,
    author    text COLLATE "C" NOT NULL,
    text      text COLLATE "C" NOT NULL,
    at_millis bigint NOT NULL,
    readers   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, sequence)
);

CREATE UNIQUE INDEX posts_by_id ON posts (channel, id);

CREATE TABLE readings (
    channel   bigint NOT NULL,
    sequence  bigint NOT NULL,
    reader    text COLLATE "C" NOT NULL,
    at_millis bigint NOT NULL,
    PRIMARY KEY (channel, sequence, reader)
);
