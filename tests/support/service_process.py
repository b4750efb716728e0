"""A server process that a test starts, freezes, kills and starts again; ``kill`` it in the end."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Ports that nobody had a moment ago."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]
    finally:
        for each in taken:
            each.close()


class DidNotStartError(RuntimeError):
    """The process ended, or did not answer in time; the message ends with what it wrote."""


class ServiceProcess:
    """One process at a time, with its output in a file.

    Args:
        command: what to run.
        log: where standard output and error go, one start after the other.
        is_ready: asks the server whether it serves; an ``OSError`` means not yet.
        environment: of the process; that of this one by default.
        children: whether it has some: killed and frozen are then all of them.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        is_ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        children: bool = False,
    ) -> None:
        self._command = list(command)
        self._log = log
        self._is_ready = is_ready
        self._environment = environment
        self._children = children
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Of the last process that ended."""
        return None if self._process is None else self._process.poll()

    @property
    def output(self) -> str:
        """All that it has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self, *, patience: float = 30.0) -> None:
        """Start it and poll until it is ready; raises ``DidNotStartError``, with nothing left over."""
        assert not self.running, "runs already"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=self._children,
            )
        try:
            self._wait_until_ready(patience)
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self, patience: float) -> None:
        end = time.monotonic() + patience
        while not self._ready():
            if not self.running:
                raise DidNotStartError(f"ended with {self.exit_code}: {self.output[-2000:]}")
            if time.monotonic() > end:
                raise DidNotStartError(f"not ready after {patience:g} s: {self.output[-2000:]}")
            time.sleep(0.02)

    def _ready(self) -> bool:
        try:
            return self.running and self._is_ready()
        except OSError:
            return False

    def kill(self) -> None:
        """``kill -9``, of a frozen process too."""
        self._end(signal.SIGKILL)

    def stop(self, by: signal.Signals = signal.SIGINT, *, patience: float = 10.0) -> None:
        """Ask it to stop; after so many seconds it is killed."""
        self._end(by, patience)

    def restart(self) -> None:
        """``kill -9`` and a new start with the same command, so on the same port."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: its port stays open, connections are accepted by the kernel, nothing answers."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        if self._children:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    def _end(self, by: signal.Signals, patience: float = 10.0) -> None:
        if self._process is None:
            return
        if self.running and by is signal.SIGKILL:
            self._send(by)
        elif self.running:
            self._process.send_signal(by)
            self._send(signal.SIGCONT)  # a frozen one would never hear the first
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self._process.wait()
