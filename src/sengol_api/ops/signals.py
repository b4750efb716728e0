"""SIGTERM as the beginning of an orderly end.

A server closes its listener the moment it hears of SIGTERM, when nobody has been told yet to send requests elsewhere. So SIGTERM is
taken from it while it serves, and when the time has come it is told to stop by SIGINT, which granian, uvicorn and hypercorn alike
take for the same wish. SIGINT itself stays with the server: Ctrl+C stops it at once, and it finishes what is in flight.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Final

from sengol_api.ops.drain import Drain, flush_logs

SAME_WISH: Final = 0.3
"""Seconds within which a second signal counts as the first: GNU timeout and some supervisors send each signal twice."""
_log = logging.getLogger(__name__)


def drains_on_sigterm(drain: Drain, *, again: Callable[[], object] | None = None) -> None:
    """From now on SIGTERM drains this process. Called in the event loop; in another thread than the main one it does nothing.

    Args:
        drain: of this process.
        again: on a second SIGTERM; by default the process ends at once. None of it within 0.3 seconds of the first.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    first: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    def told() -> None:
        if not first:
            first.append(loop.time())
            tasks.append(loop.create_task(drain.run(_stop_listening, _leave), name="drain"))
        elif loop.time() - first[0] > SAME_WISH:
            (again or _leave_now)()

    loop.add_signal_handler(signal.SIGTERM, told)


def _stop_listening() -> None:
    signal.raise_signal(signal.SIGINT)


def _leave() -> None:
    os._exit(0)


def _leave_now() -> None:
    _log.warning("a second SIGTERM: ending at once, requests in flight are lost")
    flush_logs()
    os._exit(128 + signal.SIGTERM)
