"""Answers of JSON as ASGI, and headers that an answer gets on its way out."""

from collections.abc import Mapping
from typing import Final

from starlette.types import Receive, Scope, Send

ADDED: Final = "headers"
"""In ``scope["state"]``: further headers for the answer. One wrapping of ``send`` puts them all there, whoever adds one."""
_KIND: Final = (b"content-type", b"application/json")


class JsonResponse:
    """A finished answer, without what pages, cookies and work in the background need.

    Args:
        body: encoded.
        status: of the answer.
        headers: beside type and length.

    Attributes:
        body: encoded.
        status_code: of the answer.
        raw_headers: names and values.
    """

    __slots__ = ("body", "raw_headers", "status_code")

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.body = body
        self.status_code = status
        self.raw_headers = [_KIND, (b"content-length", b"%d" % len(body))]
        if headers:
            self.raw_headers += encoded(headers)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


def add_headers(scope: Scope, headers: Mapping[str, str]) -> None:
    """Give the answer to a request further headers."""
    scope["state"].setdefault(ADDED, []).extend(encoded(headers))


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
