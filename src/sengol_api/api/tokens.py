"""Tokens that say who is asking: JWT, HS256, each with the id of the key that signed it."""

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

import jwt

from sengol_api.review.errors import AuthenticationError

ISSUER: Final = "sengol-api"
ALGORITHM: Final = "HS256"
KEPT: Final = 4096
"""Tokens that are known to be signed by us, some 2 MiB."""


def key_id(secret: str) -> str:
    """The name of a key: 16 hexadecimal digits that say nothing of the key itself to whoever cannot guess it.

    An HMAC of a fixed text under the key, as every token carries one anyway.
    """
    return hmac.new(secret.encode(), b"sengol-api key id", hashlib.sha256).hexdigest()[:16]


class Tokens:
    """Makes tokens with one key, and checks them with that and others.

    Args:
        secret: the key that signs, at least 32 characters.
        others: keys that only check: those from before, or one that is to sign next.
        seconds: how long a token is good for.
        now: the present moment, in UTC.
    """

    def __init__(self, secret: str, *, seconds: int, now: Callable[[], dt.datetime], others: Iterable[str] = ()) -> None:
        self._secret = secret
        self._id = key_id(secret)
        self._keys = {key_id(key): key for key in (secret, *others)}
        self._life = dt.timedelta(seconds=seconds)
        self._now = now
        # Whether one of our keys signed a token never changes, and finding out takes a fifth of a small request. When it ends is
        # looked at each time; what is not valid is not kept.
        self._claims = lru_cache(maxsize=KEPT)(self._verified)

    def issue(self, user_id: str) -> tuple[str, dt.datetime]:
        """A token for a user, and when it ends."""
        now = self._now()
        ends = now + self._life
        claims = {"sub": user_id, "iss": ISSUER, "iat": now, "exp": ends}
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM, headers={"kid": self._id}), ends

    def user_id(self, authorization: str | None) -> str:
        """Whose token an Authorization header carries.

        Raises:
            AuthenticationError: there is none, it is forged, of another algorithm or of an unknown key, or over.
        """
        if not authorization:
            raise AuthenticationError(
                "This route needs a token: send the header «Authorization: Bearer TOKEN»; POST /api/auth/login gives one.",
            )
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise AuthenticationError("The Authorization header does not have the form «Bearer TOKEN».")
        try:
            claims = self._claims(token.strip())
            ends = float(claims["exp"])
        except (jwt.PyJWTError, TypeError, ValueError):
            raise AuthenticationError("The token is not valid. Log in again.") from None
        if not ends > self._now().timestamp():  # so that NaN, which compares with nothing, is over too
            raise AuthenticationError("The token has expired. Log in again.")
        return str(claims["sub"])

    def _verified(self, token: str) -> dict[str, Any]:
        """What a token says, if one of our keys signed it. One without a key's id was made before there were ids."""
        named = jwt.get_unverified_header(token).get("kid")
        candidates = list(self._keys.values()) if named is None else [self._keys[named]] if named in self._keys else []
        for key in candidates:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[ALGORITHM],
                    issuer=ISSUER,
                    options={"require": ["sub", "exp", "iat", "iss"], "verify_exp": False, "verify_iat": False},
                )
            except jwt.InvalidSignatureError:
                continue
        raise jwt.InvalidSignatureError
