-- Conversations, who is in them, and what was said.
CREATE TABLE IF NOT EXISTS conversations (
    realm          TEXT NOT NULL,
    id             TEXT NOT NULL,
    name           TEXT,
    created_millis INTEGER NOT NULL,
    PRIMARY KEY (realm, id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS conversation_members (
    realm        TEXT NOT NULL,
    conversation TEXT NOT NULL,
    user         TEXT NOT NULL,
    PRIMARY KEY (realm, conversation, user)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS conversation_members_by_user
    ON conversation_members (realm, user, conversation);

CREATE TABLE IF NOT EXISTS conversation_messages (
    number         INTEGER PRIMARY KEY,
    realm          TEXT NOT NULL,
    id             TEXT NOT NULL,
    conversation   TEXT NOT NULL,
    sender         TEXT NOT NULL,
    content        TEXT NOT NULL,
    created_millis INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS conversation_messages_by_conversation
    ON conversation_messages (realm, conversation, number, created_millis);

CREATE INDEX IF NOT EXISTS conversation_messages_by_sender
    ON conversation_messages (realm, sender);
