"""The outbox: everything that a user is told is stored first, and told until he has it.

`GET /ws/user/{uuid}?token=…` is the stream, `/api/…` login, conversations and messages, `/debug/…` (only with
DEBUG_HOOKS=true, never in production) a way to queue events from outside, to sweep, to drain and to break the store on purpose.
"""

import asyncio
import base64
import binascii
import os
import re
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from datetime import datetime

import jwt
from aiohttp import web
from aiohttp.typedefs import Handler

from store import Store, StoreDown
from streams import Streams, retry_after_seconds

SECRET = os.environ["JWT_SECRET"]
DEBUG_HOOKS = os.environ.get("DEBUG_HOOKS") == "true"
HOST, PORT = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))
DATABASE = os.environ.get("DATABASE") or os.path.join(tempfile.gettempdir(), f"outbox-{PORT}.sqlite3")
SWEEP_INTERVAL_SECONDS = float(os.environ.get("SWEEP_INTERVAL", "30"))
CONFIRM_TIMEOUT_SECONDS = float(os.environ.get("CONFIRM_TIMEOUT", "30"))
DRAIN_SECONDS = 30
MAX_MESSAGE_SIZE = int(os.environ.get("MAX_MESSAGE_SIZE", "65536"))
CANONICAL = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ACCESS_SECONDS, REFRESH_SECONDS = 15 * 60, 14 * 24 * 60 * 60

store = Store(DATABASE)
streams = Streams(store, CONFIRM_TIMEOUT_SECONDS)
routes = web.RouteTableDef()


class Refused(Exception):
    """Nobody is let in; the code is for the client."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Wrong(Exception):
    """A request that cannot be processed; the text is for who sent it."""


# Tokens


def signed(user: str, token_type: str) -> str:
    now = time.time()
    lifetime = ACCESS_SECONDS if token_type == "access" else REFRESH_SECONDS
    claims = {"sub": user, "token_type": token_type, "iat": now, "exp": int(now) + lifetime, "jti": uuid.uuid4().hex}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def claims_of(token: str, wanted: str = "access") -> dict:
    options = {"require": ["exp", "sub"], "verify_aud": False, "verify_iat": False}
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], options=options)
    except jwt.PyJWTError:
        raise Refused(4002, "invalid token") from None
    if claims.get("token_type", "access") != wanted or not re.fullmatch(CANONICAL, claims["sub"]):
        raise Refused(4002, "invalid token")
    return claims


def user_of(claims: dict, token: str) -> sqlite3.Row:
    user = store.user(claims["sub"])
    if user is None:
        raise Refused(4003, "unknown user")
    issued_at = claims.get("iat", time.time())
    if not isinstance(issued_at, (int, float)) or store.is_revoked(user, token, issued_at):
        raise Refused(4002, "invalid token")
    return user


def decoded(text: str) -> str:
    """The canonical form of a UUID that is written so, or as base64url of its bytes."""
    if re.fullmatch(CANONICAL, text.lower()):
        return text.lower()
    try:
        if re.fullmatch("[A-Za-z0-9_-]{22}", text):
            return str(uuid.UUID(bytes=base64.urlsafe_b64decode(text + "==")))
    except (binascii.Error, ValueError):
        pass
    raise Refused(4004, "undecodable user")


# The stream


def admitted(request: web.Request) -> tuple[str, float]:
    """Whose stream it is, and when the token expires. The token comes first, so that a stranger learns nothing."""
    token = request.query.get("token")
    if not token:
        raise Refused(4001, "no token")
    claims = claims_of(token)
    if decoded(request.match_info["user"]) != claims["sub"]:
        raise Refused(4005, "token of another user")
    return user_of(claims, token)["uuid"], float(claims["exp"])


@routes.get("/ws/user/{user}")
async def stream(request: web.Request) -> web.StreamResponse:
    if streams.draining:
        return web.Response(status=503, headers={"Retry-After": str(retry_after_seconds())})
    # Pings are heard here, because their answers confirm events. The first size that aiohttp refuses is `max_msg_size`.
    socket = web.WebSocketResponse(autoping=False, max_msg_size=MAX_MESSAGE_SIZE + 1)
    # A browser cannot read the status of a refused handshake, so a refusal is a close code.
    await socket.prepare(request)
    try:
        user, expires_at = admitted(request)
        await streams.serve(socket, user, expires_at - time.time())
    except Refused as refusal:
        await socket.close(code=refusal.code, message=refusal.reason.encode())
    except StoreDown:
        await socket.close(code=1011, message=b"internal error")
    return socket


# HTTP


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused:
        return web.json_response({"error": "Not authenticated"}, status=401)
    except Wrong as error:
        return web.json_response({"error": str(error)}, status=400)
    except StoreDown:
        return web.json_response({"error": "Service unavailable"}, status=503)


async def body_of(request: web.Request, **fields: type) -> dict:
    """A JSON object with these fields, each a text that is not blank, or a list."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Wrong("The body must be a JSON object")
    for name, kind in fields.items():
        value = body.get(name)
        if not isinstance(value, kind) or (kind is str and (not value.strip() or "\0" in value)):
            raise Wrong(f"{name} is missing or wrong")
    return body


def asking(request: web.Request) -> tuple[sqlite3.Row, str]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer":
        raise Refused(4001, "no token")
    return user_of(claims_of(token), token), token


def public(user: sqlite3.Row) -> dict:
    return {"uuid": user["uuid"], "email": user["email"]}


@routes.post("/api/auth/register")
async def register(request: web.Request) -> web.Response:
    body = await body_of(request, email=str, password=str)
    user = store.add_user(body["email"], body["password"], body.get("name") or "")
    if user is None:
        return web.json_response({"error": "This address is taken"}, status=409)
    return web.json_response({"uuid": user, "email": body["email"]}, status=201)


@routes.post("/api/auth/login")
async def log_in(request: web.Request) -> web.Response:
    body = await body_of(request, email=str, password=str)
    user = store.user_with_password(body["email"], body["password"])
    if user is None:
        raise Refused(4002, "wrong address or password")
    return web.json_response({
        "access_token": signed(user["uuid"], "access"),
        "refresh_token": signed(user["uuid"], "refresh"),
        "user": public(user),
    })


@routes.post("/api/auth/refresh")
async def refresh(request: web.Request) -> web.Response:
    token = (await body_of(request, refresh_token=str))["refresh_token"]
    user = user_of(claims_of(token, wanted="refresh"), token)
    return web.json_response({"access_token": signed(user["uuid"], "access")})


@routes.get("/api/auth/me")
async def me(request: web.Request) -> web.Response:
    user, _ = asking(request)
    return web.json_response(public(user))


@routes.post("/api/auth/logout")
async def log_out(request: web.Request) -> web.Response:
    user, token = asking(request)
    store.log_out(user["uuid"], token)
    streams.disconnect(user["uuid"], 1000, "logged out")
    return web.Response(status=204)


@routes.get("/api/conversations")
async def conversations(request: web.Request) -> web.Response:
    user, _ = asking(request)
    return web.json_response({"conversations": store.conversations(user["uuid"])})


@routes.post("/api/messages")
async def send(request: web.Request) -> web.Response:
    user, _ = asking(request)
    body = await body_of(request, conversation_uuid=str, content=str)
    conversation = body["conversation_uuid"]
    members = store.members(conversation)
    if user["uuid"] not in members:
        return web.json_response({"error": "Not a member of this conversation"}, status=403)
    message = store.add_message(conversation, user["uuid"], body["content"])
    told = {"message": message, "response_message": {"conversation_uuid": conversation}}
    for member in members:
        queue(member, "message_generate", told, time.time())
    return web.json_response(message, status=201)


def queue(user: str, event_type: str, data: dict, scheduled_at: float) -> None:
    """Stored first, then told to whoever is there."""
    store.add_event(user, event_type, data, scheduled_at)
    streams.deliver(user)


# From outside


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok")


debug = web.RouteTableDef()


@debug.post("/debug/conversations")
async def make_conversation(request: web.Request) -> web.Response:
    body = await body_of(request, members=list)
    return web.json_response({"uuid": store.add_conversation(body["members"])}, status=201)


@debug.post("/debug/events")
async def queue_event(request: web.Request) -> web.Response:
    body = await body_of(request, to=str, type=str, data=dict)
    at = body.get("scheduled_at")
    queue(body["to"], body["type"], body["data"], datetime.fromisoformat(at).timestamp() if at else time.time())
    return web.Response(status=204)


@debug.get("/debug/events")
async def list_events(request: web.Request) -> web.Response:
    return web.json_response({"events": store.events(request.query["user"])})


@debug.post("/debug/faults/store")
async def break_store(request: web.Request) -> web.Response:
    body = await body_of(request)
    store.down_until = time.monotonic() + body["seconds"]
    return web.Response(status=204)


@debug.post("/debug/sweep")
async def sweep(request: web.Request) -> web.Response:
    streams.sweep()
    return web.Response(status=204)


@debug.post("/debug/drain")
async def drain(request: web.Request) -> web.Response:
    body = await body_of(request)
    streams.drain(body.get("seconds", DRAIN_SECONDS))
    return web.Response(status=204)


# The process


async def sweeping(app: web.Application) -> AsyncIterator[None]:
    sweep = asyncio.create_task(streams.sweep_again_and_again(SWEEP_INTERVAL_SECONDS))
    yield
    sweep.cancel()


async def stopping(app: web.Application) -> None:
    streams.stop()


def main() -> None:
    if name := os.environ.get("BUG"):
        import bugs

        bugs.switch_on(name, sys.modules[__name__])
    app = web.Application(middlewares=[errors])
    app.add_routes(routes)
    if DEBUG_HOOKS:
        app.add_routes(debug)
    app.cleanup_ctx.append(sweeping)
    app.on_shutdown.append(stopping)
    # No access log: tokens stand in the addresses.
    web.run_app(app, host=HOST, port=PORT, access_log=None, print=None, shutdown_timeout=5)


if __name__ == "__main__":
    main()
