"""Tokens that say who is asking: JWT, HS256."""

import datetime as dt
from collections.abc import Callable
from typing import Final

import jwt

from sengol_api.review.errors import AuthenticationError

ISSUER: Final = "sengol-api"
ALGORITHM: Final = "HS256"


class Tokens:
    """Makes and checks tokens.

    Args:
        secret: the key, at least 32 characters.
        seconds: how long a token is good for.
        now: the present moment, in UTC.
    """

    def __init__(self, secret: str, *, seconds: int, now: Callable[[], dt.datetime]) -> None:
        self._secret = secret
        self._life = dt.timedelta(seconds=seconds)
        self._now = now

    def issue(self, user_id: str) -> tuple[str, dt.datetime]:
        """A token for a user, and when it ends."""
        now = self._now()
        ends = now + self._life
        claims = {"sub": user_id, "iss": ISSUER, "iat": now, "exp": ends}
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM), ends

    def user_id(self, authorization: str | None) -> str:
        """Whose token an Authorization header carries.

        Raises:
            AuthenticationError: there is none, it is forged, of another algorithm, or over.
        """
        if not authorization:
            raise AuthenticationError(
                "This route needs a token: send the header «Authorization: Bearer TOKEN»; POST /api/auth/login gives one.",
            )
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise AuthenticationError("The Authorization header does not have the form «Bearer TOKEN».")
        try:
            claims = jwt.decode(
                token.strip(),
                self._secret,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={"require": ["sub", "exp", "iat", "iss"], "verify_exp": False, "verify_iat": False},
            )
            ends = float(claims["exp"])
        except (jwt.PyJWTError, TypeError, ValueError):
            raise AuthenticationError("The token is not valid. Log in again.") from None
        if not ends > self._now().timestamp():  # so that NaN, which compares with nothing, is over too
            raise AuthenticationError("The token has expired. Log in again.")
        return str(claims["sub"])
