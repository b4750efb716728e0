"""What every answer tells browsers to leave alone, and how large the head of a request may be."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

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


def security_headers(hsts_seconds: int = 0) -> tuple[tuple[bytes, bytes], ...]:
    """What every answer says that does not say otherwise.

    Args:
        hsts_seconds: how long browsers shall use nothing but TLS for this host; 0 does not say so.
    """
    return (*_HEADERS, (b"strict-transport-security", b"max-age=%d" % hsts_seconds)) if hsts_seconds else _HEADERS


class BoundedHead:
    """Refuses a request whose head is too large.

    Args:
        app: the application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        size = 0
        for name, value in scope["headers"] if scope["type"] == "http" else ():
            size += len(name) + len(value)
        if size > LONGEST_HEAD:
            error = HeadersTooLargeError(
                f"The headers take {size} bytes together, more than the {LONGEST_HEAD} that a request may have.",
                {"limitBytes": LONGEST_HEAD},
            )
            await respond(error, scope["state"]["request_id"])(scope, receive, send)
            return
        await self._app(scope, receive, send)
