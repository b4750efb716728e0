"""The HTTP server around the application: granian, one process a worker."""

import math
import multiprocessing
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer
from rich.console import Console
from starlette.types import ASGIApp

from sengol_api.observability.host_directory import host_directory
from sengol_api.observability.logging import configure as configure_logging
from sengol_api.observability.logging import last_word
from sengol_api.ops.drain import PATIENCE
from sengol_api.ops.signals import SAME_WISH
from sengol_api.settings import Settings

TARGET: Final = "sengol_api.server:worker"
CONNECTIONS: Final = 16_384
"""Connections of a worker, idle ones included, as far as the process may have files: one more waits in the kernel's queue."""
_OTHER_FILES: Final = 512
_HEAD_BUFFER: Final = 128 * 1024
"""Bytes of a head that the server reads before it gives up; the application refuses smaller ones in words."""
_WORKERS: Final = "SENGOL_API_WORKERS"
"""How a worker is told the directory that it shares with the others: no setting, set by the parent for its children."""


_FIRST_REVIEW: Final = """\
  A={address} J='Content-Type: application/json'
  field() {{ python3 -c "import json,sys; print(json.load(sys.stdin)['data']['$1'])"; }}
  ME='{{"email":"me@example.com","password":"a long passphrase"}}'
  curl -s $A/api/auth/register -H "$J" -d "$ME" > /dev/null  # the first time; later it only says that the address is taken
  TOKEN=$(curl -s $A/api/auth/login -H "$J" -d "$ME" | field token)
  REVIEW=$(curl -s $A/api/review -H "$J" -H "Authorization: Bearer $TOKEN" -d '{{"name":"First review"}}' | field id)
  curl -s $A/api/review/$REVIEW/generate-questions -H "$J" -H "Authorization: Bearer $TOKEN" -d '{{
    "systemDescription": "A chatbot answers patients from their medical records: GPT-4o with retrieval, on AWS, in Germany",
    "selectedDomains": ["ai", "cyber", "cloud"], "jurisdictions": ["Germany"], "industry": "healthcare", "dataTypes": ["phi"]
  }}' | python3 -m json.tool | less
"""


def free_port(host: str, port: int) -> int:
    """The port to listen on: a free one for 0.

    Raises:
        OSError: somebody listens there already. Without this look two servers would share the port in silence, because the
            workers' sockets are opened for sharing.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])


def announce(host: str, port: int) -> None:
    """Say where the service is, where its documentation is, and what to send first."""
    shown = "localhost" if host in {"0.0.0.0", "::", "127.0.0.1"} else host  # noqa: S104 - only compared
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\nSengol API is ready at [bold]{address}[/bold], its documentation at [bold]{address}/docs[/bold]")
    console.print("\nA first review, to paste into another terminal:\n")
    console.print(_FIRST_REVIEW.format(address=address), markup=False)


def announce_when_ready(host: str, port: int, *, workers: int, ready: Callable[[], object] = lambda: None) -> None:
    """Announce, and call ``ready``, as soon as the first worker answers. Call it before the workers start."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared

    def wait() -> None:
        while True:
            try:
                connection = HTTPConnection(reached, port, timeout=60)
                connection.request("GET", "/health/live")
                if connection.getresponse().status == 200:
                    ready()
                    announce(host, port)
                    return
            except OSError:
                pass
            time.sleep(0.05)

    thread = threading.Thread(target=wait, daemon=True, name="announce")
    if multiprocessing.get_start_method() != "fork":
        thread.start()
        return
    # A worker is a fork of this process. A lock that the thread held at that moment, such as that of a module it is importing,
    # would stay locked in the worker for ever, and the worker would never be ready: so the thread starts after the last fork.
    forks = count(1)

    def forked() -> None:
        if next(forks) == workers:
            thread.start()

    os.register_at_fork(after_in_parent=forked)


def worker() -> ASGIApp:
    """The application of a worker process."""
    # NumPy reads this when it is loaded. With a thread for every core, which spin while they wait for each other, one search of
    # a millisecond takes twenty as soon as anybody else wants a core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from sengol_api import bootstrap
    from sengol_api.bootstrap.heap import few_arenas

    few_arenas()
    end_with_parent()
    shared = os.environ.get(_WORKERS)
    return bootstrap.application(Path(shared) if shared else None, supervised=True)


def end_with_parent() -> None:
    """Let this worker stop when the process that started it is gone.

    Else a ``kill -9`` of the parent would leave workers that serve on, and that keep the port from the next start.
    """
    threading.Thread(target=_stop_after, args=(os.getppid(),), daemon=True, name="parent").start()


def end_by_sigterm() -> None:
    """Let SIGTERM end this process at once, as long as nobody says otherwise.

    A worker inherits the handler of its parent, which would only note the wish: one that was told to stop while it still starts
    would go on to serve, until it is killed. It has no requests that could be lost yet.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


class Parent(MPServer):
    """The process that starts the workers: the first signal lets them drain, a second one ends everything at once."""

    _told: float | None = None

    def signal_handler_interrupt(self, *args: object, **kwargs: object) -> None:
        """SIGTERM or SIGINT came."""
        if self._told is None:
            self._told = time.monotonic()
            self.respawn_failed_workers = False
            super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]
        elif time.monotonic() - self._told > SAME_WISH:
            last_word("a second signal: ending at once, requests in flight are lost")
            for worker in self.wrks:
                worker.kill()  # type: ignore[no-untyped-call]
            os._exit(128 + signal.SIGTERM)

    def started(self) -> None:
        """A worker answers: from now on one that fails is replaced. Before, it would fail again for the same reason."""
        self.respawn_failed_workers = self._told is None


def connections() -> int:
    """Connections that a worker may have, after raising the limit of its files as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + _OTHER_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(128, min(CONNECTIONS, allowed - _OTHER_FILES))


def run(settings: Settings, *, workers: int, target: str = TARGET) -> None:
    """Serve until SIGTERM or SIGINT; every worker is a process of its own.

    Args:
        settings: of the server and the service.
        workers: how many.
        target: what a worker loads.

    Raises:
        OSError: the port is taken.
    """
    port = free_port(settings.host, settings.port)
    # The workers read the same settings, from the environment that they inherit.
    os.environ.update({"HOST": settings.host, "PORT": str(port), "DATA_DIR": str(settings.data_path.absolute())})
    # A worker ends by itself before this; only one that is frozen is killed.
    orderly_end = (settings.shutdown_drain_delay + settings.shutdown_timeout) / 1000 + PATIENCE
    server = Parent(
        target,
        factory=True,
        address=settings.host,
        port=port,
        workers=workers,
        workers_kill_timeout=math.ceil(orderly_end) + 5,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=settings.header_timeout, max_buffer_size=_HEAD_BUFFER),
        websockets=False,
        backlog=4096,
        backpressure=connections(),
        log_level=LogLevels.warning,
    )
    os.register_at_fork(after_in_child=end_by_sigterm)
    configure_logging(settings.log_level, settings.log_format, threaded=False)  # after granian has configured its own
    announce_when_ready(settings.host, port, workers=workers, ready=server.started)
    with host_directory(settings.data_path) if workers > 1 else nullcontext() as shared:
        os.environ[_WORKERS] = str(shared or "")
        server.serve()
