"""Makes the tables and starts uvicorn on PORT."""

import asyncio
import contextlib
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat.settings")

import django  # noqa: E402

django.setup()

import uvicorn  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402

from chat import asgi  # noqa: E402
from chat.consumers import ChatConsumer  # noqa: E402


class Server(uvicorn.Server):
    """uvicorn's own farewell is 1012 without a word; ours says when to come back."""

    async def shutdown(self, sockets: list | None = None) -> None:
        await ChatConsumer.stop_all()
        await super().shutdown(sockets)
        # Here and not at the end of the program: uvicorn ends it by the signal that it was stopped with.
        if settings.TEMPORARY:
            settings.TEMPORARY.cleanup()


def main() -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    if name := os.environ.get("BUG"):
        import bugs

        bugs.switch_on(name)
    config = uvicorn.Config(
        asgi.application,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "8000")),
        ws_max_size=settings.MAX_MESSAGE_SIZE,
        lifespan="off",
        timeout_graceful_shutdown=10,
        # On the level "info" uvicorn logs addresses, and tokens stand in them.
        log_level="warning",
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Server(config).serve())


if __name__ == "__main__":
    main()
