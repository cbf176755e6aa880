"""What goes over the wire. All of it reads the database, so it is called from its thread."""

from datetime import datetime, timezone

from django.conf import settings
from django.db.models import Prefetch

from chat import presence
from chat.models import ChatChannel, ChatMessage, MessageReadStatus, Person


def iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    return iso(datetime.now(timezone.utc))


def message(stored: ChatMessage, reader: Person) -> dict:
    return {
        "id": stored.id,
        "content": stored.content,
        "content_type": "text/plain",
        "user_id": stored.author.number,
        "username": stored.author.username,
        "timestamp": iso(stored.timestamp),
        "is_own": stored.author_id == reader.id,
        "read_by": [read.reader.number for read in stored.reads.all()],
    }


def participant(person: Person) -> dict:
    return {
        "id": person.number,
        "username": person.username,
        "is_online": presence.is_online(person.id),
        "last_seen": iso(person.last_seen),
    }


def channel(stored: ChatChannel, reader: Person) -> dict:
    newest = page(stored, 1)
    unread = stored.messages.exclude(author=reader).exclude(reads__reader=reader).count()
    return {
        "id": str(stored.id),
        "name": stored.name,
        "channel_type": stored.channel_type,
        "participants": [participant(person) for person in stored.participants.order_by("id")[:100]],
        "participants_total": stored.participants.count(),
        "unread_count": unread,
        "last_message": message(newest[0], reader) if newest else None,
    }


def page(stored: ChatChannel, length: int, before: int | None = None) -> list[ChatMessage]:
    """The newest messages, those before one if it is named, oldest first."""
    messages = stored.messages.select_related("author").prefetch_related(
        Prefetch("reads", MessageReadStatus.objects.select_related("reader").order_by("id"))
    )
    if before is not None:
        messages = messages.filter(id__lt=before)
    return list(reversed(messages.order_by("-id")[:length]))


def history(stored: ChatChannel, reader: Person) -> list[dict]:
    return [message(item, reader) for item in page(stored, settings.HISTORY_LENGTH)]
