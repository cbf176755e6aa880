"""Python `websockets`, as told."""

import asyncio

from told import do_as_told, saw
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException


class Client:
    def __init__(self):
        self.sockets = {}

    async def open(self, name, url):
        try:
            socket = self.sockets[name] = await connect(url)
        except (OSError, WebSocketException) as error:
            return saw(name, "failed", why=str(error))
        saw(name, "opened", extensions=", ".join(extension.name for extension in socket.protocol.extensions))

    async def listen(self, name):
        socket = self.sockets[name]
        try:
            while True:
                message = await socket.recv()
                if isinstance(message, str):
                    saw(name, "text", text=message)
                else:
                    saw(name, "bytes", text=message.decode())
        except ConnectionClosed:
            saw(name, "closed", code=socket.close_code, reason=socket.close_reason)

    async def say(self, name, message):
        await self.sockets[name].send(message)

    async def close(self, name, code, reason):
        await self.sockets[name].close(code, reason)


asyncio.run(do_as_told(Client()))
