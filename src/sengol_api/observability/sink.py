"""Where log lines go: to standard error, by a thread of their own, so that a request never waits for whoever reads them.

A log that nobody reads fills its pipe, and then a plain handler holds the whole event loop; a full disk or a closed terminal makes
it raise. Here a line is put into a bounded queue. What does not fit, and what cannot be written, is counted and told later.
"""

import logging
import os
import sys
import threading
import time
from collections import deque
from typing import Final, TextIO

from sengol_api.resilience.counter import Counter

PIPE_BUF: Final = 4096
"""Bytes that a pipe takes as a whole: lines of several processes do not mix as long as none is longer (POSIX, write)."""
_CAPACITY: Final = 10_000
_PAUSE: Final = 0.05
_LAST_WORDS: Final = 1.0
_LEVELS: Final = ("debug", "info", "warning", "error", "critical")


class Sink(logging.Handler):
    """Writes log lines to a stream.

    A line is on its way within 50 ms; several go out by one write. A critical one is waited for, up to a second: it is often the
    last. The stream's file descriptor is copied, so that nothing is ever written into a file that got the number of a closed one.

    Args:
        stream: standard error; None where there is none.
        threaded: False for a process that forks: it writes in the calling thread.
    """

    def __init__(self, stream: TextIO | None, *, threaded: bool = True) -> None:
        super().__init__()
        self.counted = {level: Counter() for level in _LEVELS}
        self.lost = Counter()
        self._told_lost = 0
        self._lines: deque[str] = deque()
        self._writing = threading.Lock()
        self._news = threading.Event()
        self._closed = False
        self._stream = stream
        self._descriptor = _copied(stream)
        self._thread = threading.Thread(target=self._work, daemon=True, name="log") if threaded else None
        if self._thread is not None:
            self._thread.start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a line without the lock that logging would hold: a queue needs none."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line. Never raises, never waits, but for a critical one."""
        try:
            line = self.format(record)
            count = self.counted.get(record.levelname.lower())
        except Exception:  # noqa: BLE001 - a fact that cannot be shown must not break the request that it is about
            self.lost.add()
            return
        if count is not None:
            count.add()
        if len(self._lines) >= _CAPACITY:
            self.lost.add()
        else:
            self._lines.append(line)
        if self._thread is None or self._closed:
            self._drain()
        elif not self._news.is_set():
            self._news.set()
        if record.levelno >= logging.CRITICAL:
            self.flush()

    def flush(self) -> None:
        """Write what there is, unless another write does not come back within a second."""
        if self._writing.acquire(timeout=_LAST_WORDS):
            try:
                self._drain()
            finally:
                self._writing.release()

    def close(self) -> None:
        """Write what there is, and end the thread."""
        if self._closed:
            return
        self._closed = True
        self._news.set()
        if self._writing.acquire(timeout=_LAST_WORDS):
            try:
                self._drain()
                if self._descriptor is not None:
                    os.close(self._descriptor)
                self._descriptor = self._stream = None
            finally:
                self._writing.release()
        super().close()

    def _work(self) -> None:
        while not self._closed:
            self._news.wait()
            self._news.clear()
            with self._writing:
                self._drain()
            time.sleep(_PAUSE)

    def _drain(self) -> None:
        batch: list[bytes] = []
        size = 0
        while self._lines:
            try:
                line = (self._lines.popleft() + "\n").encode("utf-8", "backslashreplace")
            except IndexError:  # another thread was quicker
                break
            if batch and size + len(line) > PIPE_BUF:
                self._write(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line)
        if batch:
            self._write(batch)

    def _write(self, batch: list[bytes]) -> None:
        lost = self.lost.value - self._told_lost
        try:
            if lost:
                told = logging.LogRecord("sengol_api.log", logging.WARNING, __file__, 0, "log lines were lost", None, None)
                told.lines = lost
                self._out((self.format(told) + "\n").encode("utf-8", "backslashreplace"))
                self._told_lost += lost
            self._out(b"".join(batch))
        except (OSError, ValueError):  # a full disk, a reader that is gone, a stream that was closed
            for _ in batch:
                self.lost.add()

    def _out(self, data: bytes) -> None:
        if self._descriptor is None:
            if self._stream is not None:
                self._stream.write(data.decode())
                self._stream.flush()
            return
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody made the terminal or pipe that we share non-blocking
                if self._thread is None:
                    raise
                time.sleep(_PAUSE)


def _copied(stream: TextIO | None) -> int | None:
    if stream is None:
        return None
    try:
        return os.dup(stream.fileno())
    except (OSError, ValueError):  # a stream in memory, or one that is closed
        return None


def sinks() -> list[Sink]:
    """The sinks of this process: one, unless logging is not configured."""
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, Sink)]


def to_standard_error(*, threaded: bool) -> Sink:
    """A sink on standard error."""
    return Sink(sys.stderr, threaded=threaded)
