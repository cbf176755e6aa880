"""The way to the database from asynchronous code, which can be broken on purpose."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from channels.db import database_sync_to_async

Result = TypeVar("Result")

DEADLINE_SECONDS = 5.0


class DatabaseDown(Exception):
    """It does not answer, or not in time."""


class Fault:
    mode = ""
    until = 0.0


fault = Fault()


async def in_database(query: Callable[..., Result], *arguments: object) -> Result:
    """Runs the query in the thread that owns the connection."""
    if time.monotonic() < fault.until:
        if fault.mode == "down":
            raise DatabaseDown
        left = fault.until - time.monotonic()
        await asyncio.sleep(min(left, DEADLINE_SECONDS))
        if left > DEADLINE_SECONDS:
            raise DatabaseDown
    return await database_sync_to_async(query)(*arguments)
