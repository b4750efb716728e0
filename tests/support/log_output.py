"""All that a process would write to standard error, as it would write it."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sengol_api.observability.logging import configure
from sengol_api.observability.sink import sinks

_HOOKS = ((sys, "unraisablehook"), (sys, "excepthook"), (threading, "excepthook"), (sys, "stderr"))
_LOGGERS = ("", "sengol_api", "_granian", "granian.access", "uvicorn", "uvicorn.error", "uvicorn.access")


class LogOutput:
    """What was written so far."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """All of it."""
        for sink in sinks():
            sink.flush()
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines, decoded."""
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def messages(self) -> list[str]:
        """The messages of the lines."""
        return [line["message"] for line in self.lines]


@contextmanager
def log_output(level: str = "info", style: Any = "json", stream: io.StringIO | None = None) -> Iterator[LogOutput]:
    """Logging as a worker configures it, onto a stream in memory; everything is as it was afterwards."""
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in map(logging.getLogger, _LOGGERS)]
    hooks = [(where, name, getattr(where, name)) for where, name in _HOOKS]
    flags = {name: getattr(logging, name) for name in ("raiseExceptions", "logThreads", "logMultiprocessing", "logProcesses")}
    sys.stderr = stream = stream or io.StringIO()
    try:
        configure(level, style)
        yield LogOutput(stream)
    finally:
        for sink in sinks():
            sink.close()
        logging.captureWarnings(capture=False)
        for name, flag in flags.items():
            setattr(logging, name, flag)
        for where, name, hook in hooks:
            setattr(where, name, hook)
        for logger, least, handlers, propagate in before:
            logger.handlers[:] = handlers
            logger.setLevel(least)
            logger.propagate = propagate
