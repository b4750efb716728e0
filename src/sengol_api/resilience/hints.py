"""How long a server asks to wait: its words, in all their forms, as seconds."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from sengol_api.resilience.events import report


def seconds_to_wait(hint: Any, *, wall: float, unit: float = 1.0) -> float | None:
    """A server's hint as seconds from now.

    Args:
        hint: a number or its text, whole or fractional, in ``unit``; an HTTP date (RFC 9110, 10.2.3); a timedelta; a datetime.
        wall: seconds since the epoch now, to which dates are compared.
        unit: of numbers, in seconds: 0.001 for ``retry-after-ms``.

    Returns:
        seconds of at least 0 (a date that has passed or a negative number ask for none), or None when the hint says nothing.
    """
    match hint:
        case bool():
            return None
        case int() | float():
            # A whole number may be too large for a float; nobody waits that long either way.
            seconds = hint * unit if isinstance(hint, float) or hint.bit_length() < 1000 else (math.inf if hint > 0 else -math.inf)
            return None if math.isnan(seconds) else max(0.0, seconds)
        case timedelta():
            return max(0.0, hint.total_seconds())
        case datetime():
            return max(0.0, (hint if hint.tzinfo else hint.replace(tzinfo=UTC)).timestamp() - wall)
        case str():
            return _from_text(hint.strip(), wall, unit)
        case _:
            return None


def wait_asked_by(error: BaseException, *, wall: float) -> float | None:
    """What the ``retry_after`` of an error asks for, as :func:`seconds_to_wait` gives it; one that raises asks for nothing."""
    try:
        return seconds_to_wait(getattr(error, "retry_after", None), wall=wall)
    except Exception as problem:  # noqa: BLE001 - the caller shall get the error of the work, not that of its attribute
        report(problem, "the retry_after of an error raised", type(error))
        return None


def _from_text(text: str, wall: float, unit: float) -> float | None:
    try:
        return seconds_to_wait(float(text), wall=wall, unit=unit)
    except ValueError:
        pass
    try:
        return seconds_to_wait(parsedate_to_datetime(text), wall=wall)
    except (ValueError, OverflowError):
        return None
