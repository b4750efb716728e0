"""The forms in which servers of the OpenAI protocol say how long to wait."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate


@dataclass(frozen=True, eq=False)
class Hint:
    """One such saying.

    Attributes:
        headers: what it adds to the answer.
        words: what it adds to the error's message.
        seconds: the wait that a client must read in it; None when it says nothing.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    seconds: float | None = None


NO_HINT = Hint()
Form = Callable[[float], Hint]


def go_duration(seconds: float) -> str:
    """As Go prints it: ``6m0s``, ``7.66s``, ``20ms``, ``1h0m5s``."""
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{seconds * 1000:.10g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    ahead = f"{int(hours)}h{int(minutes)}m" if hours else f"{int(minutes)}m" if minutes else ""
    return f"{ahead}{rest:.10g}s"


def retry_after_ms(seconds: float) -> Hint:
    """``retry-after-ms: 1500``."""
    return Hint({"retry-after-ms": f"{seconds * 1000:.10g}"}, seconds=seconds)


def retry_after_whole(seconds: float) -> Hint:
    """``Retry-After: 2``: rounded up, so that nobody comes too early."""
    return Hint({"Retry-After": str(math.ceil(seconds))}, seconds=math.ceil(seconds))


def retry_after_float(seconds: float) -> Hint:
    """``Retry-After: 1.5``."""
    return Hint({"Retry-After": f"{seconds:.10g}"}, seconds=seconds)


def retry_after_date(seconds: float) -> Hint:
    """``Retry-After: Tue, 24 Nov 2026 04:17:55 GMT``: whole seconds of the wall clock, rounded up."""
    then = math.ceil(time.time() + seconds)
    return Hint({"Retry-After": formatdate(then, usegmt=True)}, seconds=then - time.time())


def in_the_message(seconds: float) -> Hint:
    """``Please try again in 1.5s.`` and no header."""
    return Hint(words=f" Please try again in {go_duration(seconds)}.", seconds=seconds)


def reset_of_requests(seconds: float) -> Hint:
    """The requests are used up, and their reset is a Go duration; the tokens' reset, which does not matter, is later."""
    return Hint(_used_up("requests", go_duration(seconds), other=go_duration(seconds + 3600)), seconds=seconds)


def reset_of_tokens(seconds: float) -> Hint:
    """The tokens are used up."""
    return Hint(_used_up("tokens", go_duration(seconds), other=go_duration(seconds + 3600)), seconds=seconds)


def reset_in_bare_seconds(seconds: float) -> Hint:
    """As some compatible servers say it: ``x-ratelimit-reset-requests: 1.5``."""
    return Hint(_used_up("requests", f"{seconds:.10g}", other="0"), seconds=seconds)


def _used_up(what: str, reset: str, *, other: str) -> dict[str, str]:
    open_one = "tokens" if what == "requests" else "requests"
    limits = {f"x-ratelimit-limit-{name}": "1000" for name in (what, open_one)}
    remaining = {f"x-ratelimit-remaining-{what}": "0", f"x-ratelimit-remaining-{open_one}": "999"}
    return {**limits, **remaining, f"x-ratelimit-reset-{what}": reset, f"x-ratelimit-reset-{open_one}": other}


FORMS: dict[str, Form] = {
    "retry-after-ms": retry_after_ms,
    "retry-after-whole": retry_after_whole,
    "retry-after-float": retry_after_float,
    "retry-after-date": retry_after_date,
    "message": in_the_message,
    "reset-requests": reset_of_requests,
    "reset-tokens": reset_of_tokens,
    "reset-bare-seconds": reset_in_bare_seconds,
}
"""Each makes a hint for a number of seconds."""

NOTHING_SAID: dict[str, Hint] = {
    "none": NO_HINT,
    "nought": Hint({"Retry-After": "0"}, seconds=0),
    "minus-one": Hint({"Retry-After": "-1"}, seconds=0),
    "reset-nought": Hint(_used_up("requests", "0", other="0"), seconds=0),
    "reset-minus-one": Hint(_used_up("tokens", "-1", other="-1"), seconds=0),
    "garbage": Hint({"Retry-After": "soon"}),
    "nothing-used-up": Hint({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "6m0s"}),
}
"""Hints that ask for no wait, or are none."""
