"""Python `aiohttp`, as told."""

import asyncio

from aiohttp import ClientError, ClientSession, WSMsgType
from told import do_as_told, saw

# It offers permessage-deflate only where it is asked to, with the largest window it may use.
WINDOW_BITS = 15


class Client:
    def __init__(self, session):
        self.session = session
        self.sockets = {}

    async def open(self, name, url):
        try:
            socket = self.sockets[name] = await self.session.ws_connect(url, compress=WINDOW_BITS)
        except ClientError as error:
            return saw(name, "failed", why=str(error))
        saw(name, "opened", extensions="permessage-deflate" if socket.compress else "")

    async def listen(self, name):
        socket = self.sockets[name]
        reason = ""
        while not socket.closed:
            message = await socket.receive()
            if message.type is WSMsgType.TEXT:
                saw(name, "text", text=message.data)
            elif message.type is WSMsgType.BINARY:
                saw(name, "bytes", text=message.data.decode())
            elif message.type is WSMsgType.CLOSE:
                reason = message.extra
            elif message.type is WSMsgType.ERROR:
                saw(name, "failed", why=str(message.data))
        saw(name, "closed", code=socket.close_code, reason=reason)

    async def say(self, name, message):
        socket = self.sockets[name]
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))

    async def close(self, name, code, reason):
        await self.sockets[name].close(code=code, message=reason.encode())


async def main():
    async with ClientSession() as session:
        await do_as_told(Client(session))


asyncio.run(main())
