"""Who is connected, what they are told, and whether they still answer."""

import asyncio
import contextlib
import json
import logging
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from store import User, timestamp

log = logging.getLogger("feed")

# A peer this far behind reads slower than anything that is worth waiting for.
QUEUED_FRAMES_MAX = 1_000

# How long a peer may take to read its close frame.
CLOSE_DEADLINE_SECONDS = 5.0


@dataclass(frozen=True)
class Heartbeat:
    interval_seconds: float
    timeout_seconds: float


class Faults:
    """So many of the next messages will meet a handler that fails, to see what the others notice of it."""

    def __init__(self) -> None:
        self.due = 0

    def strike(self) -> None:
        if self.due:
            self.due -= 1
            raise RuntimeError("a fault that was asked for")


class Connection:
    """One WebSocket of a user.

    Frames go through a queue of its own, so that nobody waits for a slow reader. Whoever ends the connection first
    decides on the code; `run` sends the close frame, after what was queued by then.
    """

    def __init__(self, websocket: WebSocket, user: User, faults: "Faults") -> None:
        self.websocket = websocket
        self.faults = faults
        self.user = user
        self.outgoing: asyncio.Queue[str] = asyncio.Queue(QUEUED_FRAMES_MAX)
        self.ponged = asyncio.Event()
        self.ending: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def send(self, frame: str) -> None:
        try:
            self.outgoing.put_nowait(frame)
        except asyncio.QueueFull:
            self.end(1008, "slow consumer")

    def end(self, code: int, reason: str) -> None:
        if not self.ending.done():
            self.ending.set_result((code, reason))

    async def run(self, heartbeat: Heartbeat, expires_in_seconds: float) -> None:
        """Until the peer leaves or somebody calls `end`."""
        expiry = asyncio.get_running_loop().call_later(
            max(0.0, expires_in_seconds), self.end, 4001, "token expired"
        )
        tasks = [
            asyncio.create_task(self.read()),
            asyncio.create_task(self.write()),
            asyncio.create_task(self.beat(heartbeat)),
        ]
        try:
            await asyncio.wait([*tasks, self.ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            expiry.cancel()
            for task in tasks:
                task.cancel()
            failures = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, Exception) and not isinstance(failure, WebSocketDisconnect):
                log.error("a connection of user %s failed", self.user.id, exc_info=failure)
                self.end(1011, "internal error")
        if self.ending.done():
            await self.say_goodbye(*self.ending.result())

    async def say_goodbye(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_SECONDS):
                while code != 1008 and not self.outgoing.empty():
                    await self.websocket.send_text(self.outgoing.get_nowait())
                await self.websocket.close(code, reason)
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            log.info("user %s was gone before the close frame", self.user.id)

    async def read(self) -> None:
        while True:
            message = await self.websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1006))
            text = message.get("text")
            if text is None:
                self.end(1003, "text only")
                return
            self.hear(text)

    def hear(self, text: str) -> None:
        self.faults.strike()
        frame = parsed(text)
        if not isinstance(frame, dict):
            self.send(encoded("ERROR", {"message": "Invalid JSON format"}))
        elif frame.get("type") == "PONG":
            self.ponged.set()

    async def write(self) -> None:
        while True:
            await self.websocket.send_text(await self.outgoing.get())

    async def beat(self, heartbeat: Heartbeat) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + heartbeat.interval_seconds
        while True:
            await asyncio.sleep(due - loop.time())
            due = max(due, loop.time()) + heartbeat.interval_seconds
            self.ponged.clear()
            self.send(encoded("PING", {"timestamp": timestamp()}))
            try:
                async with asyncio.timeout(heartbeat.timeout_seconds):
                    await self.ponged.wait()
            except TimeoutError:
                self.end(4408, "heartbeat missed")
                return


class Hub:
    """All connections, by user. Presence is told for a user's first connection and the end of the last."""

    def __init__(self) -> None:
        self.by_user: dict[int, set[Connection]] = defaultdict(set)
        self.stopping = False
        self.empty = asyncio.Event()

    def enter(self, connection: Connection) -> None:
        user = connection.user
        is_first = not self.by_user[user.id]
        self.by_user[user.id].add(connection)
        if is_first:
            self.tell_presence("USER_PRESENCE_CONNECTED", user)

    def leave(self, connection: Connection) -> None:
        user = connection.user
        self.by_user[user.id].discard(connection)
        if not self.by_user[user.id]:
            del self.by_user[user.id]
            if not self.by_user:
                self.empty.set()
            self.tell_presence("USER_PRESENCE_DISCONNECTED", user)

    def tell_presence(self, event_type: str, user: User) -> None:
        """To all others. A server that stops tells nobody: its users come back to the next one."""
        if not self.stopping:
            others = [user_id for user_id in self.by_user if user_id != user.id]
            self.send_to_users(others, event_type, {"user_id": user.id, "name": user.name})

    def send_to_user(self, user_id: int, event_type: str, data: dict) -> None:
        self.send_to_users([user_id], event_type, data)

    def send_to_users(self, user_ids: Iterable[int], event_type: str, data: dict) -> None:
        frame = encoded(event_type, data)
        for user_id in set(user_ids):
            for connection in self.by_user.get(user_id, ()):
                connection.send(frame)

    def broadcast(self, event_type: str, data: dict) -> None:
        self.send_to_users(list(self.by_user), event_type, data)

    def disconnect(self, user_id: int, code: int, reason: str) -> None:
        for connection in self.by_user.get(user_id, ()):
            connection.end(code, reason)

    async def stop(self) -> None:
        """Tells everybody when to come back, not all at the same moment, and waits until they have read it."""
        self.stopping = True
        self.empty.clear()
        for connection in [connection for connections in self.by_user.values() for connection in connections]:
            connection.end(1001, f"server going away; retry after {random.randint(3, 12)} s")
        if self.by_user:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.empty.wait(), CLOSE_DEADLINE_SECONDS)


def parsed(text: str) -> object:
    """What the text says; None if that is no JSON, or nested too deeply to be meant."""
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        return None


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is Python's JSON, nobody else's")


def encoded(event_type: str, data: dict) -> str:
    return json.dumps({"type": event_type, "data": data})
