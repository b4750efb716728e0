"""What a search raises: an error that says which database, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from sengol_api.resilience import CircuitOpen, DeadlineExceeded, Rejected, TimedOut
from sengol_api.review.errors import (
    CircuitBreakerError,
    DatabaseError,
    TimeoutError,  # noqa: A004 - the guide's name
    VectorDBError,
)

_CANCELLED = "57014"
_NO_TABLE = "42P01"


@contextmanager
def translated(shown_url: str) -> Iterator[None]:
    """What the database and the policies raise becomes what callers of an index know. The cause stays attached."""
    try:
        yield
    except CircuitOpen as error:
        raise CircuitBreakerError(
            "The circuit breaker of the search in PostgreSQL is open.", retry_after=error.retry_after
        ) from error
    except DeadlineExceeded as error:
        raise TimeoutError("The time of the request was over before PostgreSQL could be asked.") from error
    except Rejected as error:
        raise VectorDBError("Too many searches in PostgreSQL are under way.", retry_after=error.retry_after) from error
    except TimedOut as error:
        if error.by_deadline:
            raise TimeoutError("The time of the request was over before PostgreSQL had answered.") from error
        raise VectorDBError(f"PostgreSQL ({shown_url}) did not answer a search within {error.limit:g} s.") from error


@contextmanager
def failures(shown_url: str) -> Iterator[None]:
    """What the database raises becomes an error of the index, which says what to do."""
    try:
        yield
    except DatabaseError as error:
        state = getattr(getattr(error.__cause__, "orig", None), "sqlstate", None)
        if state == _CANCELLED:
            what = (
                "stopped a search that took too long. It may be overloaded, or its vectors not be in memory: raise shared_buffers."
            )
        elif state == _NO_TABLE:
            what = "has lost the table of the vectors. Restart the service: it makes the table anew from what is stored."
        else:
            what = "cannot be searched. See that it runs and can be reached; the search heals by itself when it does."
        raise VectorDBError(f"PostgreSQL ({shown_url}) {what}", error.metadata) from error
