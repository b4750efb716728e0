"""The HTTP server around the application: granian, one process a worker."""

import multiprocessing
import os
import signal
import socket
import threading
import time
from http.client import HTTPConnection
from itertools import count
from typing import Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from rich.console import Console
from starlette.types import ASGIApp

from sengol_api.settings import Settings

TARGET: Final = "sengol_api.server:worker"


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


def announce_when_ready(host: str, port: int, *, workers: int) -> None:
    """Announce as soon as the first worker answers; give up when the process ends. Call it before the workers start."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared

    def wait() -> None:
        while True:
            try:
                connection = HTTPConnection(reached, port, timeout=60)
                connection.request("GET", "/health/live")
                if connection.getresponse().status == 200:
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
    """The application of a worker process, which stops when the process that started it is gone.

    Else a ``kill -9`` of the parent would leave workers that serve on, and that keep the port from the next start.
    """
    # NumPy reads this when it is loaded. With a thread for every core, which spin while they wait for each other, one search of
    # a millisecond takes twenty as soon as anybody else wants a core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from sengol_api import bootstrap

    threading.Thread(target=_stop_after, args=(os.getppid(),), daemon=True, name="parent").start()
    return bootstrap.application()


def _stop_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def run(settings: Settings, *, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; every worker is a process of its own.

    Raises:
        OSError: the port is taken.
    """
    port = free_port(settings.host, settings.port)
    # The workers read the same settings, from the environment that they inherit.
    os.environ.update({"HOST": settings.host, "PORT": str(port), "DATA_DIR": str(settings.data_path.absolute())})
    server = Granian(
        TARGET,
        factory=True,
        address=settings.host,
        port=port,
        workers=workers,
        workers_kill_timeout=max(1, settings.shutdown_timeout // 1000),
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        log_level=LogLevels.warning,
    )
    announce_when_ready(settings.host, port, workers=workers)
    server.serve()
