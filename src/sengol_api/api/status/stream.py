"""``GET /status/stream``: the host, every two seconds, as server-sent events to any number of pages up to a bound."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from sengol_api.api.addresses import Network, client_address, household
from sengol_api.api.errors import MethodNotAllowedError, OverloadedError, respond_to
from sengol_api.api.in_flight import ENDLESS
from sengol_api.api.status.board import status
from sengol_api.ops.status.host import HostStatus
from sengol_api.ops.status.sampler import NoPlaceError, Sampler, Viewer
from sengol_api.review.errors import AppError

BEAT: Final = 10.0
"""Seconds without a sample after which a beat says that the connection stands."""
SLOWEST: Final = 30.0
"""Seconds that a viewer has to take an event; after them its connection is closed, and its place is free."""
_BEGIN: Final = b"retry: 2000\n\n"
_BEATS: Final = b"event: beat\ndata: {}\n\n"
_HEADERS: Final = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"))


def sampler_of(host: HostStatus) -> Sampler[bytes]:
    """A sampler of a host, whose samples are events: made once, whoever looks."""

    async def take() -> bytes:
        seen = await host.look()
        await asyncio.sleep(0)  # some milliseconds each: a request in between need not wait for both
        return b"event: status\ndata: " + msgspec.json.encode(status(seen)) + b"\n\n"

    return Sampler(take)


class StatusStream:
    """The stream, as an ASGI application: without a token, never timed out, never limited.

    Args:
        sampler: of the events.
        check: raises what a client is told when this process does not serve.
        trusted: proxies whose X-Forwarded-For is believed.
        beat: seconds without a sample before a beat.
        slowest: seconds that a viewer has to take an event.
    """

    def __init__(
        self,
        sampler: Sampler[bytes],
        check: Callable[[], object],
        trusted: Sequence[Network] = (),
        *,
        beat: float = BEAT,
        slowest: float = SLOWEST,
    ) -> None:
        self._sampler = sampler
        self._check = check
        self._trusted = trusted
        self._beat = beat
        self._slowest = slowest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, until its client goes away."""
        try:
            self._check()
            if scope["method"] != "GET":
                raise MethodNotAllowedError(f"{scope['method']} is not a method of this route; it has GET.", {"allowed": ["GET"]})
            who = household(client_address(scope, self._trusted))
            with self._sampler.watch(who) as viewer:
                scope["state"][ENDLESS] = True
                await self._tell(viewer, receive, send)
        except NoPlaceError:
            error = OverloadedError("As many status pages are open as this process serves. Close one, or wait.", retry_after=10)
            await respond_to(scope, error)(scope, receive, send)
        except AppError as error:
            await respond_to(scope, error)(scope, receive, send)

    async def _tell(self, viewer: Viewer[bytes], receive: Receive, send: Send) -> None:
        async def tell() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            event: bytes | None = _BEGIN
            while True:
                async with asyncio.timeout(self._slowest):
                    await send({"type": "http.response.body", "body": event or _BEATS, "more_body": True})
                event = await viewer.next(self._beat)

        tasks = {asyncio.ensure_future(tell()), asyncio.ensure_future(_gone(receive))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (TimeoutError, OSError):  # it takes nothing, or is gone: what a server raises by ASGI 2.4
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
