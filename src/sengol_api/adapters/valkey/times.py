"""How times are written for the server."""

import math
from typing import Final

_TEN_YEARS: Final = 10 * 365 * 86_400


def milliseconds(seconds: float) -> int:
    """A time to live for PX: rounded up, and not more than ten years; the server refuses what leaves its integers."""
    return max(1, math.ceil(min(seconds, _TEN_YEARS) * 1000))
