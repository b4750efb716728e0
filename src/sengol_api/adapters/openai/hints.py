"""How long a provider asks to wait, in all the forms that servers of the OpenAI protocol use."""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final

from sengol_api.resilience import seconds_to_wait

LONGEST: Final = 86_400.0
"""Seconds. Nobody is believed who asks for more than a day."""

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT: Final = "ns|us|µs|μs|ms|s|m|h"
_NUMBER: Final = r"(?:\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})"
_PART: Final = re.compile(rf"({_NUMBER})({_UNIT})")
_DURATION: Final = re.compile(rf"[+-]?(?:{_NUMBER}(?:{_UNIT}))+")
_IN_WORDS: Final = re.compile(
    rf"\btry again in\s+((?:{_NUMBER}(?:{_UNIT}))+|{_NUMBER})\s*(milliseconds?|seconds?|minutes?|hours?)?", re.IGNORECASE
)
_WORDS: Final = {"milli": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0}


def go_duration(text: str) -> float | None:
    """Seconds of a duration as Go prints it (``6m0s``, ``7.66s``, ``20ms``), or of a bare number of seconds; at least 0.

    Returns:
        None when it is neither.
    """
    text = text.strip()
    if _DURATION.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        return 0.0 if text.startswith("-") else seconds
    try:
        seconds = float(text)
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def wait_asked(headers: Mapping[str, str], message: str = "", *, wall: float) -> float | None:
    """The wait that an answer asks for, from the first of its sayings that can be understood.

    ``retry-after-ms``; ``Retry-After`` as a number or a date; "try again in" of the message; the reset of the limit of which
    nothing remains. A date is compared with the answer's own ``Date``: the clock of this machine may be wrong.

    Args:
        headers: of the answer, by names of any case in which the mapping finds them.
        message: of the error.
        wall: seconds since the epoch here, for a date without a ``Date`` beside it.

    Returns:
        seconds, at least 0 and at most a day; None when nothing is said.
    """
    said = (
        _milliseconds(headers.get("retry-after-ms")),
        _retry_after(headers.get("retry-after"), headers.get("date"), wall),
        _in_words(message),
        _reset_of_what_is_used_up(headers),
    )
    wait = next((seconds for seconds in said if seconds is not None), None)
    return None if wait is None else min(wait, LONGEST)


def _milliseconds(said: str | None) -> float | None:
    try:
        number = float(said or "")
    except ValueError:
        return None
    return seconds_to_wait(number, wall=0.0, unit=0.001)


def _retry_after(said: str | None, date: str | None, wall: float) -> float | None:
    if said is None:
        return None
    now = wall
    with suppress(ValueError, OverflowError):
        now = wall if date is None else parsedate_to_datetime(date).timestamp()
    return seconds_to_wait(said, wall=now)


def _in_words(message: str) -> float | None:
    found = _IN_WORDS.search(message[:2000])
    if found is None:
        return None
    number, word = found.group(1), found.group(2)
    seconds = go_duration(number)
    if seconds is None or word is None:
        return seconds
    return seconds * next(factor for start, factor in _WORDS.items() if word.lower().startswith(start))


def _reset_of_what_is_used_up(headers: Mapping[str, str]) -> float | None:
    resets = [
        go_duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{what}", "").strip() == "0"
    ]
    return max((reset for reset in resets if reset is not None), default=None)
