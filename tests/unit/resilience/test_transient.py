"""Which errors are worth another try, and which speak against a service."""

import asyncio
import errno
import socket

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, DeadlineExceeded, OptionsError, Rejected, Retry, TimedOut
from sengol_api.resilience.transient import as_predicate, by_attribute, is_failure, is_transient
from support.ids import stable


class SayingError(Exception):
    def __init__(self, **said):
        self.__dict__.update(said)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError(),
        ConnectionResetError(),
        BrokenPipeError(),
        TimeoutError(),
        TimedOut("upstream", "timeout", 1.0),
        asyncio.IncompleteReadError(b"", 3),
        OSError(errno.ETIMEDOUT, "timed out"),
        OSError(errno.EHOSTUNREACH, "no route"),
        OSError(errno.ENETUNREACH, "no network"),
        socket.gaierror(socket.EAI_AGAIN, "for now"),
        SayingError(retryable=True),
        SayingError(retry_after=3),
        SayingError(retry_after=0),
        CircuitOpen("upstream", "circuit_breaker", 3.0),
    ],
    ids=repr,
)
def test_what_may_pass_is_transient(error):
    assert is_transient(error) is True


@pytest.mark.parametrize(
    "error",
    [
        ValueError("connection timeout, please retry"),
        OSError(errno.ENOENT, "no file"),
        OSError("without a number"),
        socket.gaierror(socket.EAI_NONAME, "no such name"),
        SayingError(retryable=False, retry_after=3),
        SayingError(retryable="yes"),
        SayingError(retry_after=None),
        Rejected("upstream", "rate_limit"),
        CircuitOpen("upstream", "circuit_breaker"),
        DeadlineExceeded("upstream", "timeout"),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_what_will_not_pass_is_not_whatever_its_words_say(error):
    assert is_transient(error) is False


def test_an_error_of_the_network_that_says_that_it_is_final_is_believed():
    error = ConnectionError()
    error.retryable = False
    assert is_transient(error) is False


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ValueError(), True),
        (SayingError(counts_as_failure=True), True),
        (SayingError(counts_as_failure=None), True),
        (SayingError(counts_as_failure=False), False),
    ],
)
def test_every_error_is_a_failure_but_those_that_say_they_are_not(error, failure):
    assert is_failure(error) is failure


@pytest.mark.parametrize(
    ("error", "taken"),
    [
        (SayingError(status_code=503), True),
        (SayingError(status_code=429), True),
        (SayingError(status_code=404), False),
        (SayingError(), False),
        (ConnectionError(), True),
        (ValueError(), False),
    ],
)
def test_errors_are_classified_by_their_status(error, taken):
    assert by_attribute("status_code", {408, 429, *range(500, 600)}, ConnectionError)(error) is taken


def test_errors_are_named_by_a_type_several_or_a_function():
    assert as_predicate(OSError)(ConnectionError()) is True
    assert as_predicate((KeyError, OSError))(ValueError()) is False
    assert as_predicate(())(ValueError()) is False
    assert as_predicate(is_transient) is is_transient


async def asks_a_server(error):
    return False


@pytest.mark.parametrize("named", [int, 5, None, "TimeoutError", (OSError, int), (OSError, "x"), asks_a_server], ids=stable)
def test_what_names_no_errors_is_refused(named):
    with pytest.raises(OptionsError, match="it takes an exception type, a tuple of them, or a plain function of the error"):
        Retry(retry_on=named)
    with pytest.raises(OptionsError, match="it takes an exception type, a tuple of them, or a plain function of the error"):
        CircuitBreaker(failure_on=named)
