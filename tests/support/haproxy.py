"""A real haproxy with the configuration that is shipped, before servers of a test."""

import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from support.service_process import ServiceProcess, free_ports

SHIPPED: Final = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"


def shipped_for(text: str, port: int, told_port: int, servers: Sequence[int]) -> str:
    """The shipped text with other ports to listen on, and other servers; every other line is as it is shipped."""
    ports = rf"\1 127.0.0.1:{port}\n\1 127.0.0.1:{told_port} accept-proxy"
    text, binds = re.subn(r"^( +bind) :4000$", ports, text, flags=re.MULTILINE)
    lines = "".join(f"    server api-{number} 127.0.0.1:{each}\n" for number, each in enumerate(servers, 1))
    text, replaced = re.subn(r"(?:^ +server api-\d+ api-\d+:4000\n)+", lines, text, flags=re.MULTILINE)
    assert (binds, replaced) == (1, 1), "the shipped configuration is not what it was"
    return text


class Haproxy(ServiceProcess):
    """The proxy.

    Attributes:
        port: where it listens.
        told_port: where it listens too, and believes the address that a client says it has (PROXY protocol).

    Args:
        folder: for its configuration, its log and its socket.
        servers: ports of the replicas.
    """

    name = "haproxy"

    def __init__(self, folder: Path, servers: Sequence[int]) -> None:
        self.port, self.told_port = free_ports(2)
        self._socket = folder / "haproxy.sock"
        shipped, own = folder / "haproxy.cfg", folder / "test.cfg"
        shipped.write_text(shipped_for(SHIPPED.read_text(encoding="utf-8"), self.port, self.told_port, servers))
        own.write_text(f"global\n    stats socket {self._socket} mode 600\n")
        command = [str(shutil.which("haproxy") or "/usr/sbin/haproxy"), "-db", "-f", str(shipped), "-f", str(own)]
        super().__init__(command, log=folder / "haproxy.log", is_ready=lambda: "UP" in self.states().values())

    def states(self) -> dict[str, str]:
        """What it takes each server for: ``UP``, ``DOWN``, or on the way (``UP 1/2``)."""
        return {name: fields["status"] for name, fields in self.statistics().items() if name.startswith("api-")}

    def statistics(self) -> dict[str, dict[str, str]]:
        """Its figures of the replicas, by name; ``BACKEND`` has those of all."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(str(self._socket))
            line.sendall(b"show stat\n")
            with line.makefile("r") as told:
                names = told.readline().removeprefix("# ").strip().split(",")
                rows = [dict(zip(names, row.strip().split(","), strict=False)) for row in told if "," in row]
        return {row["svname"]: row for row in rows if row["pxname"] == "replicas"}
