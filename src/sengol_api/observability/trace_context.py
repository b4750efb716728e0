"""W3C trace context: which trace the present work belongs to, where it came from, and what is sent on with calls.

See https://www.w3.org/TR/trace-context/. This works with and without a tracer: without one, the context that a caller sent is shown
in the logs and handed on as it came.

::

    headers: dict[str, str] = {}
    inject(headers)                       # in a client, before each call over HTTP
"""

import re
from collections.abc import Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from typing import Final

_VERSION_00: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_LATER: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_STATE: Final = re.compile(r"[\x20-\x7e]{1,512}")
_MOST_MEMBERS: Final = 32
_FLAGS: Final = 0b11
"""Recorded, and made of a random trace id: those that the second level of the standard defines."""


class TraceContext:
    """A place in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        flags: of the trace; bit 0 says that it is recorded.
        state: what other systems have put beside it; handed on, never read.
    """

    __slots__ = ("flags", "span_id", "state", "trace_id")

    def __init__(self, trace_id: str, span_id: str, flags: int, state: str = "") -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.flags = flags
        self.state = state

    @property
    def traceparent(self) -> str:
        """The header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def annotate(self, attributes: Mapping[str, str | int | float | bool]) -> None:
        """Put facts on the span; a context that only came from elsewhere has none."""


current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)
"""Where the present work stands; None outside of every trace."""


def read(traceparents: Sequence[str], tracestates: Sequence[str] = ()) -> TraceContext | None:
    """The context of a request; None when it has none, or none that is valid: then a new trace begins.

    Args:
        traceparents: the values of all headers of that name; more than one is none.
        tracestates: the values of all headers of that name. One that is not valid is left out, the context stays.
    """
    if len(traceparents) != 1:
        return None
    found = _VERSION_00.fullmatch(traceparents[0]) or (
        None if traceparents[0].startswith("00") else _LATER.fullmatch(traceparents[0])
    )
    if found is None or not found[1].strip("0") or not found[2].strip("0"):
        return None
    state = ",".join(tracestates)
    if not _STATE.fullmatch(state) or state.count(",") >= _MOST_MEMBERS:
        state = ""
    return TraceContext(found[1], found[2], int(found[3], 16) & _FLAGS, state)


def inject(headers: MutableMapping[str, str]) -> None:
    """Put the present place in its trace into the headers of a call; nothing outside of a trace."""
    context = current.get()
    if context is not None:
        headers["traceparent"] = context.traceparent
        if context.state:
            headers["tracestate"] = context.state


def outgoing() -> dict[str, str]:
    """The headers by which a call goes on with the present trace; empty outside of one."""
    headers: dict[str, str] = {}
    inject(headers)
    return headers


def annotate(attributes: Mapping[str, str | int | float | bool]) -> None:
    """Put facts on the present span, if there is one: counts, codes, names of models; never content."""
    context = current.get()
    if context is not None:
        context.annotate(attributes)
