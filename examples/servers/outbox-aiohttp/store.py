"""Users, conversations and the outbox, in SQLite: what is stored here is there after a crash of the server."""

import hashlib
import json
import secrets
import sqlite3
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

TABLES = """
CREATE TABLE IF NOT EXISTS users (
    uuid TEXT PRIMARY KEY, email TEXT UNIQUE, name TEXT, salt BLOB, password BLOB, logged_out_at INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS revoked (token BLOB PRIMARY KEY);
CREATE TABLE IF NOT EXISTS members (conversation TEXT, user TEXT, PRIMARY KEY (conversation, user));
CREATE TABLE IF NOT EXISTS messages (
    uuid TEXT PRIMARY KEY, conversation TEXT, sender TEXT, content TEXT, created_at TEXT);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, uuid TEXT, user TEXT, event_type TEXT, message_data TEXT,
    status TEXT DEFAULT 'pending', scheduled_at REAL, sent_at REAL);
CREATE INDEX IF NOT EXISTS pending ON events (user, scheduled_at, id) WHERE status = 'pending';
"""


class StoreDown(Exception):
    """The store does not answer."""


@dataclass
class Event:
    """Something that a user is told, sooner or later, surely."""

    id: int
    uuid: str
    user: str
    event_type: str
    data: dict

    def frame(self) -> dict:
        return {"type": self.event_type, "event_id": self.uuid, **self.data}


class Store:
    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + TABLES)
        self.down_until = 0.0

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        if time.monotonic() < self.down_until:
            raise StoreDown
        return self.connection.execute(statement, values)

    # Users

    def add_user(self, email: str, password: str, name: str) -> str | None:
        """The uuid of the new user; None if the address is taken."""
        user, salt = str(uuid.uuid4()), secrets.token_bytes(16)
        try:
            self.execute(
                "INSERT INTO users (uuid, email, name, salt, password) VALUES (?, ?, ?, ?, ?)",
                user, email, name, salt, hashed(password, salt),
            )
        except sqlite3.IntegrityError:
            return None
        return user

    def user(self, user: str) -> sqlite3.Row | None:
        return self.execute("SELECT * FROM users WHERE uuid = ?", user).fetchone()

    def user_with_password(self, email: str, password: str) -> sqlite3.Row | None:
        user = self.execute("SELECT * FROM users WHERE email = ?", email).fetchone()
        if user and secrets.compare_digest(hashed(password, user["salt"]), user["password"]):
            return user
        return None

    def log_out(self, user: str, token: str) -> None:
        """This token is invalid from now on, and so are all that were issued before this second."""
        self.execute("INSERT OR IGNORE INTO revoked VALUES (?)", digest(token))
        self.execute("UPDATE users SET logged_out_at = ? WHERE uuid = ?", int(time.time()), user)

    def is_revoked(self, user: sqlite3.Row, token: str, issued_at: float) -> bool:
        revoked = self.execute("SELECT 1 FROM revoked WHERE token = ?", digest(token)).fetchone()
        return revoked is not None or issued_at < user["logged_out_at"]

    # Conversations

    def add_conversation(self, members: list[str]) -> str:
        conversation = str(uuid.uuid4())
        for user in members:
            self.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", conversation, user)
        return conversation

    def members(self, conversation: str) -> list[str]:
        rows = self.execute("SELECT user FROM members WHERE conversation = ? ORDER BY user", conversation)
        return [row["user"] for row in rows]

    def conversations(self, user: str) -> list[dict]:
        rows = self.execute("SELECT conversation FROM members WHERE user = ? ORDER BY rowid", user).fetchall()
        return [{"uuid": row["conversation"], "members": self.members(row["conversation"])} for row in rows]

    def add_message(self, conversation: str, sender: str, content: str) -> dict:
        message = {"uuid": str(uuid.uuid4()), "content": content, "sender_uuid": sender, "created_at": iso(time.time())}
        self.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?)",
            message["uuid"], conversation, sender, content, message["created_at"],
        )
        return message

    # The outbox

    def add_event(self, user: str, event_type: str, data: dict, scheduled_at: float) -> None:
        self.execute(
            "INSERT INTO events (uuid, user, event_type, message_data, scheduled_at) VALUES (?, ?, ?, ?, ?)",
            str(uuid.uuid4()), user, event_type, json.dumps(data), scheduled_at,
        )

    def due(self, user: str) -> list[Event]:
        """What is pending and due: the oldest first, and in the order in which it was stored."""
        rows = self.execute(
            "SELECT * FROM events WHERE user = ? AND status = 'pending' AND scheduled_at <= ? ORDER BY scheduled_at, id",
            user, time.time(),
        )
        return [
            Event(row["id"], row["uuid"], row["user"], row["event_type"], json.loads(row["message_data"])) for row in rows
        ]

    def mark_sent(self, events: dict[int, float]) -> None:
        """With the time at which each was written."""
        for event_id, sent_at in events.items():
            self.execute(
                "UPDATE events SET status = 'sent', sent_at = ? WHERE id = ? AND status = 'pending'", sent_at, event_id
            )

    def events(self, user: str) -> list[dict]:
        rows = self.execute("SELECT * FROM events WHERE user = ? ORDER BY id", user)
        return [
            {
                "event_id": row["uuid"],
                "event_type": row["event_type"],
                "message_data": json.loads(row["message_data"]),
                "status": row["status"],
                "scheduled_at": iso(row["scheduled_at"]),
                "sent_at": row["sent_at"] and iso(row["sent_at"]),
            }
            for row in rows
        ]


def hashed(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def iso(epoch_seconds: float) -> str:
    moment = datetime.fromtimestamp(epoch_seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
