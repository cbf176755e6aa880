"""Does what each line of stdin says, and tells on stdout what was seen: what both Python clients have in common."""

import asyncio
import json
import sys


def saw(name, event, **more):
    print(json.dumps({"name": name, "saw": event, **more}), flush=True)


async def do_as_told(client):
    """Calls what `client` can do until stdin ends. A connection listens in a task of its own."""
    listening = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = json.loads(line)
        act, name = told["act"], told["name"]
        if act == "open":
            await client.open(name, told["url"])
        elif act == "listen":
            listening.add(asyncio.create_task(client.listen(name)))
        elif act == "say":
            await client.say(name, told["text"])
        elif act == "say_bytes":
            await client.say(name, told["text"].encode())
        elif act == "close":
            await client.close(name, told["code"], told["reason"])
        else:
            raise ValueError(f"unknown act: {act}")
