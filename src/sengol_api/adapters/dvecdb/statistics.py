"""What the client counts."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Statistics:
    """Counts since the client was made.

    Attributes:
        searches: that were asked for.
        failures: of them, those that raised.
        requests: searches that were sent to the server.
        exact: answers that were made exactly in this process instead, by why: ``filter`` (too few candidates fitted), ``short``
            (the server's graph had a hole), ``zero`` (a query without direction).
        unknown: hits whose key belongs to no record.
    """

    searches: int = 0
    failures: int = 0
    requests: int = 0
    exact: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
