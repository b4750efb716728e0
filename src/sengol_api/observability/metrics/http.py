"""Requests as metrics."""

from collections.abc import Iterator
from typing import Final

from sengol_api.observability.metrics.instruments import Count, Distribution, Observations
from sengol_api.observability.metrics.model import CATALOGUE, Sample
from sengol_api.resilience.counter import Counter

NO_ROUTE: Final = "(none)"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_OTHER: Final = "other"

_REQUESTS: Final = CATALOGUE.counter(
    "sengol_http_requests_total",
    "Requests by the class of their status; none: the client was gone before an answer began.",
    "method",
    "route",
    "status",
)
_SECONDS: Final = CATALOGUE.histogram(
    "sengol_http_request_duration_seconds", "Time from a request's headers to the end of its answer.", "method", "route"
)
_IN_FLIGHT: Final = CATALOGUE.gauge("sengol_http_requests_in_flight", "Requests that are being answered.")
_ERRORS: Final = CATALOGUE.counter("sengol_http_errors_total", "Errors by the code of their answer.", "code")

_CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


def method_label(method: str) -> str:
    """A method as it may stand in a label or a log: a client can send any word."""
    return method if method in _METHODS else _OTHER


class HttpRequests:
    """Requests that began and ended. Labels are bounded: a route is a template, and what is in no table is one label."""

    def __init__(self) -> None:
        self._begun = Counter()
        self._ended = Counter()
        self.begin = self._begun.add
        """Counts a request that begins. Bound to the counter itself: it is called with every request."""
        self._requests = Count(_REQUESTS)
        self._seconds = Distribution(_SECONDS)
        self._errors = Count(_ERRORS)
        self._series: dict[tuple[str, str], Observations] = {}

    def end(self, method: str, route: str, status: int, seconds: float, code: str | None = None) -> None:
        """Count a request that ended.

        Args:
            method: of the request.
            route: the template of its path.
            status: of the answer; 0 when none began.
            seconds: that it took.
            code: of the error that it was answered with.
        """
        self._ended.add()
        method = method_label(method)
        series = self._series.get((method, route))
        if series is None:
            series = self._series[method, route] = self._seconds.series(method, route)
        series.observe(seconds)
        self._requests.add(method, route, _CLASSES[status // 100] if 0 < status < 600 else "none")
        if code is not None:
            self._errors.add(code)

    def collect(self) -> Iterator[Sample]:
        """The samples now."""
        yield from self._requests.collect()
        yield from self._seconds.collect()
        yield from self._errors.collect()
        yield _IN_FLIGHT, (), float(max(0, self._begun.value - self._ended.value))
