"""Access and refresh tokens: JWTs with the claim `user_id`."""

import time

import jwt

ACCESS_SECONDS = 15 * 60
REFRESH_SECONDS = 14 * 24 * 60 * 60


class InvalidToken(Exception):
    """Missing, forged, expired, or of a kind that is not wanted here."""


class Tokens:
    def __init__(self, secret: str) -> None:
        self.secret = secret

    def access(self, user_id: int) -> str:
        return self.sign(user_id, "access", ACCESS_SECONDS)

    def refresh(self, user_id: int) -> str:
        return self.sign(user_id, "refresh", REFRESH_SECONDS)

    def sign(self, user_id: int, token_type: str, lifetime_seconds: int) -> str:
        now = int(time.time())
        claims = {"user_id": user_id, "token_type": token_type, "iat": now, "exp": now + lifetime_seconds}
        return jwt.encode(claims, self.secret, algorithm="HS256")

    def read(self, token: str | None, wanted: str = "access") -> tuple[int, float]:
        """Whose token it is, and when it expires (seconds since the epoch)."""
        if not token:
            raise InvalidToken("missing")
        # What a token may say beside its time is checked by whoever needs it, not here.
        options = {"require": ["exp"], "verify_aud": False, "verify_iat": False, "verify_sub": False}
        try:
            claims = jwt.decode(token, self.secret, algorithms=["HS256"], options=options)
        except jwt.PyJWTError as error:
            raise InvalidToken(type(error).__name__) from error
        if claims.get("token_type", "access") != wanted:
            raise InvalidToken("not the kind of token that is needed here")
        return user_id_of(claims), float(claims["exp"])


def user_id_of(claims: dict) -> int:
    """An integer; some libraries write it as a string of digits."""
    user_id = claims.get("user_id")
    if isinstance(user_id, str) and user_id.isascii() and user_id.isdigit():
        user_id = int(user_id)
    if not isinstance(user_id, int) or isinstance(user_id, bool):
        raise InvalidToken("no user_id")
    return user_id
