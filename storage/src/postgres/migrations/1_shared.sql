-- What all realms have in common. Text is compared byte by byte, so that ids have one order on every server.

-- Realms that have a schema of their own, and how it is called.
CREATE TABLE realms (
    realm       text COLLATE "C" PRIMARY KEY,
    schema_name text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE tenants (
    realm       text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    id_form     smallint NOT NULL,
    name        text COLLATE "C" NOT NULL,
    schema_name text COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, id),
    UNIQUE (realm, schema_name)
);

CREATE TABLE conversations (
    realm          text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    name           text COLLATE "C",
    created_millis bigint NOT NULL,
    PRIMARY KEY (realm, id)
);

CREATE TABLE conversation_members (
    realm        text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    member       text COLLATE "C" NOT NULL,
    PRIMARY KEY (realm, conversation, member)
);

CREATE INDEX conversation_members_by_member ON conversation_members (realm, member, conversation);

CREATE TABLE conversation_messages (
    number         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    realm          text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    conversation   text COLLATE "C" NOT NULL,
    sender         text COLLATE "C" NOT NULL,
    content        text COLLATE "C" NOT NULL,
    created_millis bigint NOT NULL
);

CREATE INDEX conversation_messages_by_conversation ON conversation_messages (realm, conversation, number);

CREATE INDEX conversation_messages_by_sender ON conversation_messages (realm, sender);

-- Pending as long as `sent_millis` is null; numbers are never used again.
CREATE TABLE events (
    number               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    realm                text COLLATE "C" NOT NULL,
    id                   text COLLATE "C" NOT NULL,
    recipient            text COLLATE "C" NOT NULL,
    kind                 text COLLATE "C" NOT NULL,
    data                 text COLLATE "C" NOT NULL,
    scheduled_millis     bigint NOT NULL,
    claimed_until_millis bigint NOT NULL,
    sent_millis          bigint
);

CREATE INDEX events_pending ON events (realm, recipient, scheduled_millis, number) WHERE sent_millis IS NULL;

CREATE INDEX events_by_recipient ON events (realm, recipient, number);

CREATE TABLE revocations (
    realm        text COLLATE "C" NOT NULL,
    token        text COLLATE "C" NOT NULL,
    until_millis bigint NOT NULL,
    PRIMARY KEY (realm, token)
);

CREATE INDEX revocations_by_time ON revocations (until_millis);

-- What two users write to each other. A pair has one dialogue, its ids in order.
CREATE TABLE dialogues (
    dialogue           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    realm              text COLLATE "C" NOT NULL,
    low                text COLLATE "C" NOT NULL,
    high               text COLLATE "C" NOT NULL,
    last_number        bigint NOT NULL,
    last_millis        bigint NOT NULL,
    -- Messages to each that he has not read, and the number up to which he has read all.
    unread_by_low      bigint NOT NULL,
    unread_by_high     bigint NOT NULL,
    read_by_low_until  bigint NOT NULL DEFAULT 0,
    read_by_high_until bigint NOT NULL DEFAULT 0,
    UNIQUE (realm, low, high)
);

CREATE INDEX dialogues_by_high ON dialogues (realm, high);

CREATE TABLE dialogue_messages (
    dialogue         bigint NOT NULL,
    number           bigint NOT NULL,
    is_from_low      boolean NOT NULL,
    id               text COLLATE "C" NOT NULL,
    content          text COLLATE "C" NOT NULL,
    kind             text COLLATE "C" NOT NULL,
    created_millis   bigint NOT NULL,
    delivered_millis bigint,
    read_millis      bigint,
    PRIMARY KEY (dialogue, number)
);

CREATE INDEX dialogue_messages_by_age ON dialogue_messages (created_millis);

-- `inside` is the id of the resource in which one is. `fields` is a JSON object, kept as it was written.
CREATE TABLE resources (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shelf          text COLLATE "C" NOT NULL,
    inside         bigint REFERENCES resources (id) ON DELETE CASCADE,
    owner          text COLLATE "C" NOT NULL,
    created_millis bigint NOT NULL,
    fields         text COLLATE "C" NOT NULL
);

-- A page of a shelf, and how many are on it. A shelf that is inside of nothing is that of 0.
CREATE INDEX resources_by_shelf ON resources (shelf, coalesce(inside, 0), id);
CREATE INDEX resources_by_inside ON resources (inside) WHERE inside IS NOT NULL;
CREATE INDEX resources_by_owner ON resources (owner, shelf);
CREATE INDEX resources_by_age ON resources (shelf, coalesce(inside, 0), created_millis);

-- Counted, resumable sessions and the texts that are kept with them. `entries` and `entry_bytes` say how many and how long
-- those are, `last_entry` is the number of the newest.
CREATE TABLE sessions (
    id                   text COLLATE "C" PRIMARY KEY,
    count                bigint NOT NULL,
    last_activity_millis bigint NOT NULL,
    runs_out_millis      bigint NOT NULL,
    last_entry           bigint NOT NULL DEFAULT 0,
    entries              bigint NOT NULL DEFAULT 0,
    entry_bytes          bigint NOT NULL DEFAULT 0
);

CREATE INDEX sessions_by_end ON sessions (runs_out_millis);

CREATE TABLE session_entries (
    session text COLLATE "C" NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    number  bigint NOT NULL,
    entry   text COLLATE "C" NOT NULL,
    PRIMARY KEY (session, number)
);
