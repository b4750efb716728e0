"""The threads of a process: one that computes, beside the event loop, and some that look up names."""

import asyncio
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from sengol_api.resilience import Station

SWITCH_SECONDS: Final = 0.0005
LOOKUPS: Final = 8
"""Lookups of names at once. The time of the call that asks bounds its wait, but a thread waits as long as the system's resolver."""


class Threads(ThreadPoolExecutor):
    """What ``asyncio.to_thread`` runs in. It works out one thing at a time; lookups of names never stand in its line.

    Threads of Python take turns. With several at work the loop, which needs its turn after each of a request's steps, stands behind
    all of them each time, and no work is done sooner for it (docs/decisions/0020). But asyncio looks names up in the same pool,
    and a name server that does not answer must not keep a process from working.

    Args:
        station: where this work is counted; lookups are not.
    """

    def __init__(self, station: Station | None = None) -> None:
        super().__init__(1, thread_name_prefix="work")
        self._station = station or Station()
        self._lookups = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - passes on any call
        """Run it where it belongs."""
        if fn in {socket.getaddrinfo, socket.getnameinfo}:
            return self._lookups.submit(fn, *args, **kwargs)
        leave = self._station.enter()
        try:
            future = super().submit(fn, *args, **kwargs)
        except BaseException:
            leave()
            raise
        future.add_done_callback(lambda _: leave())
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's own face
        """End the threads. A lookup is not waited for: nobody needs what it finds any more."""
        self._lookups.shutdown(wait=False, cancel_futures=True)
        super().shutdown(wait, cancel_futures=cancel_futures)


def work_aside(station: Station | None = None) -> None:
    """Let the running event loop work out one thing at a time beside itself, and never wait for long for its own turn.

    Args:
        station: where what is worked at, or waits for it, is counted.
    """
    asyncio.get_running_loop().set_default_executor(Threads(station))
    sys.setswitchinterval(SWITCH_SECONDS)
