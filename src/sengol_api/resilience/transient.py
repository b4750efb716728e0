"""Which errors are worth another try, by their type and what they carry; never by words in a message."""

import asyncio
import errno
import socket
from collections.abc import Callable

from sengol_api.resilience.errors import Rejected
from sengol_api.resilience.options import Allowed, is_plain

ErrorPredicate = Callable[[BaseException], bool]
ErrorTypes = type[BaseException] | tuple[type[BaseException], ...] | ErrorPredicate
"""One exception type, several, or a function that takes the error."""

_PASSING = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EAGAIN}


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed a little later.

    In this order: an error that says so itself (a ``retryable`` that is true or false); one that carries a wait (``retry_after``
    that is not None); connection errors, timeouts, a stream that ended early, an unreachable network, a name server that could
    not answer for now.
    """
    says = getattr(error, "retryable", None)
    if isinstance(says, bool):
        return says
    if getattr(error, "retry_after", None) is not None:
        return True
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, Rejected):
        return False
    if isinstance(error, ConnectionError | TimeoutError | asyncio.IncompleteReadError):
        return True
    return isinstance(error, OSError) and error.errno in _PASSING


def is_failure(error: BaseException) -> bool:
    """Whether an error speaks against the health of what was called: all do, but those whose ``counts_as_failure`` is false.

    An answer that blames the request (HTTP 4xx) shows a healthy server; a client sets the attribute on such errors.
    """
    return getattr(error, "counts_as_failure", True) is not False


def by_attribute(attribute: str, values: frozenset[int] | set[int] | range, *also: type[BaseException]) -> ErrorPredicate:
    """A classification by a number that errors carry.

    ``by_attribute("status_code", {408, 429, *range(500, 600)}, ConnectionError, TimeoutError)`` takes an HTTP client's errors
    with one of these codes, and the given types.
    """
    return lambda error: isinstance(error, also) or getattr(error, attribute, None) in values


def as_predicate(errors: ErrorTypes) -> ErrorPredicate:
    """One function for the three ways in which errors may be named."""
    if isinstance(errors, type | tuple):
        return lambda error: isinstance(error, errors)
    return errors


ERRORS = Allowed(
    "an exception type, a tuple of them, or a plain function of the error",
    lambda value: (
        issubclass(value, BaseException)
        if isinstance(value, type)
        else is_plain(value)
        or (isinstance(value, tuple) and all(isinstance(each, type) and issubclass(each, BaseException) for each in value))
    ),
)
"""What an option takes that names errors."""
