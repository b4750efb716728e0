"""Delays between attempts.

Source: exponential backoff with full, equal and decorrelated jitter after M. Brooker, "Exponential Backoff And Jitter", AWS
Architecture Blog, 2015.
"""

import math
from random import Random

_LARGEST_POWER = 700.0  # natural logarithm; a float ends at about 709


def exponential(retry: int, initial: float, multiplier: float, longest: float) -> float:
    """``initial × multiplier ** (retry - 1)``, at most ``longest``, without overflow at any number.

    Args:
        retry: 1 for the first retry.
        initial: its delay, seconds.
        multiplier: of each delay over the one before, at least 1.
        longest: bound, seconds.
    """
    if initial <= 0:
        return 0.0
    # Compared as logarithms: the power itself leaves the range of a float at about the 1024th retry.
    growth = (retry - 1) * math.log(multiplier)
    if growth >= math.log(longest) - math.log(initial):
        return longest
    if growth > _LARGEST_POWER:  # though the delay is small: it began with next to nothing
        return min(longest, math.exp(math.log(initial) + growth))
    return min(longest, initial * multiplier ** (retry - 1))


def jittered(kind: str, delay: float, previous: float, initial: float, longest: float, random: Random) -> float:
    """A delay with chance added, so that those who failed together do not come back together.

    Args:
        kind: ``none``; ``full``: from 0 to the delay; ``equal``: the upper half of that; ``proportional``: a quarter more or less;
            ``decorrelated``: from the initial delay to three times the previous one.
        delay: the exponential one, seconds.
        previous: the delay before this one, or the initial one, seconds.
        initial: delay of the first retry, seconds.
        longest: bound of the result, seconds.
        random: source of chance.
    """
    match kind:
        case "full":
            return random.uniform(0, delay)
        case "equal":
            return random.uniform(delay / 2, delay)
        case "proportional":
            return min(longest, random.uniform(delay * 0.75, delay * 1.25))
        case "decorrelated":
            return min(longest, random.uniform(initial, max(initial, previous * 3)))
        case _:
            return delay
