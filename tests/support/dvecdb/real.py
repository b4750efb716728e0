"""The real d-vecDB server of the dev dependencies, run directly or by QEMU."""

import http.client
import importlib.util
import json
import platform
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.due import unavailable
from support.service_process import DidNotStartError, ServiceProcess, free_ports

BINARY = "d_vecdb_server/binaries/vectordb-server-linux-x64"  # its name lies: see ``e_machine``
MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of ELF
FOREIGN_ROOT = Path("/usr/aarch64-linux-gnu")
FOREIGN_LIBRARIES = ("ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libgcc_s.so.1")
PACKAGES = "qemu-user libc6-arm64-cross libgcc-s1-arm64-cross"


class CannotRunError(RuntimeError):
    """Why the server cannot run on this machine."""


def launch_command() -> list[str]:
    """How the binary is started here, without its options; raises ``CannotRunError``."""
    spec = importlib.util.find_spec("d_vecdb_server")
    if spec is None or spec.origin is None:
        raise CannotRunError("no d-vecDB here: the package d-vecdb-server is not installed")
    binary = Path(spec.origin).parent.parent / BINARY
    built_for, here = _machine_of(binary), platform.machine()
    if platform.system() != "Linux":
        raise CannotRunError(f"no d-vecDB here: its binary is for Linux, this is {platform.system()}")
    if built_for == here:
        return [str(binary)]
    emulator = shutil.which(f"qemu-{built_for}") or shutil.which(f"qemu-{built_for}-static")
    missing = [name for name in FOREIGN_LIBRARIES if not (FOREIGN_ROOT / "lib" / name).exists()]
    if emulator is None or built_for != "aarch64" or missing:
        raise CannotRunError(
            f"no d-vecDB here: its binary is for {built_for}, this is {here}; on Debian: apt-get install {PACKAGES}"
        )
    return [emulator, "-L", str(FOREIGN_ROOT), str(binary)]


def _machine_of(binary: Path) -> str:
    try:
        with binary.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise CannotRunError(f"no d-vecDB here: {error}") from error
    number = struct.unpack_from("<H", head, 18)[0] if head[:4] == b"\x7fELF" else None
    return MACHINES.get(number, f"machine {number}")


class DvecdbServer(ServiceProcess):
    """The server on free ports, with its data in a folder of the test's.

    ``start``, ``kill``, ``restart`` (on the same ports), ``freeze``, ``thaw`` and ``stop`` are those of every server process.
    """

    def __init__(self, folder: Path, *, log_level: str = "error", host: str = "127.0.0.1", port: int | None = None) -> None:
        self.data_dir = folder / "data"
        ports = free_ports(3)
        self.port = port or ports[0]
        options = ["--data-dir", self.data_dir, "--host", host, "--rest-port", self.port]
        options += ["--grpc-port", ports[1], "--metrics-port", ports[2], "--log-level", log_level]
        command = [*launch_command(), *map(str, options)]
        super().__init__(command, log=folder / "d-vecdb.log", is_ready=self.is_healthy)

    @property
    def url(self) -> str:
        """Of its REST interface."""
        return f"http://127.0.0.1:{self.port}"

    def is_healthy(self) -> bool:
        """What ``/health`` says; raises ``OSError`` when it says nothing."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return json.loads(connection.getresponse().read()).get("success") is True
        except (http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()


@contextmanager
def dvecdb_server(folder: Path) -> Iterator[DvecdbServer]:
    """A started server; skips where it cannot run, but fails where ``CI`` or ``REQUIRE_DVECDB`` is set."""
    try:
        server = _started(folder)
    except (CannotRunError, DidNotStartError) as error:
        unavailable("dvecdb", str(error))
    try:
        yield server
    finally:
        server.kill()


def _started(folder: Path) -> DvecdbServer:
    for attempt in range(5):  # another process may take a free port first: then it ends at once
        server = DvecdbServer(folder)
        try:
            server.start()
        except DidNotStartError:
            if attempt == 4 or server.exit_code != 0:
                raise
        else:
            return server
    raise AssertionError
