"""Users and what they make, kept in memory: nothing survives a restart.

Every call may raise `StoreDown`, as it would with a database behind it.
"""

import hashlib
import itertools
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone


class StoreDown(Exception):
    """The store does not answer; the caller may try again later."""


@dataclass
class User:
    id: int
    username: str
    name: str
    salt: bytes
    password_hash: bytes


@dataclass
class Page:
    """One page of a list; `previous` and `next` are page numbers."""

    count: int
    previous: int | None
    next: int | None
    results: list[dict]


@dataclass
class Collection:
    """Resources of one kind, in the order in which they were made."""

    items: dict[int, dict] = field(default_factory=dict)
    ids: itertools.count = field(default_factory=lambda: itertools.count(1))


class Store:
    def __init__(self) -> None:
        self.users: dict[int, User] = {}
        self.collections: dict[str, Collection] = {}
        self.user_ids = itertools.count(1)
        self.down_until = 0.0

    def break_for(self, seconds: float) -> None:
        """Lets every call fail for a while, to see what the application does then."""
        self.down_until = time.monotonic() + seconds

    def _connected(self) -> None:
        if time.monotonic() < self.down_until:
            raise StoreDown

    def collection(self, kind: str) -> Collection:
        self._connected()
        return self.collections.setdefault(kind, Collection())

    # Users

    def add_user(self, username: str, password: str, name: str) -> User | None:
        """The new user; None if the name is taken."""
        self._connected()
        if self.user_named(username):
            return None
        salt = secrets.token_bytes(16)
        user = User(next(self.user_ids), username, name, salt, hashed(password, salt))
        self.users[user.id] = user
        return user

    def user(self, user_id: int) -> User | None:
        self._connected()
        return self.users.get(user_id)

    def user_named(self, username: str) -> User | None:
        self._connected()
        return next((user for user in self.users.values() if user.username == username), None)

    def user_with_password(self, username: str, password: str) -> User | None:
        user = self.user_named(username)
        if user and secrets.compare_digest(hashed(password, user.salt), user.password_hash):
            return user
        return None

    def remove_user(self, user_id: int) -> bool:
        self._connected()
        return self.users.pop(user_id, None) is not None

    # Resources

    def add(self, kind: str, fields: dict) -> dict:
        collection = self.collection(kind)
        item = {"id": next(collection.ids), **fields, "created_at": timestamp()}
        collection.items[item["id"]] = item
        return dict(item)

    def get(self, kind: str, item_id: int) -> dict | None:
        item = self.collection(kind).items.get(item_id)
        return dict(item) if item else None

    def change(self, kind: str, item_id: int, fields: dict) -> dict | None:
        item = self.collection(kind).items.get(item_id)
        if item is None:
            return None
        item.update(fields)
        return dict(item)

    def remove(self, kind: str, item_id: int) -> dict | None:
        return self.collection(kind).items.pop(item_id, None)

    def remove_where(self, kind: str, **where: object) -> None:
        items = self.collection(kind).items
        for item_id in [item["id"] for item in items.values() if matches(item, where)]:
            del items[item_id]

    def page(self, kind: str, number: int, size: int, **where: object) -> Page | None:
        """A page of the items whose fields are as in `where`; None beyond the last page."""
        items = [item for item in self.collection(kind).items.values() if matches(item, where)]
        first = (number - 1) * size
        if number < 1 or (first >= len(items) and number > 1):
            return None
        return Page(
            count=len(items),
            previous=number - 1 if number > 1 else None,
            next=number + 1 if first + size < len(items) else None,
            results=[dict(item) for item in items[first : first + size]],
        )


def matches(item: dict, where: dict) -> bool:
    return all(item[name] == value for name, value in where.items())


def hashed(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)


def timestamp() -> str:
    """Now, as RFC 3339 in UTC with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
