"""Mistakes that applications like this one have had, one at a time: `BUG=name` before the server's start.

They are here to show that a conformance run finds them (`bugs.yaml` says by which cases), and no part of the server:
each puts a wrong version of one function in the place of the right one.
"""

import time
import uuid
from collections.abc import Callable
from types import ModuleType

import streams
from store import Event, Store
from streams import Stream, Streams

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
def stream_of_anybody(server: ModuleType) -> None:
    """Whose stream it is stands in the path; the token has only to be good."""

    def admitted(request: object) -> tuple[str, float]:
        token = request.query.get("token")
        if not token:
            raise server.Refused(4001, "no token")
        claims = server.claims_of(token)
        server.user_of(claims, token)
        return server.decoded(request.match_info["user"]), float(claims["exp"])

    server.admitted = admitted


@bug
def any_kind_of_token(server: ModuleType) -> None:
    """A refresh token is taken for an access token, and the other way round."""
    claims_of = server.claims_of

    def claims_of_any(token: str, wanted: str = "access") -> dict:
        try:
            return claims_of(token, wanted)
        except server.Refused:
            return claims_of(token, "refresh" if wanted == "access" else "access")

    server.claims_of = claims_of_any


@bug
def logout_forgets_the_token(server: ModuleType) -> None:
    """A logout closes connections, and the token opens new ones."""
    Store.is_revoked = lambda self, user, token, issued_at: False


@bug
def logout_closes_one(server: ModuleType) -> None:
    """A logout closes one of the user's connections."""

    def disconnect(self: Streams, user: str, code: int, reason: str) -> None:
        for stream in list(self.by_user.get(user, ()))[:1]:
            stream.end(code, reason)

    Streams.disconnect = disconnect


# The outbox


@bug
def written_is_sent(server: ModuleType) -> None:
    """An event counts as sent when it is written, whether it arrives or not."""
    give = Stream.give

    def give_and_forget(self: Stream, events: list[Event]) -> int:
        count = give(self, events)
        server.store.mark_sent({event.id: time.time() for event in events})
        return count

    Stream.give = give_and_forget


@bug
def asked_for_is_given_again(server: ModuleType) -> None:
    """`get_pending` sends what is not confirmed once more, though it was written to the same connection."""
    hear_get_pending = Streams.hear_get_pending

    def hear_and_forget(self: Streams, stream: Stream) -> None:
        stream.written.clear()
        hear_get_pending(self, stream)

    Streams.hear_get_pending = hear_and_forget


@bug
def any_pong_confirms(server: ModuleType) -> None:
    """Whatever pong comes is the answer to the ping that is under way."""
    hear_pong = Stream.hear_pong

    async def hear_any_pong(self: Stream, payload: bytes, store: Store) -> None:
        await hear_pong(self, self.under_way.payload if self.under_way else payload, store)

    Stream.hear_pong = hear_any_pong


@bug
def pong_confirms_all(server: ModuleType) -> None:
    """A pong confirms also what was written after its ping."""
    hear_pong = Stream.hear_pong

    async def hear_pong_for_all(self: Stream, payload: bytes, store: Store) -> None:
        store.mark_sent({event_id: time.time() for event_id in self.written})
        await hear_pong(self, payload, store)

    Stream.hear_pong = hear_pong_for_all


@bug
def time_does_not_count(server: ModuleType) -> None:
    """An event goes out at once, whenever it is scheduled for."""
    due = Store.due

    def due_ever(self: Store, user: str) -> list[Event]:
        self.execute("UPDATE events SET scheduled_at = 0 WHERE user = ? AND status = 'pending'", user)
        return due(self, user)

    Store.due = due_ever


@bug
def as_they_were_stored(server: ModuleType) -> None:
    """Events go out in the order in which they were stored, not in that of their times."""
    due = Store.due
    Store.due = lambda self, user: sorted(due(self, user), key=lambda event: event.id)


@bug
def only_with_the_sweep(server: ModuleType) -> None:
    """An event that is due now waits for the next sweep."""

    def queue(user: str, event_type: str, data: dict, scheduled_at: float) -> None:
        server.store.add_event(user, event_type, data, scheduled_at)

    server.queue = queue


@bug
def nothing_at_connect(server: ModuleType) -> None:
    """What waits for a user is not looked for when he connects."""
    add = Store.due

    async def serve(self: Streams, *rest: object) -> None:
        self.greeting = True
        await serve_right(self, *rest)

    def due(self: Store, user: str) -> list[Event]:
        if getattr(server.streams, "greeting", False):
            server.streams.greeting = False
            return []
        return add(self, user)

    serve_right = Streams.serve
    Streams.serve, Store.due = serve, due


@bug
def another_id_each_time(server: ModuleType) -> None:
    """An event that is sent again has another id."""
    frame = Event.frame
    Event.frame = lambda self: {**frame(self), "event_id": str(uuid.uuid4())}


@bug
def counts_what_was_given(server: ModuleType) -> None:
    """`get_pending` counts all that is pending, also what it did not send."""

    def hear_get_pending(self: Streams, stream: Stream) -> None:
        due = self.store.due(stream.user)
        stream.give(due)
        stream.tell({"type": "pending_check_complete", "data": {"count": len(due)}})

    Streams.hear_get_pending = hear_get_pending


@bug
def one_connection_only(server: ModuleType) -> None:
    """An event reaches one of the user's connections, whichever it is."""

    def deliver(self: Streams, user: str) -> None:
        for stream in list(self.by_user.get(user, ()))[:1]:
            stream.give(self.store.due(user))

    Streams.deliver = deliver


@bug
def all_must_answer(server: ModuleType) -> None:
    """An event is sent when all connections of the user have answered."""
    hear_pong = Stream.hear_pong

    class Patient:
        def __init__(self, stream: Stream) -> None:
            self.stream = stream

        def mark_sent(self, events: dict[int, float]) -> None:
            self.stream.answered = getattr(self.stream, "answered", set()) | set(events)
            others = server.streams.by_user[self.stream.user]
            by_all = {
                event_id: at
                for event_id, at in events.items()
                if all(event_id in getattr(other, "answered", ()) for other in others)
            }
            server.store.mark_sent(by_all)

    async def hear_pong_of_all(self: Stream, payload: bytes, store: Store) -> None:
        await hear_pong(self, payload, Patient(self))

    Stream.hear_pong = hear_pong_of_all


@bug
def silence_is_no_matter(server: ModuleType) -> None:
    """Who answers no ping stays connected."""
    end = Stream.end

    def end_unless_silent(self: Stream, code: int, reason: str) -> None:
        if reason != "no pong":
            end(self, code, reason)

    Stream.end = end_unless_silent


@bug
def begins_anew(server: ModuleType) -> None:
    """A server that starts forgets the events of the one before."""
    server.store.execute("DELETE FROM events")


# Conversations and what is said


@bug
def sender_is_not_told(server: ModuleType) -> None:
    """A message is queued for the others, not for its author."""
    queue = server.queue

    def queue_for_others(user: str, event_type: str, data: dict, scheduled_at: float) -> None:
        if data.get("message", {}).get("sender_uuid") != user:
            queue(user, event_type, data, scheduled_at)

    server.queue = queue_for_others


@bug
def all_conversations(server: ModuleType) -> None:
    """Everybody is shown the conversations of all."""

    def conversations(self: Store, user: str) -> list[dict]:
        rows = self.execute("SELECT DISTINCT conversation FROM members").fetchall()
        return [{"uuid": row["conversation"], "members": self.members(row["conversation"])} for row in rows]

    Store.conversations = conversations


@bug
def times_in_seconds(server: ModuleType) -> None:
    streams.iso = lambda epoch_seconds: int(epoch_seconds)


@bug
def ping_is_unknown(server: ModuleType) -> None:
    """The client's `ping` is a type that the server does not know."""
    hear = Streams.hear
    Streams.hear = lambda self, stream, text: hear(self, stream, text.replace('"ping"', '"unknown"'))
