"""What the client raises.

::

    review.errors.VectorDBError
    └── DvecdbError
        ├── ServerUnavailable         no connection, it broke, no answer in time, 5xx, 408, 429: tried again, and counted
        ├── UnusableAnswer            an answer that is none of d-vecDB's: HTML, empty, cut short, another shape
        │   └── AnswerTooLarge        more bytes than any right answer has
        ├── RequestRefused            d-vecDB or a gateway says no: never tried again, does not count against the server
        │   ├── CollectionMissing     d-vecDB has no such collection (any more)
        │   └── CollectionExists      it was made by somebody else a moment ago
        ├── IndexNotReady             the index cannot serve yet: the server was not reached, or
        │   └── IndexRebuilding       it is being built from the records
        ├── Busy                      too many searches at once; this one was not sent
        ├── EmbeddingFailed           the embedder had no vector for the text
        └── InvalidVector             (also a ValueError) a vector of another dimension, or with a value that is not finite
    review.errors.CircuitBreakerError     the breaker is open; carries ``retry_after``
    review.errors.TimeoutError            the caller's own deadline is over

A message never holds a vector, a query, or a word that the server said: all three can be somebody's secret.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sengol_api.resilience import CircuitOpen, DeadlineExceeded, Rejected, TimedOut
from sengol_api.review.errors import CircuitBreakerError, TimeoutError, VectorDBError  # noqa: A004 - the guide's name


class DvecdbError(VectorDBError):
    """Something went wrong between a caller and d-vecDB.

    Attributes:
        retryable: whether the same request may succeed a little later.
        counts_as_failure: whether it speaks against the server's health; a circuit breaker asks.
    """

    retryable = False
    counts_as_failure = True


class ServerUnavailable(DvecdbError):
    """The server did not serve."""

    retryable = True


class UnusableAnswer(DvecdbError):
    """What answered is not a d-vecDB, or it broke off in the middle of its answer."""

    retryable = True


class AnswerTooLarge(UnusableAnswer):
    """The answer is longer than any right one; the rest was not read."""

    retryable = False


class RequestRefused(DvecdbError):
    """The request was understood and refused."""

    counts_as_failure = False


class CollectionMissing(RequestRefused):
    """The collection is not there."""


class CollectionExists(RequestRefused):
    """The collection is there already."""


class IndexNotReady(DvecdbError):
    """The index cannot serve yet; nothing was sent."""

    counts_as_failure = False


class IndexRebuilding(IndexNotReady):
    """The index is being built from the records."""


class Busy(DvecdbError):
    """The client has as many calls under way and waiting as it may."""

    counts_as_failure = False


class EmbeddingFailed(DvecdbError):
    """There is no vector of the text, so nothing was sent. The embedder's own error is the cause."""

    counts_as_failure = False


class InvalidVector(DvecdbError, ValueError):
    """A vector that the index cannot have; nothing was sent."""

    counts_as_failure = False


@contextmanager
def translated() -> Iterator[None]:
    """The one seam: what the policies raise becomes what callers of the client know. The cause stays attached."""
    try:
        yield
    except CircuitOpen as error:
        raise CircuitBreakerError(
            "The circuit breaker of d-vecDB is open.", _facts(error), retry_after=error.retry_after
        ) from error
    except DeadlineExceeded as error:
        raise TimeoutError("The time of the request was over before d-vecDB could be asked.", _facts(error)) from error
    except Rejected as error:
        raise Busy("Too many calls to d-vecDB are under way.", _facts(error), retry_after=error.retry_after) from error
    except TimedOut as error:
        if error.by_deadline:
            raise TimeoutError("The time of the request was over before d-vecDB had answered.", _facts(error)) from error
        raise ServerUnavailable(f"d-vecDB did not answer within {error.limit:g} s.", _facts(error)) from error


def _facts(error: Rejected | TimedOut) -> dict[str, Any]:
    return {"pipeline": error.name, "policy": error.policy}
