"""Django's PBKDF2, as slow as the settings say."""

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher


class Hasher(PBKDF2PasswordHasher):
    iterations = settings.PASSWORD_ITERATIONS
