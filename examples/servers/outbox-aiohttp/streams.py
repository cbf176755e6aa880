"""Connections of users, and how the events of the outbox reach them: written once on each, sent when the client answered."""

import asyncio
import json
import logging
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from store import Event, Store, StoreDown, iso

log = logging.getLogger("outbox")

# A peer this far behind reads slower than anything that is worth waiting for.
QUEUED_FRAMES_MAX = 1_000

# How long a peer may take to read its close frame.
CLOSE_DEADLINE_SECONDS = 5.0


@dataclass
class Confirmation:
    """A ping under way, and the events that were written before it, with the time of writing."""

    payload: bytes
    events: dict[int, float] = field(default_factory=dict)


class Stream:
    """One WebSocket of a user.

    `written` has every event that this connection was given; `unconfirmed` those that no ping was sent after yet.
    """

    def __init__(self, socket: web.WebSocketResponse, user: str, confirm_timeout_seconds: float) -> None:
        self.socket = socket
        self.user = user
        self.confirm_timeout_seconds = confirm_timeout_seconds
        self.written: set[int] = set()
        self.unconfirmed: dict[int, float] = {}
        self.under_way: Confirmation | None = None
        self.pings = 0
        self.outgoing: asyncio.Queue[tuple[str, Event | None]] = asyncio.Queue(QUEUED_FRAMES_MAX)
        self.ending: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None

    def tell(self, frame: dict, event: Event | None = None) -> None:
        try:
            self.outgoing.put_nowait((json.dumps(frame), event))
        except asyncio.QueueFull:
            self.end(1008, "slow consumer")

    def give(self, events: list[Event]) -> int:
        """How many of them are new to this connection."""
        new = [event for event in events if event.id not in self.written]
        for event in new:
            self.written.add(event.id)
            self.tell(event.frame(), event)
        return len(new)

    def end(self, code: int, reason: str) -> None:
        if not self.ending.done():
            self.ending.set_result((code, reason))

    async def write(self) -> None:
        while True:
            text, event = await self.outgoing.get()
            await self.socket.send_str(text)
            if event:
                self.unconfirmed[event.id] = time.time()
                if self.outgoing.empty():
                    await self.ask()

    async def ask(self) -> None:
        """Sends a ping that covers what was written before it, unless one is under way."""
        if self.unconfirmed and self.under_way is None:
            self.pings += 1
            self.under_way = Confirmation(f"events-{self.pings}".encode(), self.unconfirmed)
            self.unconfirmed = {}
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(self.confirm_timeout_seconds, self.end, 1008, "no pong")
            await self.socket.ping(self.under_way.payload)

    async def hear_pong(self, payload: bytes, store: Store) -> None:
        if self.under_way is None or payload != self.under_way.payload:
            return
        confirmed, self.under_way = self.under_way, None
        self.timer.cancel()
        store.mark_sent(confirmed.events)
        await self.ask()

    async def say_goodbye(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_SECONDS):
                await self.socket.close(code=code, message=reason.encode())
        except TimeoutError:
            log.info("a connection of %s did not take its close frame", self.user)


def retry_after_seconds() -> int:
    return random.randint(3, 12)


class Streams:
    """All connections, by user, and the sweep that looks for what has become due."""

    def __init__(self, store: Store, confirm_timeout_seconds: float) -> None:
        self.store = store
        self.confirm_timeout_seconds = confirm_timeout_seconds
        self.by_user: dict[str, set[Stream]] = defaultdict(set)
        self.draining = False

    async def serve(self, socket: web.WebSocketResponse, user: str, expires_in_seconds: float) -> None:
        """Until the client goes or somebody calls `end`."""
        stream = Stream(socket, user, self.confirm_timeout_seconds)
        loop = asyncio.get_running_loop()
        expiry = loop.call_later(max(0.0, expires_in_seconds), stream.end, 4002, "token expired")
        stream.tell({"type": "connection_established", "user_uuid": user, "timestamp": iso(time.time())})
        stream.give(self.store.due(user))
        self.by_user[user].add(stream)
        tasks = [asyncio.create_task(self.read(stream)), asyncio.create_task(stream.write())]
        try:
            await asyncio.wait([*tasks, stream.ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.by_user[user].discard(stream)
            expiry.cancel()
            if stream.timer:
                stream.timer.cancel()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in results:
            if isinstance(failure, Exception) and not isinstance(failure, ConnectionError):
                log.error("a connection of %s failed", user, exc_info=failure)
                stream.end(1011, "internal error")
        if stream.ending.done():
            await stream.say_goodbye(*stream.ending.result())

    async def read(self, stream: Stream) -> None:
        async for message in stream.socket:
            match message.type:
                case WSMsgType.TEXT:
                    self.hear(stream, message.data)
                case WSMsgType.PING:
                    await stream.socket.pong(message.data)
                case WSMsgType.PONG:
                    await stream.hear_pong(message.data, self.store)
                case WSMsgType.BINARY:
                    return stream.end(1003, "text only")

    def hear(self, stream: Stream, text: str) -> None:
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            frame = None
        kind = frame.get("type") if isinstance(frame, dict) else None
        match kind:
            case "ping":
                stream.tell({"type": "pong", "timestamp": iso(time.time())})
            case "get_pending":
                self.hear_get_pending(stream)
            case str():
                stream.tell({"type": "error", "message": f"Unknown message type: {kind[:100]}"})
            case _:
                stream.tell({"type": "error", "message": "Invalid JSON, or no type"})

    def hear_get_pending(self, stream: Stream) -> None:
        try:
            count = stream.give(self.store.due(stream.user))
        except StoreDown:
            return stream.tell({"type": "error", "message": "Server error"})
        stream.tell({"type": "pending_check_complete", "data": {"count": count}})

    def deliver(self, user: str) -> None:
        """What is due to every connection of the user that was not given it."""
        streams = self.by_user.get(user)
        if streams:
            due = self.store.due(user)
            for stream in streams:
                stream.give(due)

    def sweep(self) -> None:
        for user in list(self.by_user):
            self.deliver(user)

    async def sweep_again_and_again(self, interval_seconds: float) -> None:
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                self.sweep()
            except StoreDown:
                log.warning("no sweep: the store does not answer")

    def disconnect(self, user: str, code: int, reason: str) -> None:
        for stream in self.by_user.get(user, ()):
            stream.end(code, reason)

    def stop(self) -> None:
        """Tells everybody when to come back, not all at the same moment."""
        for user in list(self.by_user):
            self.disconnect(user, 1001, f"server going away; retry after {retry_after_seconds()} s")

    def drain(self, window_seconds: float) -> None:
        """Closes all connections, spread over the window; who is not closed yet works on, and nobody new is let in."""
        self.draining = True
        loop = asyncio.get_running_loop()
        for stream in [stream for streams in self.by_user.values() for stream in streams]:
            reason = f"server restarting; retry after {retry_after_seconds()} s"
            loop.call_later(random.uniform(0, window_seconds), stream.end, 1012, reason)
