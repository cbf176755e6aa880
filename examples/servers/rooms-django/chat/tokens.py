"""Access and refresh tokens with the tenant in them, and whom they admit."""

import time

import jwt
from django.conf import settings

from chat.models import Person

ACCESS_SECONDS = 30 * 60
REFRESH_SECONDS = 7 * 24 * 60 * 60


class Refused(Exception):
    """The token admits nobody. Why is not for the client."""


def sign(person: Person, token_type: str) -> str:
    lifetime = ACCESS_SECONDS if token_type == "access" else REFRESH_SECONDS
    now = int(time.time())
    claims = {
        "user_id": person.number,
        "tenant_id": person.tenant_id,
        "schema_name": person.tenant.schema_name,
        "token_type": token_type,
        "iat": now,
        "exp": now + lifetime,
    }
    return jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")


def read(token: str, wanted: str = "access") -> dict:
    """The claims of a good token of this type."""
    options = {"require": ["exp"], "verify_aud": False, "verify_iat": False, "verify_sub": False}
    try:
        claims = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"], options=options)
    except jwt.PyJWTError as error:
        raise Refused from error
    if claims.get("token_type", "access") != wanted:
        raise Refused
    return claims


def person_of(claims: dict) -> Person:
    """The user whom they name, if tenant id and schema name are those of his tenant. Goes to the database."""
    user_id, tenant_id = number(claims.get("user_id")), number(claims.get("tenant_id"))
    person = (
        Person.objects.select_related("tenant")
        .filter(number=user_id, tenant_id=tenant_id, tenant__schema_name=claims.get("schema_name"))
        .first()
    )
    if person is None:
        raise Refused
    return person


def number(claim: object) -> int:
    """Ids are integers here; a token may have them as text."""
    if isinstance(claim, str) and claim.isascii() and claim.isdigit():
        claim = int(claim)
    if not isinstance(claim, int) or isinstance(claim, bool) or claim >= 2**63:
        raise Refused
    return claim
