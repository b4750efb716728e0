"""What answers were made from and what they cost: for whoever makes them to count."""

from collections.abc import Iterator
from typing import Final

from sengol_api.observability.metrics.instruments import Count
from sengol_api.observability.metrics.model import CATALOGUE, Sample
from sengol_api.observability.sink import sinks

_RUNGS: Final = CATALOGUE.counter(
    "sengol_rungs_served_total", "Answers of a dependency, or of what stands in for it, by what served.", "dependency", "served"
)
_TOKENS: Final = CATALOGUE.counter("sengol_model_tokens_total", "Tokens that models took and gave.", "model", "kind")
_COST: Final = CATALOGUE.counter("sengol_model_cost_dollars_total", "What models cost, by their list prices.", "model")
_LINES: Final = CATALOGUE.counter("sengol_log_lines_total", "Log lines.", "level")
_LOST: Final = CATALOGUE.counter("sengol_log_lines_lost_total", "Log lines that nobody took, or that could not be written.")


class Rungs:
    """What served: ``rungs.count("vector index", "embedded")``."""

    def __init__(self) -> None:
        self._served = Count(_RUNGS)

    def count(self, dependency: str, served: str) -> None:
        """Count an answer.

        Args:
            dependency: whose answer it is.
            served: the rung that gave it. Both are words of the program, never of a request.
        """
        self._served.add(dependency, served)

    def collect(self) -> Iterator[Sample]:
        """The samples now."""
        return self._served.collect()


class Usage:
    """What models took: ``usage.tokens("gpt-4o", "input", 812)``, ``usage.cost("gpt-4o", 0.0031)``."""

    def __init__(self) -> None:
        self._tokens = Count(_TOKENS)
        self._cost = Count(_COST)

    def tokens(self, model: str, kind: str, count: int) -> None:
        """Count tokens.

        Args:
            model: that took or gave them, as it is configured.
            kind: ``input``, ``output``, ``cached`` or ``embedding``.
            count: of them.
        """
        self._tokens.add(model, kind, amount=count)

    def cost(self, model: str, dollars: float) -> None:
        """Count what a call cost.

        Args:
            model: that was called, as it is configured.
            dollars: US dollars.
        """
        self._cost.add(model, amount=dollars)

    def collect(self) -> Iterator[Sample]:
        """The samples now."""
        yield from self._tokens.collect()
        yield from self._cost.collect()


def log_samples() -> Iterator[Sample]:
    """Lines that were logged, and those that were lost."""
    for sink in sinks():
        for level, counter in sink.counted.items():
            yield _LINES, (level,), float(counter.value)
        yield _LOST, (), float(sink.lost.value)
