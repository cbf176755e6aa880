"""HTTP: login, channels, history."""

import functools
import json
from collections.abc import Awaitable, Callable
from uuid import UUID

from channels.layers import get_channel_layer
from django.contrib.auth.hashers import check_password, make_password
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from chat import consumers, serializers, tokens
from chat.consumers import Invalid, channel_of, checked_content, group_of
from chat.database import DatabaseDown, in_database
from chat.models import ChatChannel, ChatMessage, Person, Tenant
from chat.tokens import Refused

PAGE_LENGTH, PAGE_LENGTH_MAX = 50, 200


class Answer(Exception):
    """Ends a request."""

    def __init__(self, status: int, error: str) -> None:
        self.response = JsonResponse({"error": error}, status=status)


View = Callable[..., Awaitable[HttpResponse]]


def endpoint(*methods: str) -> Callable[[View], View]:
    def wrap(view: View) -> View:
        @csrf_exempt
        @functools.wraps(view)
        async def wrapped(request: HttpRequest, **captured: str) -> HttpResponse:
            try:
                if request.method not in methods:
                    raise Answer(405, "Method not allowed")
                return await view(request, **captured)
            except Answer as answer:
                return answer.response
            except DatabaseDown:
                return JsonResponse({"error": "Service unavailable"}, status=503)

        return wrapped

    return wrap


def body_of(request: HttpRequest) -> dict:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Answer(400, "The body must be a JSON object")
    return body


@endpoint("GET")
async def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


@endpoint("GET")
async def not_a_websocket(request: HttpRequest, channel_id: str) -> HttpResponse:
    raise Answer(400, "This is a WebSocket")


# Users


@endpoint("POST")
async def register(request: HttpRequest, schema: str) -> HttpResponse:
    body = body_of(request)
    fields = [body.get(name) for name in ("username", "email", "password")]
    if not all(isinstance(field, str) and field for field in fields):
        raise Answer(400, "Username, email and password are required")
    person = await in_database(registered, schema, *fields)
    return JsonResponse(public(person), status=201)


def registered(schema: str, username: str, email: str, password: str) -> Person:
    try:
        with transaction.atomic():
            tenant = tenant_named(schema)
            newest = Person.objects.filter(tenant=tenant).aggregate(Max("number"))["number__max"] or 0
            return Person.objects.create(
                tenant=tenant, number=newest + 1, username=username, email=email, password=make_password(password)
            )
    except IntegrityError:
        raise Answer(409, "This address is taken") from None


def tenant_named(schema: str) -> Tenant:
    tenant = Tenant.objects.filter(schema_name=schema).first()
    if tenant is None:
        raise Answer(404, "Unknown tenant")
    return tenant


def public(person: Person) -> dict:
    return {"id": person.number, "username": person.username, "email": person.email}


@endpoint("POST")
async def log_in(request: HttpRequest, schema: str) -> HttpResponse:
    body = body_of(request)
    email, password = body.get("email"), body.get("password")
    if not (isinstance(email, str) and email and isinstance(password, str) and password):
        raise Answer(400, "Email and password are required")
    person = await in_database(logged_in, schema, email, password)
    tenant = person.tenant
    return JsonResponse({
        "tokens": {"access": tokens.sign(person, "access"), "refresh": tokens.sign(person, "refresh")},
        "user": public(person),
        "tenant": {"id": tenant.id, "name": tenant.name, "schema_name": tenant.schema_name},
    })


def logged_in(schema: str, email: str, password: str) -> Person:
    person = Person.objects.select_related("tenant").filter(tenant=tenant_named(schema), email=email).first()
    if person is None or not check_password(password, person.password):
        raise Answer(401, "Invalid credentials")
    return person


@endpoint("POST")
async def refresh(request: HttpRequest, schema: str) -> HttpResponse:
    token = body_of(request).get("refresh")
    person = await user_of(token if isinstance(token, str) else "", schema, "refresh")
    return JsonResponse({"access": tokens.sign(person, "access")})


async def user_of(token: str, schema: str, wanted: str = "access") -> Person:
    try:
        person = await in_database(tokens.person_of, tokens.read(token, wanted))
    except Refused:
        person = None
    if person is None or person.tenant.schema_name != schema:
        raise Answer(401, "Authentication required")
    return person


async def asking(request: HttpRequest, schema: str) -> Person:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return await user_of(token if scheme == "Bearer" else "", schema)


# Channels


def number(request: HttpRequest, name: str, default: int, least: int) -> int:
    text = request.GET.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise Answer(400, f"{name} must be a number of at least {least}")
    return int(text)


@endpoint("GET", "POST")
async def channels(request: HttpRequest, schema: str) -> HttpResponse:
    person = await asking(request, schema)
    if request.method == "POST":
        return JsonResponse(await in_database(created, person, body_of(request)), status=201)
    limit, offset = number(request, "limit", PAGE_LENGTH, 1), number(request, "offset", 0, 0)
    return JsonResponse(await in_database(listed, person, min(limit, PAGE_LENGTH_MAX), offset))


def listed(person: Person, limit: int, offset: int) -> dict:
    mine = person.channels.order_by("name", "id")
    return {
        "count": mine.count(),
        "results": [serializers.channel(channel, person) for channel in mine[offset : offset + limit]],
    }


def created(person: Person, body: dict) -> dict:
    name, ids = body.get("name"), body.get("participants", [])
    if not isinstance(name, str) or not name.strip():
        raise Answer(400, "name is required")
    if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
        raise Answer(400, "participants must be a list of user ids")
    members = list(Person.objects.filter(tenant=person.tenant_id, number__in=ids))
    if len(members) != len(set(ids)):
        raise Answer(400, "participants names somebody unknown")
    with transaction.atomic():
        channel = ChatChannel.objects.create(tenant_id=person.tenant_id, name=name)
        channel.participants.set([person, *members])
    return serializers.channel(channel, person)


@endpoint("GET", "POST")
async def messages(request: HttpRequest, schema: str, channel_id: str) -> HttpResponse:
    person = await asking(request, schema)
    try:
        channel = await in_database(channel_of, person, channel_id)
    except Refused:
        raise Answer(404, "Channel not found") from None
    if request.method == "POST":
        return await send(channel, person, body_of(request))
    limit = min(number(request, "limit", PAGE_LENGTH, 1), PAGE_LENGTH_MAX)
    return JsonResponse(await in_database(page, channel, person, limit, request.GET.get("before")))


def page(channel: ChatChannel, person: Person, limit: int, before: str | None) -> dict:
    if before is not None:
        known = before.isascii() and before.isdigit() and int(before) < 2**63
        if not known or not ChatMessage.objects.filter(channel=channel, id=int(before)).exists():
            raise Answer(404, "Message not found")
    # One more than is asked for tells whether there is more.
    found = serializers.page(channel, limit + 1, before and int(before))
    return {
        "messages": [serializers.message(message, person) for message in found[-limit:]],
        "has_more": len(found) > limit,
    }


async def send(channel: ChatChannel, person: Person, body: dict) -> HttpResponse:
    try:
        content = checked_content(body.get("content"))
    except Invalid as error:
        raise Answer(400, str(error)) from None
    message = await in_database(consumers.stored, str(channel.id), person, content)
    frame = {"type": "chat.message", "message": message}
    await get_channel_layer().group_send(group_of(str(channel.id)), {"type": "chat.message", "frame": frame})
    return JsonResponse(message, status=201)
