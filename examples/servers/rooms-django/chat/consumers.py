"""One connection to one channel."""

import asyncio
import json
import random
import time
from urllib.parse import parse_qs
from uuid import UUID

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from chat import presence, serializers, tokens
from chat.database import DatabaseDown, in_database
from chat.models import ChatChannel, ChatMessage, MessageReadStatus, Person
from chat.tokens import Refused


class Invalid(Exception):
    """The message cannot be processed; the text is for who sent it."""


class ChatConsumer(AsyncWebsocketConsumer):
    # Who is connected to this process, for its farewell.
    connected: set["ChatConsumer"] = set()
    stopping = False

    @classmethod
    async def stop_all(cls) -> None:
        """Tells everybody when to come back, not all at the same moment."""
        cls.stopping = True
        for consumer in list(cls.connected):
            await consumer.close(1001, f"server going away; retry after {random.randint(3, 12)} s")

    async def connect(self) -> None:
        # A browser cannot read the status of a refused handshake, so a refusal is a close code.
        self.person: Person | None = None
        self.typing_ends: asyncio.Task | None = None
        await self.accept()
        try:
            claims = tokens.read(parse_qs(self.scope["query_string"].decode()).get("token", [""])[0])
            person, self.channel_id = await in_database(
                admitted, claims, self.scope["url_route"]["kwargs"]["channel_id"]
            )
        except Refused:
            return await self.close(4000, "not allowed")
        except DatabaseDown:
            return await self.close(1011, "internal error")
        self.person = person
        self.connected.add(self)
        self.group = group_of(self.channel_id)
        self.expiry = asyncio.create_task(self.expire(claims["exp"] - time.time()))
        # First the group, then the history: what is stored in between is in both, and told once.
        await self.channel_layer.group_add(self.group, self.channel_name)
        first_here, first_at_all = presence.enter(self.channel_id, person.id)
        channel, history = await in_database(greeting, self.channel_id, person)
        self.newest_told = history[-1]["id"] if history else 0
        await self.tell({"type": "channel.info", "channel": channel})
        await self.tell({"type": "messages.history", "messages": history})
        if first_here:
            await self.tell_group({"type": "user.join", **self.who(), "timestamp": serializers.now()})
        if first_at_all:
            await self.tell_presence(is_online=True, last_seen=None)

    async def expire(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.close(4000, "token expired")

    async def disconnect(self, code: int) -> None:
        if self.person is None:
            return
        self.connected.discard(self)
        self.expiry.cancel()
        self.forget_typing()
        # A server that stops tells nobody: its users come back to the next one.
        if self.stopping:
            return
        await self.channel_layer.group_discard(self.group, self.channel_name)
        last_here, last_at_all = presence.leave(self.channel_id, self.person.id)
        if last_here:
            await self.tell_group({"type": "user.leave", **self.who(), "timestamp": serializers.now()})
        if last_at_all:
            seen = await in_database(left, self.person)
            await self.tell_presence(is_online=False, last_seen=seen)

    # What the client says

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.person is None:
            return
        if text_data is None:
            return await self.close(1003, "text only")
        try:
            await self.handle(parsed(text_data))
        except Invalid as error:
            await self.tell({"type": "error", "message": str(error)})
        except DatabaseDown:
            await self.tell({"type": "error", "message": "Server error"})

    async def handle(self, frame: dict) -> None:
        kind = frame.get("type")
        if not isinstance(kind, str):
            raise Invalid("Missing message type")
        match kind:
            case "chat.message":
                await self.hear_message(frame)
            case "typing":
                await self.hear_typing(frame)
            case "message.read":
                await self.hear_read(frame)
            case "heartbeat":
                await self.tell({"type": "heartbeat.ack", "timestamp": serializers.now()})
            case _:
                raise Invalid(f"Unknown message type: {kind[:100]}")

    async def hear_message(self, frame: dict) -> None:
        content = checked_content(frame.get("content"))
        self.forget_typing()
        message = await in_database(stored, self.channel_id, self.person, content)
        await self.tell_group({"type": "chat.message", "message": message})

    async def hear_typing(self, frame: dict) -> None:
        is_typing = frame.get("is_typing")
        if not isinstance(is_typing, bool):
            raise Invalid("is_typing must be true or false")
        self.forget_typing()
        if is_typing:
            self.typing_ends = asyncio.create_task(self.end_typing())
        await self.tell_group({"type": "typing", **self.who(), "is_typing": is_typing})

    async def end_typing(self) -> None:
        await asyncio.sleep(settings.TYPING_TTL_SECONDS)
        self.typing_ends = None
        await self.tell_group({"type": "typing", **self.who(), "is_typing": False})

    def forget_typing(self) -> None:
        if self.typing_ends:
            self.typing_ends.cancel()
            self.typing_ends = None

    async def hear_read(self, frame: dict) -> None:
        message_id = frame.get("message_id")
        if not isinstance(message_id, int) or isinstance(message_id, bool) or message_id >= 2**63:
            raise Invalid("Message not found")
        read_at = await in_database(marked_read, self.channel_id, self.person, message_id)
        if read_at:
            await self.tell_group({
                "type": "message.read", "message_id": message_id, "user_id": self.person.number, "read_at": read_at,
            })

    # What the group says

    async def chat_message(self, event: dict) -> None:
        message = event["frame"]["message"]
        if message["id"] > self.newest_told:
            own = message["user_id"] == self.person.number
            await self.tell({"type": "chat.message", "message": {**message, "is_own": own}})

    async def message_read(self, event: dict) -> None:
        await self.tell(event["frame"])

    async def for_others(self, event: dict) -> None:
        if event["frame"]["user_id"] != self.person.number:
            await self.tell(event["frame"])

    typing = user_join = user_leave = presence_changed = for_others

    # Telling

    def who(self) -> dict:
        return {"user_id": self.person.number, "username": self.person.username}

    async def tell(self, frame: dict) -> None:
        await self.send(text_data=json.dumps(frame, ensure_ascii=False))

    async def tell_group(self, frame: dict) -> None:
        await self.channel_layer.group_send(self.group, {"type": frame["type"], "frame": frame})

    async def tell_presence(self, is_online: bool, last_seen: str | None) -> None:
        """In every channel of his, to whoever is connected there."""
        frame = {"type": "presence", "user_id": self.person.number, "is_online": is_online, "last_seen": last_seen}
        for channel_id in await in_database(channels_of, self.person):
            await self.channel_layer.group_send(group_of(channel_id), {"type": "presence.changed", "frame": frame})


def group_of(channel_id: str) -> str:
    return f"chat_{channel_id}"


def parsed(text: str) -> dict:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise Invalid("Invalid JSON format")
    return frame


def checked_content(content: object) -> str:
    if not isinstance(content, str) or not content.strip():
        raise Invalid("Message content is required")
    if len(content) > settings.CONTENT_LENGTH_MAX:
        raise Invalid(f"Message content is over {settings.CONTENT_LENGTH_MAX} characters")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in content):
        raise Invalid("Message content holds what is no character")
    return content


# Queries


def admitted(claims: dict, channel_id: str) -> tuple[Person, str]:
    person = tokens.person_of(claims)
    return person, str(channel_of(person, channel_id).id)


def channel_of(person: Person, channel_id: str) -> ChatChannel:
    """A channel that he is a member of. Any other is told by the same words as one that does not exist."""
    try:
        return person.channels.get(id=UUID(channel_id), tenant=person.tenant_id)
    except (ValueError, ChatChannel.DoesNotExist):
        raise Refused from None


def greeting(channel_id: str, person: Person) -> tuple[dict, list[dict]]:
    channel = ChatChannel.objects.get(id=channel_id)
    return serializers.channel(channel, person), serializers.history(channel, person)


def stored(channel_id: str, person: Person, content: str) -> dict:
    message = ChatMessage.objects.create(channel_id=channel_id, author=person, content=content)
    return serializers.message(message, person)


def marked_read(channel_id: str, person: Person, message_id: int) -> str | None:
    """When he read it; None if that was known, or it is his own."""
    message = ChatMessage.objects.filter(id=message_id, channel_id=channel_id).first()
    if message is None:
        raise Invalid("Message not found")
    if message.author_id == person.id:
        return None
    try:
        with transaction.atomic():
            return serializers.iso(MessageReadStatus.objects.create(message=message, reader=person).read_at)
    except IntegrityError:
        return None


def left(person: Person) -> str:
    moment = timezone.now()
    Person.objects.filter(id=person.id).update(last_seen=moment)
    return serializers.iso(moment)


def channels_of(person: Person) -> list[str]:
    return [str(channel_id) for channel_id in person.channels.values_list("id", flat=True)]
