"""Django's settings; what differs between machines comes from the environment."""

import os
import tempfile

SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG_HOOKS = os.environ.get("DEBUG_HOOKS") == "true"
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = ["chat"]
ROOT_URLCONF = "chat.urls"
ASGI_APPLICATION = "chat.asgi.application"
# Exact routes: no redirect to a path with a slash.
APPEND_SLASH = False

# One process with SQLite. In production this is PostgreSQL with a schema per tenant, and Redis below.
# Without DATABASE its file lives as long as the process; `serve.py` removes its folder.
TEMPORARY = None if os.environ.get("DATABASE") else tempfile.TemporaryDirectory(prefix="rooms-")
DATABASE = os.environ.get("DATABASE") or os.path.join(TEMPORARY.name, "rooms.sqlite3")
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 1000}}}

PASSWORD_HASHERS = ["chat.passwords.Hasher"]
PASSWORD_ITERATIONS = int(os.environ.get("PASSWORD_ITERATIONS", "870000"))

TYPING_TTL_SECONDS = float(os.environ.get("TYPING_TTL", "10"))
MAX_MESSAGE_SIZE = int(os.environ.get("MAX_MESSAGE_SIZE", "65536"))
HISTORY_LENGTH = 50
CONTENT_LENGTH_MAX = 10_000

USE_TZ = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
