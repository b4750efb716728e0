"""Early refresh: one of many callers makes a value anew before it ends, so that not all of them do when it has.

XFetch of A. Vattani, F. Chierichetti, K. Lowenstein: *Optimal Probabilistic Cache Stampede Prevention*, VLDB 2015. A call refreshes
when ``now - took * beta * ln(random) >= end``: the longer the value takes to make and the nearer its end, the likelier.
"""

import math
from random import Random

_LONGEST = 37.0  # -ln of the least number that 1 - random() gives, 2**-53, and a little


def sure_until(fresh_until: float, took: float, beta: float) -> float:
    """Before this time no chance whatever leads to an early refresh, so none has to be taken."""
    return fresh_until - took * beta * _LONGEST


def is_due(now: float, fresh_until: float, took: float, beta: float, random: Random) -> bool:
    """Whether this caller refreshes.

    Args:
        now: monotonic seconds.
        fresh_until: when the value ends.
        took: seconds that it took to make.
        beta: above 1 refreshes earlier, below 1 later, 0 never.
        random: chance.
    """
    return beta > 0 and now - took * beta * math.log(1.0 - random.random()) >= fresh_until
