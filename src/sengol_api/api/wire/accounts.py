"""Accounts on the wire."""

from typing import Annotated

from msgspec import Meta

from sengol_api.api.wire.base import In, Line, Out
from sengol_api.validation import END, matching


class RegisterIn(In):
    """A new account."""

    email: Annotated[
        str,
        Meta(max_length=254),
        matching(
            r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f]+" + END, "takes an address like name@example.com"
        ),
    ]
    password: Annotated[str, Meta(min_length=8, max_length=100)]
    name: Line | None = None
    company: Line | None = None


class LoginIn(In):
    """Proof of an account."""

    email: Annotated[str, Meta(min_length=1, max_length=254)]
    password: Annotated[str, Meta(min_length=1, max_length=100)]


class UserOut(Out):
    """An account."""

    id: str
    email: str
    name: str | None
    company: str | None
    role: str
    created_at: str


class SessionOut(Out):
    """An account with a token for the Authorization header."""

    user: UserOut
    token: str
    expires_at: str
