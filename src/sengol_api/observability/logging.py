"""Structured logs: one JSON object a line, or a line for people on a terminal. No body, token or description is logged."""

import datetime as dt
import json
import logging
import sys
from contextvars import ContextVar
from typing import Final, Literal

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered, if any."""

_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}

_SHOWN: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
"""Control characters as people can see them: a line break in a fact must not look like a line of the log."""


def facts_of(record: logging.LogRecord) -> dict[str, object]:
    """What a record says beside its message."""
    facts = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
    if (identity := request_id.get()) is not None:
        facts["requestId"] = identity
    return facts


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **facts_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return json.dumps(line, default=str, ensure_ascii=True, allow_nan=False)
        except ValueError:  # a number that JSON does not know, or a fact that holds itself
            return json.dumps({key: str(value) for key, value in line.items()}, ensure_ascii=True)


class ConsoleFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = dt.datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        facts = " ".join(f"{key}={value}" for key, value in facts_of(record).items())
        line = f"{moment} {record.levelname.lower():<7} {record.getMessage()} {facts}".rstrip().translate(_SHOWN)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(level: str, style: Literal["auto", "json", "console"]) -> None:
    """Send every log to standard error in one style.

    Args:
        level: the least level.
        style: ``auto`` is ``console`` on a terminal and ``json`` elsewhere.
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ConsoleFormatter() if console else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("wordllama", "alembic", "aiosqlite", "sqlalchemy", "asyncio", "_granian", "granian.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
