"""The feed: what users make over HTTP is told to everybody who is connected, as it happens.

`GET /ws/?accessToken=…` is the WebSocket, `/api/…` the resources, `/debug/…` (only with DEBUG_HOOKS=true, never in
production) a way to publish from outside and to break things on purpose.
"""

import asyncio
import contextlib
import os
import sys
import time
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import AfterValidator, BaseModel, StrictBool, StrictInt, StrictStr
from starlette.websockets import WebSocket

from hub import Connection, Faults, Heartbeat, Hub
from store import Store, StoreDown, User, timestamp
from tokens import InvalidToken, Tokens

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG_HOOKS = os.environ.get("DEBUG_HOOKS") == "true"
HEARTBEAT = Heartbeat(
    interval_seconds=float(os.environ.get("HEARTBEAT_INTERVAL", "30")),
    timeout_seconds=float(os.environ.get("HEARTBEAT_TIMEOUT", "10")),
)
MAX_MESSAGE_SIZE = int(os.environ.get("MAX_MESSAGE_SIZE", "65536"))
PAGE_SIZE, PAGE_SIZE_MAX = 50, 200

app = FastAPI(title="feed", redirect_slashes=False)
store = Store()
tokens = Tokens(SECRET_KEY)
hub = Hub()
faults = Faults()


# The WebSocket


@app.websocket("/ws/")
async def feed(websocket: WebSocket) -> None:
    # A browser cannot read the status of a refused handshake, so a refusal is a close code.
    await websocket.accept()
    try:
        user_id, expires_at = tokens.read(websocket.query_params.get("accessToken"))
        user = store.user(user_id)
    except InvalidToken:
        return await websocket.close(4001, "unauthenticated")
    except StoreDown:
        return await websocket.close(4000, "server error")
    if user is None:
        return await websocket.close(4001, "unauthenticated")
    connection = Connection(websocket, user, faults)
    hub.enter(connection)
    try:
        await connection.run(HEARTBEAT, expires_at - time.time())
    finally:
        hub.leave(connection)


@app.get("/ws/")
async def not_a_websocket() -> Response:
    return PlainTextResponse("this is a WebSocket", status_code=400)


# Who asks


def bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def current_user(request: Request) -> User:
    try:
        user_id, _ = tokens.read(bearer(request))
    except InvalidToken:
        user_id = 0
    user = store.user(user_id)
    if user is None:
        raise HTTPException(401, "Authentication credentials were not provided or are invalid.")
    return user


CurrentUser = Annotated[User, Depends(current_user)]


# Errors, in the form that the pages know


@app.exception_handler(RequestValidationError)
def wrong_fields(request: Request, error: RequestValidationError) -> Response:
    fields: dict[str, list[str]] = {}
    for problem in error.errors():
        names = [part for part in problem["loc"][1:] if isinstance(part, str)]
        fields.setdefault(names[0] if names else "detail", []).append(problem["msg"])
    not_found = any(problem["loc"][0] == "path" for problem in error.errors())
    return JSONResponse(fields, status_code=404 if not_found else 400)


@app.exception_handler(StoreDown)
def store_down(request: Request, error: StoreDown) -> Response:
    return JSONResponse({"detail": "Service unavailable."}, status_code=503)


# Tokens and users


def storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("Null characters are not allowed.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("Half a surrogate pair is no character.")
    return text


def not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("This field may not be blank.")
    return text


Text = Annotated[StrictStr, AfterValidator(storable)]
FilledText = Annotated[Text, AfterValidator(not_blank)]


class Credentials(BaseModel):
    username: StrictStr
    password: StrictStr


class Registration(BaseModel):
    username: FilledText
    password: FilledText
    name: Text = ""


class Refresh(BaseModel):
    refresh: StrictStr


@app.post("/api/register/", status_code=201)
async def register(registration: Registration) -> dict:
    name = registration.name or registration.username
    user = store.add_user(registration.username, registration.password, name)
    if user is None:
        raise HTTPException(409, "This name is taken.")
    return {"id": user.id, "username": user.username, "name": user.name}


@app.post("/api/token/")
async def log_in(credentials: Credentials) -> dict:
    user = store.user_with_password(credentials.username, credentials.password)
    if user is None:
        raise HTTPException(401, "No active account found with the given credentials.")
    return {"access": tokens.access(user.id), "refresh": tokens.refresh(user.id)}


@app.post("/api/token/refresh/")
async def refresh(body: Refresh) -> dict:
    try:
        user_id, _ = tokens.read(body.refresh, wanted="refresh")
    except InvalidToken:
        raise HTTPException(401, "Token is invalid or expired.") from None
    if store.user(user_id) is None:
        raise HTTPException(401, "Token is invalid or expired.")
    return {"access": tokens.access(user_id)}


# Resources. A change is stored, then told to everybody, then answered.


class Bucketpoint(BaseModel):
    title: FilledText
    description: Text = ""
    completed: StrictBool = False


class BucketpointChange(Bucketpoint):
    title: FilledText = ""


class Album(BaseModel):
    title: FilledText


class AlbumChange(Album):
    title: FilledText = ""


class Photo(BaseModel):
    url: FilledText
    caption: Text = ""


class PhotoChange(Photo):
    url: FilledText = ""


class Message(BaseModel):
    content: FilledText


def found(item: dict | None) -> dict:
    if item is None:
        raise HTTPException(404, "Not found.")
    return item


def listed(request: Request, kind: str, **where: object) -> dict:
    """One page, with the addresses of the pages beside it."""
    number = positive(request.query_params.get("page", "1"))
    size = min(positive(request.query_params.get("page_size", str(PAGE_SIZE))), PAGE_SIZE_MAX)
    page = store.page(kind, number, size, **where)
    if page is None:
        raise HTTPException(404, "Invalid page.")

    def address(number: int | None) -> str | None:
        return number and str(request.url.include_query_params(page=number))

    return {"count": page.count, "next": address(page.next), "previous": address(page.previous), "results": page.results}


def positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise HTTPException(404, "Invalid page.")
    return int(text)


def add_resource(kind: str, event: str, complete: type[BaseModel], change: type[BaseModel]) -> None:
    """The endpoints of a resource that stands by itself."""

    @app.get(f"/api/{kind}/")
    async def index(request: Request, user: CurrentUser) -> dict:
        return listed(request, kind)

    @app.post(f"/api/{kind}/", status_code=201)
    async def create(fields: complete, user: CurrentUser) -> dict:
        item = store.add(kind, fields.model_dump())
        hub.broadcast(f"{event}_CREATED", {"data": item})
        return item

    @app.get(f"/api/{kind}/{{item_id}}/")
    async def show(item_id: int, user: CurrentUser) -> dict:
        return found(store.get(kind, item_id))

    @app.put(f"/api/{kind}/{{item_id}}/")
    async def replace(item_id: int, fields: complete, user: CurrentUser) -> dict:
        item = found(store.change(kind, item_id, fields.model_dump()))
        hub.broadcast(f"{event}_UPDATED", {"data": item})
        return item

    @app.patch(f"/api/{kind}/{{item_id}}/")
    async def update(item_id: int, fields: change, user: CurrentUser) -> dict:
        item = found(store.change(kind, item_id, fields.model_dump(exclude_unset=True)))
        hub.broadcast(f"{event}_UPDATED", {"data": item})
        return item

    @app.delete(f"/api/{kind}/{{item_id}}/", status_code=204)
    async def remove(item_id: int, user: CurrentUser) -> None:
        found(store.remove(kind, item_id))
        if kind == "albums":
            store.remove_where("photos", album_id=item_id)
        hub.broadcast(f"{event}_DELETED", {"id": item_id})


add_resource("bucketpoints", "BUCKETPOINT", Bucketpoint, BucketpointChange)
add_resource("albums", "ALBUM", Album, AlbumChange)


async def album(album_id: int) -> int:
    found(store.get("albums", album_id))
    return album_id


def photo_in(album_id: int, photo_id: int) -> dict:
    photo = found(store.get("photos", photo_id))
    return found(photo if photo["album_id"] == album_id else None)


# The user comes first: who may not ask does not learn what there is.
AlbumId = Annotated[int, Depends(album)]


@app.get("/api/photos/{album_id}/")
async def photos(request: Request, user: CurrentUser, album_id: AlbumId) -> dict:
    return listed(request, "photos", album_id=album_id)


@app.post("/api/photos/{album_id}/", status_code=201)
async def upload(user: CurrentUser, album_id: AlbumId, fields: Photo) -> dict:
    photo = store.add("photos", {"album_id": album_id, **fields.model_dump()})
    hub.broadcast("PHOTO_UPLOADED", {"data": photo, "album_id": album_id})
    return photo


@app.get("/api/photos/{album_id}/{photo_id}/")
async def photo(user: CurrentUser, album_id: AlbumId, photo_id: int) -> dict:
    return photo_in(album_id, photo_id)


@app.put("/api/photos/{album_id}/{photo_id}/")
async def replace_photo(user: CurrentUser, album_id: AlbumId, photo_id: int, fields: Photo) -> dict:
    return changed_photo(album_id, photo_id, fields.model_dump())


@app.patch("/api/photos/{album_id}/{photo_id}/")
async def change_photo(user: CurrentUser, album_id: AlbumId, photo_id: int, fields: PhotoChange) -> dict:
    return changed_photo(album_id, photo_id, fields.model_dump(exclude_unset=True))


def changed_photo(album_id: int, photo_id: int, fields: dict) -> dict:
    photo_in(album_id, photo_id)
    photo = found(store.change("photos", photo_id, fields))
    hub.broadcast("PHOTO_UPDATED", {"data": photo, "album_id": album_id})
    return photo


@app.delete("/api/photos/{album_id}/{photo_id}/", status_code=204)
async def remove_photo(user: CurrentUser, album_id: AlbumId, photo_id: int) -> None:
    photo_in(album_id, photo_id)
    store.remove("photos", photo_id)
    hub.broadcast("PHOTO_DELETED", {"id": photo_id, "album_id": album_id})


@app.get("/api/messages/")
async def messages(request: Request, user: CurrentUser) -> dict:
    return listed(request, "messages")


@app.post("/api/messages/", status_code=201)
async def write_message(user: CurrentUser, fields: Message) -> dict:
    message = store.add("messages", {"user_id": user.id, **fields.model_dump()})
    hub.broadcast("MESSAGE_CREATED", {"data": message})
    return message


@app.get("/api/messages/{message_id}/")
async def message(user: CurrentUser, message_id: int) -> dict:
    return found(store.get("messages", message_id))


@app.delete("/api/messages/{message_id}/", status_code=204)
async def remove_message(user: CurrentUser, message_id: int) -> None:
    found(store.remove("messages", message_id))
    hub.broadcast("MESSAGE_DELETED", {"id": message_id})


@app.post("/api/messages/{message_id}/view/", status_code=204)
async def view_message(user: CurrentUser, message_id: int) -> None:
    found(store.get("messages", message_id))
    hub.broadcast("MESSAGE_VIEWED", {"id": message_id, "user_id": user.id, "viewed_at": timestamp()})


# From outside


@app.get("/healthz")
async def healthz() -> Response:
    return PlainTextResponse("ok")


class Publication(BaseModel):
    to: Literal["all"] | StrictInt | list[StrictInt]
    type: str
    data: Any


debug = APIRouter(prefix="/debug")


@debug.post("/publish/", status_code=204)
async def publish(publication: Publication) -> None:
    """What the application's own code would send."""
    if publication.to == "all":
        hub.broadcast(publication.type, publication.data)
    elif isinstance(publication.to, int):
        hub.send_to_user(publication.to, publication.type, publication.data)
    else:
        hub.send_to_users(publication.to, publication.type, publication.data)


class StoreFault(BaseModel):
    seconds: float


@debug.post("/faults/store/", status_code=204)
async def break_store(fault: StoreFault) -> None:
    store.break_for(fault.seconds)


class HandlerFault(BaseModel):
    times: int


@debug.post("/faults/handler/", status_code=204)
async def break_handler(fault: HandlerFault) -> None:
    faults.due = fault.times


if DEBUG_HOOKS:
    app.include_router(debug)


class Server(uvicorn.Server):
    """uvicorn's own farewell is 1012 without a word; ours says when to come back."""

    async def shutdown(self, sockets: list | None = None) -> None:
        await hub.stop()
        await super().shutdown(sockets)


def main() -> None:
    if name := os.environ.get("BUG"):
        import bugs

        bugs.switch_on(name, sys.modules[__name__])
    config = uvicorn.Config(
        app,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "8000")),
        ws_max_size=MAX_MESSAGE_SIZE,
        timeout_graceful_shutdown=10,
        # On the level "info" uvicorn logs addresses, and tokens stand in them.
        log_level="warning",
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Server(config).serve())


if __name__ == "__main__":
    main()
