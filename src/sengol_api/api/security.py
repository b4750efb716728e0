"""What every answer tells browsers to leave alone, and how large the head of a request may be."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sengol_api.api.errors import HeadersTooLargeError, respond

LONGEST_HEAD: Final = 32 * 1024
"""Bytes of all names and values together. The server itself refuses far longer ones, before the application sees them."""

_HEADERS: Final = (
    # JSON is not a page: nothing in it may run, be framed, or be embedded by another site. Pages of our own say what they need.
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class Security:
    """Adds the headers that an answer does not set itself, and refuses a head that is too large.

    Args:
        app: the application inside.
        hsts_seconds: how long browsers shall use nothing but TLS for this host; 0 does not say so.
    """

    def __init__(self, app: ASGIApp, *, hsts_seconds: int = 0) -> None:
        self._app = app
        hsts = ((b"strict-transport-security", b"max-age=%d" % hsts_seconds),) if hsts_seconds else ()
        self._headers = (*_HEADERS, *hsts)
        self._names = frozenset(name for name, _ in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"] if name in self._names}
                added = self._headers if not own else [header for header in self._headers if header[0] not in own]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
        if size > LONGEST_HEAD:
            error = HeadersTooLargeError(
                f"The headers take {size} bytes together, more than the {LONGEST_HEAD} that a request may have.",
                {"limitBytes": LONGEST_HEAD},
            )
            await respond(error, scope["state"]["request_id"])(scope, receive, sender)
            return
        await self._app(scope, receive, sender)
