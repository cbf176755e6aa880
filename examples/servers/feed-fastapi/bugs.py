"""Mistakes that applications like this one have had, one at a time: `BUG=name` before the server's start.

They are here to show that a conformance run finds them (`bugs.yaml` says by which cases), and no part of the server:
each puts a wrong version of one function in the place of the right one.
"""

import asyncio
import time
from collections.abc import Callable
from types import ModuleType

import jwt

import hub
import store
import tokens
from hub import Connection, Hub
from store import Page, Store, User
from tokens import InvalidToken, Tokens

BUGS: dict[str, Callable[[ModuleType], None]] = {}


def bug(put_in: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    BUGS[put_in.__name__.replace("_", "-")] = put_in
    return put_in


def switch_on(name: str, server: ModuleType) -> None:
    if name not in BUGS:
        raise SystemExit(f"BUG is {name!r}, and there is none of that name: {', '.join(BUGS)}")
    BUGS[name](server)


# Who is let in


@bug
def expiry_in_milliseconds(server: ModuleType) -> None:
    """`exp` is compared with a clock of another unit, so nothing has ever expired."""
    read = Tokens.read

    def read_lenient(self: Tokens, token: str | None, wanted: str = "access") -> tuple[int, float]:
        decode = jwt.decode
        jwt.decode = lambda *rest, **named: decode(*rest, **named, leeway=time.time() * 999)
        try:
            return read(self, token, wanted)
        finally:
            jwt.decode = decode

    Tokens.read = read_lenient


@bug
def any_kind_of_token(server: ModuleType) -> None:
    """A refresh token opens what an access token opens."""
    read = Tokens.read

    def read_any(self: Tokens, token: str | None, wanted: str = "access") -> tuple[int, float]:
        try:
            return read(self, token, wanted)
        except InvalidToken:
            return read(self, token, "refresh" if wanted == "access" else "access")

    Tokens.read = read_any


@bug
def checked_once_per_user(server: ModuleType) -> None:
    """Tokens that were found good are remembered, by the user that they name and not by all that they are."""
    read, good = Tokens.read, {}

    def read_remembered(self: Tokens, token: str | None, wanted: str = "access") -> tuple[int, float]:
        try:
            named = jwt.decode(token or "", options={"verify_signature": False}).get("user_id")
        except jwt.PyJWTError:
            named = None
        key = (str(named), wanted)
        if named is None or key not in good:
            good[key] = read(self, token, wanted)
        return good[key]

    Tokens.read = read_remembered


@bug
def expiry_at_connect_only(server: ModuleType) -> None:
    """A connection outlives its token."""
    run = Connection.run
    Connection.run = lambda self, heartbeat, expires_in_seconds: run(self, heartbeat, 1e6)


@bug
def id_as_it_was_written(server: ModuleType) -> None:
    """A user id that the token has as a string stays one."""
    user = Store.user

    def user_as_written(self: Store, user_id: int) -> User | None:
        found = user(self, int(user_id))
        return found and User(user_id, found.username, found.name, found.salt, found.password_hash)

    Store.user = user_as_written
    tokens.user_id_of = lambda claims: claims["user_id"]


# Who is told


@bug
def lists_go_to_all(server: ModuleType) -> None:
    """A message for a list of several users is broadcast."""
    send = Hub.send_to_users

    def send_to_all(self: Hub, user_ids: list[int], event_type: str, data: dict) -> None:
        is_list = isinstance(user_ids, list) and len(user_ids) > 1 and "PRESENCE" not in event_type
        send(self, list(self.by_user) if is_list else user_ids, event_type, data)

    Hub.send_to_users = send_to_all


@bug
def newest_connection_only(server: ModuleType) -> None:
    """What is for a user reaches the page that he opened last."""

    def send_to_users(self: Hub, user_ids: list[int], event_type: str, data: dict) -> None:
        for user_id in set(user_ids):
            connections = self.by_user.get(user_id)
            if connections:
                newest = max(connections, key=lambda connection: connection.opened_at)
                newest.send(hub.encoded(event_type, data))

    init = Connection.__init__

    def opened(self: Connection, *rest: object) -> None:
        init(self, *rest)
        self.opened_at = time.monotonic()

    Connection.__init__ = opened
    Hub.send_to_users = send_to_users


@bug
def listed_twice_told_twice(server: ModuleType) -> None:
    def send_to_users(self: Hub, user_ids: list[int], event_type: str, data: dict) -> None:
        for user_id in user_ids:
            for connection in self.by_user.get(user_id, ()):
                connection.send(hub.encoded(event_type, data))

    Hub.send_to_users = send_to_users


@bug
def changes_are_told_to_others(server: ModuleType) -> None:
    """Who changes something does not hear of it: his page is thought to know."""
    asking: dict[str, int] = {}
    found, broadcast = Store.user, Hub.broadcast

    def user(self: Store, user_id: int) -> User | None:
        asking["now"] = user_id
        return found(self, user_id)

    def broadcast_to_others(self: Hub, event_type: str, data: dict) -> None:
        if event_type.endswith(("_CREATED", "_UPDATED")):
            others = [user_id for user_id in self.by_user if user_id != asking.get("now")]
            return self.send_to_users(others, event_type, data)
        return broadcast(self, event_type, data)

    Store.user, Hub.broadcast = user, broadcast_to_others


@bug
def nothing_means_missing(server: ModuleType) -> None:
    """Fields that are null are left out on their way."""
    encoded = hub.encoded

    def encoded_without_null(event_type: str, data: object) -> str:
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if value is not None}
        return encoded(event_type, data)

    hub.encoded = encoded_without_null


@bug
def large_ones_are_overtaken(server: ModuleType) -> None:
    """Large frames are sent by a task of their own, and what is sent after them arrives before."""
    send = Connection.send

    def send_aside(self: Connection, frame: str) -> None:
        if len(frame) > 4_096:
            asyncio.get_running_loop().call_later(0.02, send, self, frame)
        else:
            send(self, frame)

    Connection.send = send_aside


# Presence


@bug
def gone_with_a_tab(server: ModuleType) -> None:
    """A user has gone when any of his connections closes."""
    leave = Hub.leave

    def leave_at_once(self: Hub, connection: Connection) -> None:
        leave(self, connection)
        if connection.user.id in self.by_user:
            self.tell_presence("USER_PRESENCE_DISCONNECTED", connection.user)

    Hub.leave = leave_at_once


@bug
def gone_only_with_a_word(server: ModuleType) -> None:
    """Presence ends with a close frame; who just vanishes stays online."""
    read, leave, gone_well = Connection.read, Hub.leave, set()

    async def read_to_the_word(self: Connection) -> None:
        try:
            await read(self)
        except hub.WebSocketDisconnect as error:
            if error.code not in (1005, 1006):
                gone_well.add(self)
            raise

    def leave_if_it_was_said(self: Hub, connection: Connection) -> None:
        if connection in gone_well or connection.ending.done():
            leave(self, connection)

    Connection.read, Hub.leave = read_to_the_word, leave_if_it_was_said


@bug
def two_at_once_come_twice(server: ModuleType) -> None:
    """Between the question whether a user is there already and the answer, another of his connections comes in."""
    run, tell = Connection.run, Hub.tell_presence
    online: set[int] = set()

    def tell_later(self: Hub, event_type: str, user: User) -> None:
        if event_type == "USER_PRESENCE_DISCONNECTED":
            online.discard(user.id)
            tell(self, event_type, user)

    async def run_seen(self: Connection, *rest: object) -> None:
        is_first = self.user.id not in online
        await asyncio.sleep(0.02)
        online.add(self.user.id)
        if is_first:
            tell(server.hub, "USER_PRESENCE_CONNECTED", self.user)
        await run(self, *rest)

    Hub.tell_presence, Connection.run = tell_later, run_seen


# Heartbeats


@bug
def anything_is_a_pong(server: ModuleType) -> None:
    """Whatever a client says shows that it is alive."""
    hear = Connection.hear

    def hear_and_trust(self: Connection, text: str) -> None:
        self.ponged.set()
        hear(self, text)

    Connection.hear = hear_and_trust


@bug
def one_pong_for_all(server: ModuleType) -> None:
    """Connections share the note that a PONG came."""
    init, shared = Connection.__init__, asyncio.Event()

    def init_shared(self: Connection, *rest: object) -> None:
        init(self, *rest)
        self.ponged = shared

    Connection.__init__ = init_shared


@bug
def all_of_a_user_miss_it(server: ModuleType) -> None:
    """A heartbeat that one page of a user misses ends his other pages as well."""
    end = Connection.end

    def end_all(self: Connection, code: int, reason: str) -> None:
        end(self, code, reason)
        if code == 4408:
            for connection in server.hub.by_user.get(self.user.id, ()):
                end(connection, code, reason)

    Connection.end = end_all


@bug
def ping_at_once(server: ModuleType) -> None:
    """The first PING comes with the connection."""
    beat = Connection.beat

    async def beat_at_once(self: Connection, heartbeat: hub.Heartbeat) -> None:
        self.send(hub.encoded("PING", {"timestamp": hub.timestamp()}))
        await beat(self, heartbeat)

    Connection.beat = beat_at_once


# What is said


@bug
def times_in_seconds(server: ModuleType) -> None:
    hub.timestamp = store.timestamp = server.timestamp = lambda: int(time.time())


@bug
def errors_quote_the_input(server: ModuleType) -> None:
    hear, parsed = Connection.hear, hub.parsed

    def hear_and_quote(self: Connection, text: str) -> None:
        if isinstance(parsed(text), dict):
            return hear(self, text)
        return self.send(hub.encoded("ERROR", {"message": f"Invalid JSON format: {text}"}))

    Connection.hear = hear_and_quote


@bug
def unknown_types_are_errors(server: ModuleType) -> None:
    hear, parsed = Connection.hear, hub.parsed

    def hear_and_complain(self: Connection, text: str) -> None:
        frame = parsed(text)
        if isinstance(frame, dict) and frame.get("type") != "PONG":
            self.send(hub.encoded("ERROR", {"message": "Unknown message type"}))
        hear(self, text)

    Connection.hear = hear_and_complain


@bug
def size_in_characters(server: ModuleType) -> None:
    """The limit counts characters: four bytes each, for some scripts."""
    hear, limit = Connection.hear, server.MAX_MESSAGE_SIZE

    def hear_short(self: Connection, text: str) -> None:
        if len(text) > limit:
            return self.end(1009, "message too big")
        return hear(self, text)

    Connection.hear = hear_short
    server.MAX_MESSAGE_SIZE = 4 * limit


# HTTP


@bug
def pages_overlap(server: ModuleType) -> None:
    """Every page begins with the last item of the one before."""
    page = Store.page

    def page_overlapping(self: Store, kind: str, number: int, size: int, **where: object) -> Page | None:
        right = page(self, kind, number, size, **where)
        if right and number > 1:
            before = page(self, kind, number - 1, size, **where)
            right.results = [before.results[-1], *right.results][:size]
        return right

    Store.page = page_overlapping


@bug
def last_page_has_a_next(server: ModuleType) -> None:
    """A page that is just full is thought to have one behind it."""
    page = Store.page

    def page_and_next(self: Store, kind: str, number: int, size: int, **where: object) -> Page | None:
        right = page(self, kind, number, size, **where)
        if right and len(right.results) == size:
            right.next = number + 1
        return right

    Store.page = page_and_next


@bug
def album_does_not_count(server: ModuleType) -> None:
    """A photo is found by way of any album."""
    server.photo_in = lambda album_id, photo_id: server.found(server.store.get("photos", photo_id))


@bug
def viewed_by_its_author(server: ModuleType) -> None:
    """A view is told with the author of the message in place of who viewed it."""
    broadcast = Hub.broadcast

    def broadcast_author(self: Hub, event_type: str, data: dict) -> None:
        if event_type == "MESSAGE_VIEWED" and "id" in data:
            message = server.store.get("messages", data["id"])
            data = {**data, "user_id": message["user_id"]} if message else data
        broadcast(self, event_type, data)

    Hub.broadcast = broadcast_author


@bug
def patch_replaces(server: ModuleType) -> None:
    """A PATCH puts what it does not name back to its default."""
    for change in (server.BucketpointChange, server.PhotoChange):
        dump = change.model_dump

        def dump_all(self: object, dump: Callable = dump, **named: object) -> dict:
            fields = dump(self)
            return {name: value for name, value in fields.items() if value or name not in ("title", "url")}

        change.model_dump = dump_all
