"""What answers were made from and what they cost: for whoever makes them to count."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from sengol_api.observability.metrics.instruments import Count
from sengol_api.observability.metrics.model import CATALOGUE, Sample
from sengol_api.observability.sink import sinks

_RUNGS: Final = CATALOGUE.counter(
    "sengol_rungs_served_total", "Answers of a dependency, or of what stands in for it, by what served.", "dependency", "served"
)
_REQUESTS: Final = CATALOGUE.counter("sengol_model_requests_total", "Requests to providers of models, with those made again.")
_ERRORS: Final = CATALOGUE.counter("sengol_model_errors_total", "Requests to providers that failed, by the reason.", "reason")
_MAYBE_BILLED: Final = CATALOGUE.counter(
    "sengol_model_maybe_billed_total", "Requests whose answer never came in full; the provider may bill them."
)
_TOKENS: Final = CATALOGUE.counter(
    "sengol_model_tokens_total", "Tokens that models took (input, some of them cached) and gave (output).", "model", "kind"
)
_COST: Final = CATALOGUE.counter(
    "sengol_model_cost_dollars_total", "What models cost by their list prices, where these are known.", "model"
)
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


class Tokens(Protocol):
    """Tokens of requests and answers."""

    @property
    def input_tokens(self) -> int:
        """Of the requests."""
        ...

    @property
    def output_tokens(self) -> int:
        """Of the answers."""
        ...

    @property
    def cached_tokens(self) -> int:
        """Of those of the requests that the provider had in its own cache."""
        ...


class OfModel(Protocol):
    """What one model was asked for; ``cost`` in US dollars, None when its price is not known."""

    @property
    def usage(self) -> Tokens:
        """Tokens."""
        ...

    @property
    def cost(self) -> float | None:
        """US dollars."""
        ...


class OfClient(Protocol):
    """What a client of models has counted."""

    @property
    def requests(self) -> int:
        """Sent to a provider."""
        ...

    @property
    def errors(self) -> Mapping[str, int]:
        """Those that failed, by a word for the reason."""
        ...

    @property
    def maybe_billed(self) -> int:
        """Those whose answer never came in full."""
        ...

    @property
    def models(self) -> Mapping[str, OfModel]:
        """The rest by model."""
        ...


class Usage:
    """What models took, read from who counts it when somebody asks: ``usage.follow(client.get_stats)``."""

    def __init__(self) -> None:
        self._clients: list[Callable[[], OfClient]] = []

    def follow(self, statistics: Callable[[], OfClient]) -> None:
        """Show what a client of models counts, from now on."""
        self._clients.append(statistics)

    def collect(self) -> Iterator[Sample]:
        """The samples now."""
        for statistics in self._clients:
            told = statistics()
            yield _REQUESTS, (), float(told.requests)
            yield _MAYBE_BILLED, (), float(told.maybe_billed)
            yield from ((_ERRORS, (reason,), float(count)) for reason, count in told.errors.items())
            for model, each in told.models.items():
                for kind in ("input", "output", "cached"):
                    yield _TOKENS, (model, kind), float(getattr(each.usage, f"{kind}_tokens"))
                if each.cost is not None:
                    yield _COST, (model,), each.cost


def log_samples() -> Iterator[Sample]:
    """Lines that were logged, and those that were lost."""
    for sink in sinks():
        for level, counter in sink.counted.items():
            yield _LINES, (level,), float(counter.value)
        yield _LOST, (), float(sink.lost.value)
