"""Structured logs: one JSON object a line, or a line for people on a terminal. No body, token or description is logged.

::

    configure("info", "auto")             # once per process
    logging.getLogger("sengol_api.area").info("what happened", extra={"fact": 1})

The message is a fixed text; what varies are facts. Every line within a request has its id, and within a trace its ids. Lines of
other libraries are kept from warnings on. :mod:`~sengol_api.observability.withheld` says what of errors may be told,
:mod:`~sengol_api.observability.sink` where the lines go.
"""

import json
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final, Literal, TypeAlias

import msgspec

from sengol_api.observability import trace_context
from sengol_api.observability.sink import PIPE_BUF, Sink, sinks, to_standard_error
from sengol_api.observability.withheld import OURS, is_ours, message_of, trace_of

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered, if any."""

Style: TypeAlias = Literal["auto", "json", "console"]
"""``auto`` is ``console`` on a terminal and ``json`` elsewhere."""

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}

_HIDDEN: Final = (*range(32), *range(127, 160), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_SHOWN: Final = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _HIDDEN}
"""Characters that move the cursor, as people can see them: a line break in a fact must not look like a line of the log."""

_SERVERS: Final = ("_granian", "granian.access", "uvicorn", "uvicorn.error", "uvicorn.access")
_LONGEST: Final = PIPE_BUF - 1
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode
_log: Final = logging.getLogger(f"{OURS}.log")


def facts_of(record: logging.LogRecord) -> dict[str, object]:
    """What a record says beside its message. Facts of other libraries are left out: nobody knows what is in them."""
    facts: dict[str, object] = {}
    if (identity := request_id.get()) is not None:
        facts["requestId"] = identity
    if (trace := trace_context.current.get()) is not None:
        facts["traceId"] = trace.trace_id
        facts["spanId"] = trace.span_id
    if is_ours(record):
        facts.update({key: value for key, value in record.__dict__.items() if key not in _STANDARD})
    return facts


def _error_of(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return "" if error is None else trace_of(error)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, of plain ASCII and no longer than a pipe takes as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self._second = (0, "")
        self._pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": self._time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
            "pid": self._pid,
        }
        line = {**line, **facts_of(record), **line}  # in this order, and no fact in the place of these
        if error := _error_of(record):
            line["exception"] = error
        text = _as_json(line)
        return text if len(text) <= _LONGEST else _as_json(_shortened(line))

    def _time(self, created: float) -> str:
        second = int(created)
        known, text = self._second
        if known != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second, text
        return f"{text}.{int((created - second) * 1000):03d}+00:00"


def _as_json(line: dict[str, Any]) -> str:
    try:
        text = _encode(line).decode()
        if not text.isascii():
            text = json.dumps(line, default=str, ensure_ascii=True, allow_nan=False)
    except (ValueError, TypeError, RecursionError):  # half a character, a number that JSON does not know, a fact that holds itself
        text = json.dumps({key: str(value) for key, value in line.items()}, ensure_ascii=True)
    return text.replace("\x7f", "\\u007f")


def _shortened(line: dict[str, Any]) -> dict[str, Any]:
    """A line that is short enough: without the ends of long facts, and without frames from the middle."""
    frames = str(line.pop("exception", "")).split("\n")
    short = {key: value if isinstance(value, int | float) else str(value)[:120] for key, value in list(line.items())[:24]}
    if len(_as_json(short)) > _LONGEST - 100:
        short = {name: short[name] for name in ("time", "level", "logger", "pid")} | {"message": str(line["message"])[:200]}
    short["shortened"] = True
    for kept in range(len(frames), 0, -1):
        first = kept // 3
        trace = "\n".join([*frames[:first], "  …", *frames[first - kept :]])
        if len(_as_json({**short, "exception": trace})) <= _LONGEST:
            return {**short, "exception": trace}
    return short


class ConsoleFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        facts = " ".join(f"{key}={value}" for key, value in facts_of(record).items())
        line = f"{moment} {record.levelname.lower():<7} {message_of(record)} {facts}".rstrip().translate(_SHOWN)
        error = "\n".join(each.translate(_SHOWN) for each in _error_of(record).split("\n"))
        return f"{line}\n{error}" if error else line


def for_people(style: Style) -> bool:
    """Whether lines of a style are for people."""
    return style == "console" or (style == "auto" and sys.stderr is not None and sys.stderr.isatty())


def last_word(message: str) -> None:
    """Write a line of a process that ends now, for a signal handler: past the queue and its lock, which it may have interrupted.

    Args:
        message: a fixed text.
    """
    formatter = next((sink.formatter for sink in sinks() if sink.formatter is not None), None) or JsonFormatter()
    line = formatter.format(logging.LogRecord(OURS, logging.CRITICAL, __file__, 0, message, None, None))
    with suppress(OSError):  # nobody is there to read it
        os.write(2, f"{line}\n".encode())


def configure(level: str, style: Style, *, threaded: bool = True) -> None:
    """Send every log, every warning and every error that nobody catches to standard error in one style.

    Args:
        level: the least level of the service's own lines. Other libraries are heard from warnings on: below that they write of
            requests and answers.
        style: ``auto`` is ``console`` on a terminal and ``json`` elsewhere.
        threaded: False in a process that forks others.
    """
    for sink in sinks():
        sink.close()
    handler = to_standard_error(threaded=threaded)
    handler.setFormatter(ConsoleFormatter() if for_people(style) else JsonFormatter())
    logging.basicConfig(level=max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]), handlers=[handler], force=True)
    logging.getLogger(OURS).setLevel(level.upper())
    for name in _SERVERS:
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True
        server.setLevel(logging.WARNING)
    logging.raiseExceptions = False
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False  # nobody shows what these would look up
    logging.captureWarnings(capture=True)
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread
    sys.excepthook = _uncaught


def _unraisable(told: Any) -> None:
    what = told.err_msg if isinstance(told.err_msg, str) else "an error that nobody could catch"
    error = told.exc_value
    _log.error("fault in the background", extra={"what": what}, exc_info=error if isinstance(error, BaseException) else None)


def _in_thread(told: threading.ExceptHookArgs) -> None:
    name = told.thread.name if told.thread is not None else ""
    _log.error("a thread ended by an error", extra={"who": name}, exc_info=told.exc_value)


def _uncaught(kind: type[BaseException], error: BaseException, _trace: object) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("the process ends by an error", exc_info=error)


def loop_fault(_loop: object, context: dict[str, Any]) -> None:
    """What an event loop reports that has nobody to raise to: for ``loop.set_exception_handler``.

    asyncio's own handler would print the arguments of callbacks and the texts of errors.
    """
    what = "a task failed and nobody asked for its result" if "task" in context or "future" in context else "a callback failed"
    error = context.get("exception")
    _log.error("fault in the background", extra={"what": what}, exc_info=error)


__all__ = [
    "ConsoleFormatter",
    "JsonFormatter",
    "Sink",
    "configure",
    "facts_of",
    "for_people",
    "last_word",
    "loop_fault",
    "request_id",
]
