"""What of an error, and of other libraries' log lines, may stand in a log.

A text that was put together at run time may hold anything: a prompt, a row, a vendor's answer, a key in an address. So the kind of
an error and where it was raised are always told, and its text only where nobody outside can have written it:

* it is a literal of the very code that raised it: ``raise RuntimeError("no task is running")``;
* its class vouches for its texts: errors of the toolkit, those of the service that say what failed, and those with an attribute
  ``loggable`` that is true;
* it is a code of the operating system or of a database.

Everything else is withheld. The same holds for log lines of other libraries: their literal parts and numbers are shown.
"""

import errno
import logging
import os
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final

from sengol_api.resilience import OptionsError, Rejected, TimedOut, attempts_of, fallback_errors
from sengol_api.review import errors

WITHHELD: Final = "(text withheld)"
OURS: Final = "sengol_api"
_SERVER: Final = "_granian"
"""The HTTP server makes its messages elsewhere than in Python: their first lines are its own words."""

_VOUCHED_FOR: Final = (
    Rejected,
    TimedOut,
    OptionsError,
    errors.DatabaseError,
    errors.VectorDBError,
    errors.LLMError,
    errors.CircuitBreakerError,
    errors.RateLimitError,
    errors.TimeoutError,
)
_CODES: Final = ("sqlstate", "sqlite_errorname")
_CODE: Final = re.compile(r"[A-Z0-9_]{1,60}")
_LINKS, _MEMBERS, _FRAMES = 6, 4, (3, 12)
_PLACE: Final = re.compile(r"^.*/(?:site-packages|src|lib/python3\.\d+)/")


def text_of(error: BaseException) -> str:
    """The text of an error as far as it may be told; empty when it has none."""
    try:
        return _text_of(error)
    except Exception:  # noqa: BLE001 - an error's own code may be broken; a log line is no place to find that out
        return WITHHELD


def _text_of(error: BaseException) -> str:
    if isinstance(error, _VOUCHED_FOR) or getattr(type(error), "loggable", None) is True:
        return str(error)
    if codes := list(_codes(error)):
        return ", ".join(codes)
    if not error.args:
        return ""
    literals = _literals(error.__traceback__)
    return ", ".join(error.args) if all(type(each) is str and each in literals for each in error.args) else WITHHELD


def _codes(error: BaseException) -> Iterator[str]:
    number = getattr(error, "errno", None)
    of_the_system = isinstance(error, OSError) and not isinstance(error, ssl.SSLError | socket.gaierror)
    if of_the_system and isinstance(number, int) and number in errno.errorcode:
        yield f"{errno.errorcode[number]}: {os.strerror(number)}"
    for source in (error, getattr(error, "orig", None)):
        for name in _CODES:
            code = getattr(source, name, None)
            if isinstance(code, str) and _CODE.fullmatch(code):
                yield f"{name} {code}"
    status = getattr(error, "status_code", None)
    if type(status) is int:
        yield f"status {status}"


def _literals(trace: TracebackType | None) -> tuple[object, ...]:
    """The constants of the code that raised an error."""
    if trace is None:
        return ()
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_consts


def kind_of(error: BaseException) -> str:
    """The class of an error, with its module unless it is Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def summary_of(error: BaseException) -> str:
    """An error on one line: its kind, and its text as far as it may be told."""
    text = text_of(error)
    return f"{kind_of(error)}: {text}" if text else kind_of(error)


def trace_of(error: BaseException) -> str:
    """An error with those behind it, the first of all on top: frames, kinds, and texts as far as they may be told."""
    lines: list[str] = []
    for each, what_it_did in reversed(list(_links(error))):
        lines += _described(each, "")
        lines += [what_it_did] if what_it_did else []
    return "\n".join(lines)


def _links(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """An error and those behind it, each with what it did to the one before."""
    what_it_did = ""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(seen) < _LINKS:
        yield link, what_it_did
        seen.add(id(link))
        what_it_did = "which caused" if link.__cause__ else "and while it was handled"
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _described(error: BaseException, indent: str) -> Iterator[str]:
    frames = list(_frames(error.__traceback__))
    if frames:
        yield f"{indent}Traceback (most recent call last):"
    first, last = _FRAMES
    if len(frames) > first + last + 1:
        frames[first:-last] = [f"  … {len(frames) - first - last} more"]
    yield from (indent + frame for frame in frames)
    yield indent + summary_of(error)
    if attempts := attempts_of(error):
        yield f"{indent}  after {len(attempts)} attempts: " + ", ".join(kind_of(attempt.error) for attempt in attempts[:_MEMBERS])
    for label, failure in list(fallback_errors(error).items())[:_MEMBERS]:
        yield f"{indent}  alternative {label}: {summary_of(failure)}"
    if isinstance(error, BaseExceptionGroup) and len(indent) < 6:
        for member in error.exceptions[:_MEMBERS]:
            yield f"{indent}  of {len(error.exceptions)}:"
            yield from _described(member, indent + "  ")


def _frames(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield f'  File "{_PLACE.sub("", code.co_filename)}", line {trace.tb_lineno}, in {code.co_qualname}'
        trace = trace.tb_next


def is_ours(record: logging.LogRecord) -> bool:
    """Whether the service itself wrote this line."""
    return record.name == OURS or record.name.startswith(OURS + ".")


def message_of(record: logging.LogRecord) -> str:
    """The message of a log line as far as it may be told. To be asked within the call that logs."""
    if is_ours(record):
        return record.getMessage()
    template = record.msg
    if isinstance(template, str) and (record.name.startswith(_SERVER) or _is_literal(record, template)):
        return _masked(template, record.args) if record.args else template.partition("\n")[0]
    return f"{WITHHELD} at {_PLACE.sub('', record.pathname)}:{record.lineno}"


def _is_literal(record: logging.LogRecord, template: str) -> bool:
    """Whether the code that logs has this very text among its constants."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the one way to the caller's code
    while frame is not None:
        if frame.f_lineno == record.lineno and frame.f_code.co_filename == record.pathname:
            return template in frame.f_code.co_consts
        frame = frame.f_back
    return False


def _masked(template: str, arguments: object) -> str:
    """A template with its numbers filled in, and with … for what else there is."""
    try:
        if isinstance(arguments, dict):
            return template % {key: _number_or_dots(value) for key, value in arguments.items()}
        return template % tuple(map(_number_or_dots, arguments if isinstance(arguments, tuple) else (arguments,)))
    except (TypeError, ValueError):
        return template


def _number_or_dots(value: object) -> object:
    return value if isinstance(value, int | float) else "…"
