"""Mistakes that applications like this one have had, one at a time: `BUG=name` before the server's start.

They are here to show that a conformance run finds them (`bugs.yaml` says by which cases), and no part of the server:
each puts a wrong version of one function in the place of the right one.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from chat import consumers, presence, serializers, tokens, views
from chat.consumers import ChatConsumer, Invalid
from chat.models import ChatChannel, ChatMessage, MessageReadStatus, Person
from chat.tokens import Refused

BUGS: dict[str, Callable[[], None]] = {}


def bug(put_in: Callable[[], None]) -> Callable[[], None]:
    BUGS[put_in.__name__.replace("_", "-")] = put_in
    return put_in


def switch_on(name: str) -> None:
    if name not in BUGS:
        raise SystemExit(f"BUG is {name!r}, and there is none of that name: {', '.join(BUGS)}")
    BUGS[name]()


# Who is let in


@bug
def any_channel_of_the_tenant() -> None:
    """Membership is not asked for: who is of the tenant may in."""

    def channel_of(person: Person, channel_id: str) -> ChatChannel:
        try:
            return ChatChannel.objects.get(id=channel_id, tenant=person.tenant_id)
        except Exception:
            raise Refused from None

    consumers.channel_of = views.channel_of = channel_of


@bug
def schema_as_the_token_says() -> None:
    """The tenant is looked up by its schema name; that its id is another's is not noticed."""

    def person_of(claims: dict) -> Person:
        people = Person.objects.select_related("tenant").filter(number=tokens.number(claims.get("user_id")))
        person = people.filter(tenant__schema_name=claims.get("schema_name")).first()
        if person is None:
            raise Refused
        return person

    tokens.person_of = person_of


@bug
def any_kind_of_token() -> None:
    """A refresh token opens what an access token opens."""
    read = tokens.read

    def read_any(token: str, wanted: str = "access") -> dict:
        try:
            return read(token, wanted)
        except Refused:
            return read(token, "refresh" if wanted == "access" else "access")

    tokens.read = read_any


@bug
def refusals_say_why() -> None:
    """Who is no member is told by another code than one who names a channel that is not there."""
    close = ChatConsumer.close

    async def close_and_tell(self: ChatConsumer, code: int | None = None, reason: str | None = None) -> None:
        channel_id = self.scope["url_route"]["kwargs"]["channel_id"]
        if code == 4000 and reason == "not allowed":
            exists = ChatChannel.objects.filter(id=channel_id).aexists
            try:
                code = 4003 if await exists() else 4004
            except Exception:
                code = 4004
        await close(self, code, reason)

    ChatConsumer.close = close_and_tell


# Between tenants


@bug
def presence_by_number() -> None:
    """Presence is counted by the user's number, and there is a user 1 in every tenant."""
    enter, leave, is_online = presence.enter, presence.leave, presence.is_online

    def number_of(person_id: int) -> int:
        return numbers.get(person_id, person_id)

    numbers: dict[int, int] = {}

    def enter_numbered(channel_id: str, person_id: int) -> tuple[bool, bool]:
        return enter(channel_id, number_of(person_id))

    def leave_numbered(channel_id: str, person_id: int) -> tuple[bool, bool]:
        return leave(channel_id, number_of(person_id))

    admitted = consumers.admitted

    def admitted_numbered(claims: dict, channel_id: str) -> tuple[Person, str]:
        person, channel = admitted(claims, channel_id)
        for other in ChatChannel.objects.get(id=channel).participants.all():
            numbers[other.id] = -other.number
        return person, channel

    consumers.admitted = admitted_numbered
    presence.enter, presence.leave = enter_numbered, leave_numbered
    presence.is_online = lambda person_id: is_online(number_of(person_id))


@bug
def groups_by_name() -> None:
    """Groups are named after the channel's name, and two tenants have a channel of the same."""
    names: dict[str, str] = {}
    admitted = consumers.admitted

    def admitted_named(claims: dict, channel_id: str) -> tuple[Person, str]:
        person, channel = admitted(claims, channel_id)
        names[channel] = ChatChannel.objects.get(id=channel).name.encode().hex()[:80]
        return person, channel

    consumers.admitted = admitted_named
    consumers.group_of = views.group_of = lambda channel_id: f"chat_{names.get(channel_id, channel_id)}"


# Coming and going


@bug
def leave_is_not_told() -> None:
    tell_group = ChatConsumer.tell_group

    async def tell_all_but_leave(self: ChatConsumer, frame: dict) -> None:
        if frame["type"] != "user.leave":
            await tell_group(self, frame)

    ChatConsumer.tell_group = tell_all_but_leave


@bug
def gone_with_a_tab() -> None:
    """A user has left when any of his connections to the channel closes."""
    leave = presence.leave
    presence.leave = lambda channel_id, person_id: (True, leave(channel_id, person_id)[1])


@bug
def presence_in_this_channel_only() -> None:
    consumers.channels_of = lambda person: []


@bug
def typing_outlives_its_connection() -> None:
    """The end of a typing state is still told when the typist has gone."""
    disconnect = ChatConsumer.disconnect

    async def disconnect_typing(self: ChatConsumer, code: int) -> None:
        self.forget_typing = lambda: None
        await disconnect(self, code)

    ChatConsumer.disconnect = disconnect_typing


@bug
def typing_by_user() -> None:
    """One typing state for all connections of a user: what one ends is over for all."""
    states: dict[int, asyncio.Task] = {}
    forget = ChatConsumer.forget_typing

    def forget_of_user(self: ChatConsumer) -> None:
        forget(self)
        if task := states.pop(self.person.id, None):
            task.cancel()

    hear = ChatConsumer.hear_typing

    async def hear_of_user(self: ChatConsumer, frame: dict) -> None:
        await hear(self, frame)
        if self.typing_ends:
            states[self.person.id] = self.typing_ends

    ChatConsumer.forget_typing, ChatConsumer.hear_typing = forget_of_user, hear_of_user


# History


@bug
def history_before_the_group() -> None:
    """The history is read before the connection is in its group: what is said in between reaches it by neither way."""
    connect = ChatConsumer.connect

    async def connect_late(self: ChatConsumer) -> None:
        layer, add = self.channel_layer, self.channel_layer.group_add

        async def add_later(group: str, name: str) -> None:
            async def later() -> None:
                await asyncio.sleep(0.2)
                await add(group, name)

            self.adding = asyncio.create_task(later())

        self.channel_layer = Late(layer, add_later)
        await connect(self)
        self.channel_layer = layer

    class Late:
        def __init__(self, layer: object, group_add: Callable) -> None:
            self.layer, self.group_add = layer, group_add

        def __getattr__(self, name: str) -> object:
            return getattr(self.layer, name)

    ChatConsumer.connect = connect_late


@bug
def newest_first() -> None:
    page = serializers.page
    serializers.page = lambda *arguments: list(reversed(page(*arguments)))


@bug
def history_marks_read() -> None:
    """Who comes has read all that is there."""
    greeting = consumers.greeting

    def greeting_and_read(channel_id: str, person: Person) -> tuple[dict, list[dict]]:
        greeted = greeting(channel_id, person)
        for message in ChatMessage.objects.filter(channel_id=channel_id).exclude(author=person):
            MessageReadStatus.objects.get_or_create(message=message, reader=person)
        return greeted

    consumers.greeting = greeting_and_read


@bug
def before_includes_itself() -> None:
    """A page before a message has that message again at its end."""
    page = serializers.page

    def page_inclusive(stored: ChatChannel, length: int, before: int | None = None) -> list[ChatMessage]:
        return page(stored, length, before and before + 1)

    serializers.page = page_inclusive


@bug
def own_are_unread() -> None:
    """What a user wrote himself counts as unread."""
    channel = serializers.channel

    def channel_unread(stored: ChatChannel, reader: Person) -> dict:
        unread = stored.messages.exclude(reads__reader=reader).count()
        return {**channel(stored, reader), "unread_count": unread}

    serializers.channel = channel_unread


@bug
def nothing_is_left_out() -> None:
    """`last_message` is missing where there is none, in place of null."""
    channel = serializers.channel

    def channel_without_null(stored: ChatChannel, reader: Person) -> dict:
        return {name: value for name, value in channel(stored, reader).items() if value is not None}

    serializers.channel = channel_without_null


# Messages


@bug
def trimmed() -> None:
    checked = consumers.checked_content
    consumers.checked_content = views.checked_content = lambda content: checked(content).strip()


@bug
def length_in_bytes() -> None:
    """The limit of a text counts bytes."""
    checked = consumers.checked_content

    def checked_bytes(content: object) -> str:
        text = checked(content)
        if len(text.encode()) > settings.CONTENT_LENGTH_MAX:
            raise Invalid("Message content is too long")
        return text

    consumers.checked_content = views.checked_content = checked_bytes


@bug
def own_for_everybody() -> None:
    """`is_own` is what it is for the author, for all."""

    async def chat_message(self: ChatConsumer, event: dict) -> None:
        if event["frame"]["message"]["id"] > self.newest_told:
            await self.tell(event["frame"])

    ChatConsumer.chat_message = chat_message


@bug
def told_before_it_is_stored() -> None:
    """The channel is told of a message that is then stored, or not."""
    numbers = iter(range(10**6, 10**9))

    async def hear_message(self: ChatConsumer, frame: dict) -> None:
        content = consumers.checked_content(frame.get("content"))
        self.forget_typing()
        message = ChatMessage(id=next(numbers), channel_id=self.channel_id, author=self.person, content=content)
        message.timestamp = timezone.now()
        told = {
            "id": message.id, "content": content, "content_type": "text/plain", "user_id": self.person.number,
            "username": self.person.username, "timestamp": serializers.iso(message.timestamp), "read_by": [],
        }
        await self.tell_group({"type": "chat.message", "message": told})
        await consumers.in_database(message.save)

    ChatConsumer.hear_message = hear_message


@bug
def two_at_once_are_one() -> None:
    """The number of a message is one more than the newest, asked before it is taken: of two at once one is lost."""
    def stored_numbered(channel_id: str, person: Person, content: str) -> dict:
        newest = ChatMessage.objects.order_by("-id").values_list("id", flat=True).first() or 0
        time.sleep(0.02)
        message = ChatMessage(id=newest + 1, channel_id=channel_id, author=person, content=content)
        message.save()
        return serializers.message(message, person)

    in_database = consumers.in_database

    async def in_any_thread(query: Callable, *arguments: object) -> object:
        if query is stored_numbered:
            return await asyncio.to_thread(query, *arguments)
        return await in_database(query, *arguments)

    consumers.stored, consumers.in_database = stored_numbered, in_any_thread


@bug
def http_is_not_told() -> None:
    """A message that comes over HTTP is stored, and nobody connected hears of it."""

    async def send(channel: ChatChannel, person: Person, body: dict) -> views.HttpResponse:
        try:
            content = consumers.checked_content(body.get("content"))
        except Invalid as error:
            raise views.Answer(400, str(error)) from None
        message = await views.in_database(consumers.stored, str(channel.id), person, content)
        return views.JsonResponse(message, status=201)

    views.send = send


# Read receipts


@bug
def read_by_its_author() -> None:
    """A receipt names the author of the message in place of its reader."""
    tell_group = ChatConsumer.tell_group

    async def tell_author(self: ChatConsumer, frame: dict) -> None:
        if frame["type"] == "message.read":
            message = await ChatMessage.objects.select_related("author").aget(id=frame["message_id"])
            frame = {**frame, "user_id": message.author.number}
        await tell_group(self, frame)

    ChatConsumer.tell_group = tell_author


@bug
def read_again_and_again() -> None:
    """Every receipt is told, also of a message that was read before."""
    marked = consumers.marked_read

    def marked_again(channel_id: str, person: Person, message_id: int) -> str:
        return marked(channel_id, person, message_id) or serializers.now()

    consumers.marked_read = marked_again


@bug
def read_up_to_here() -> None:
    """A receipt marks all earlier messages as well."""
    marked = consumers.marked_read

    def marked_up_to(channel_id: str, person: Person, message_id: int) -> str | None:
        read_at = marked(channel_id, person, message_id)
        for message in ChatMessage.objects.filter(channel_id=channel_id, id__lt=message_id).exclude(author=person):
            MessageReadStatus.objects.get_or_create(message=message, reader=person)
        return read_at

    consumers.marked_read = marked_up_to


@bug
def receipts_of_any_channel() -> None:
    """A message is found by its id alone, in whatever channel and tenant it is."""
    marked = consumers.marked_read

    def marked_anywhere(channel_id: str, person: Person, message_id: int) -> str | None:
        message = ChatMessage.objects.filter(id=message_id).first()
        return marked(str(message.channel_id) if message else channel_id, person, message_id)

    consumers.marked_read = marked_anywhere


# What is said


@bug
def times_in_seconds() -> None:
    serializers.iso = lambda moment: moment and int(moment.timestamp())
    serializers.now = lambda: int(time.time())


@bug
def times_without_a_zone() -> None:
    def iso(moment: datetime | None) -> str | None:
        return moment and moment.replace(tzinfo=None).isoformat()

    serializers.iso = iso


@bug
def errors_quote_all_of_it() -> None:
    """The error about an unknown type repeats it, however long it is."""
    handle = ChatConsumer.handle

    async def handle_quoting(self: ChatConsumer, frame: dict) -> None:
        try:
            await handle(self, frame)
        except Invalid as error:
            if str(error).startswith("Unknown message type"):
                raise Invalid(f"Unknown message type: {frame['type']}") from None
            raise

    ChatConsumer.handle = handle_quoting


@bug
def one_error_ends_it() -> None:
    """A message that cannot be processed costs its sender the connection."""
    receive = ChatConsumer.receive

    async def receive_once(self: ChatConsumer, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        tell = self.tell

        async def tell_and_close(frame: dict) -> None:
            await tell(frame)
            if frame["type"] == "error":
                await self.close(1011)

        self.tell = tell_and_close
        await receive(self, text_data, bytes_data)
        self.tell = tell

    ChatConsumer.receive = receive_once
