"""What goes wrong has a type, a cause and a next step, and never a word of a query, a vector or a server."""

import asyncio
import json
import logging
from itertools import pairwise

import httpx2
import pytest

from sengol_api.adapters.dvecdb import (
    AnswerTooLarge,
    Busy,
    DvecdbClient,
    DvecdbError,
    RequestRefused,
    ServerUnavailable,
    UnusableAnswer,
)
from sengol_api.resilience import CircuitBreaker, attempts_of, deadline
from sengol_api.review.errors import AppError, CircuitBreakerError, TimeoutError, VectorDBError  # noqa: A004
from support.dvecdb.clients import options_for, records_of, unit, virtually
from support.dvecdb.in_memory import answering, hanging, only, refusing
from support.tiny_http import Reply

QUERY = unit(1, seed=99)[0]
SECRET = "s3cr3t-words-of-the-server"
STEADY = {"breaker": CircuitBreaker(), "check_interval": 1e6}


def failing(fault, kind, *, requests, says=None, **more):
    """A search under a fault raises an error of a kind after so many requests."""

    async def work(s):
        s.server.fault = only("/search", fault)
        with pytest.raises(kind, match=says) as caught:
            await s.client.search_by_vector(QUERY)
        assert type(caught.value) is kind
        assert s.server.count("POST", "/search") == requests
        assert_quiet(caught.value)

    virtually(work, options=STEADY, **more)


def assert_quiet(error):
    seen = []
    while error is not None:
        assert SECRET not in f"{error!s} {error!r} {getattr(error, 'metadata', '')}"
        assert str(QUERY[0])[:8] not in f"{error!s} {error!r}"
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def body(value):
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("reply", "kind", "requests"),
    [
        (Reply(200, b"<html>" + SECRET.encode(), "text/html"), UnusableAnswer, 4),
        (Reply(200, b""), UnusableAnswer, 4),
        (Reply(200, b'{"success":true,"data":[{"id":"'), UnusableAnswer, 4),
        (Reply(200, b"null"), UnusableAnswer, 4),
        (Reply(200, b"[]"), UnusableAnswer, 4),
        (Reply(200, b"\xff\xfe\x00"), UnusableAnswer, 4),
        (Reply(200, b'{"success":true,"data":null,"error":null}'), UnusableAnswer, 4),
        (Reply(200, b'{"success":true,"data":[{"id":1,"distance":0}],"error":null}'), UnusableAnswer, 4),
        (Reply(200, b'{"success":true,"data":[{"id":"x","distance":NaN}],"error":null}'), UnusableAnswer, 4),
        (Reply(200, b'{"success":"yes","data":[],"error":null}'), UnusableAnswer, 4),
        (Reply(200, b'{"success":true,"data":' + b"[" * 3000), UnusableAnswer, 4),
        (Reply(200, b'{"success":true}', headers={"content-encoding": "gzip"}), UnusableAnswer, 4),
        (Reply(204), UnusableAnswer, 4),
        (Reply(302, headers={"location": "http://elsewhere"}), UnusableAnswer, 4),
        (Reply(500, SECRET.encode(), "text/plain"), ServerUnavailable, 4),
        (Reply(503), ServerUnavailable, 4),
        (Reply(408), ServerUnavailable, 4),
        (Reply(429), ServerUnavailable, 4),
        (Reply(400), RequestRefused, 1),
        (Reply(401, SECRET.encode()), RequestRefused, 1),
        (Reply(403), RequestRefused, 1),
        (Reply(404), RequestRefused, 1),
        (Reply(413), RequestRefused, 1),
        (Reply(422, SECRET.encode(), "text/plain"), RequestRefused, 1),
        (Reply(200, body({"success": False, "data": None, "error": SECRET})), RequestRefused, 1),
        (Reply(200, body({"success": False, "data": None, "error": None})), RequestRefused, 1),
        (Reply(200, b'{"success":true,"data":"' + b"x" * 10_000_000 + b'"}'), AnswerTooLarge, 1),
    ],
    ids=lambda value: f"{value.status} {value.body[:30]!r}" if isinstance(value, Reply) else str(value),
)
def test_every_wrong_answer_has_its_error_and_is_tried_again_where_that_can_help(reply, kind, requests):
    failing(answering(reply), kind, requests=requests)


def test_a_refused_dimension_is_told_in_numbers_and_never_counts_against_the_server():
    said = body({"success": False, "data": None, "error": "Invalid vector dimension: expected 3, got 8"})

    async def work(s):
        s.server.fault = only("/search", answering(Reply(200, said)))
        for _ in range(20):
            with pytest.raises(RequestRefused, match=r"vectors of 3 numbers in this collection, and was sent 8"):
                await s.client.search_by_vector(QUERY)
        assert s.server.count("POST", "/search") == 20
        assert s.client.get_health_status()["circuitBreaker"]["state"] == "CLOSED"

    virtually(work, options=STEADY)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (httpx2.ConnectError(SECRET), "cannot be reached"),
        (httpx2.ReadError(SECRET), "broke"),
        (httpx2.WriteError(SECRET), "broke"),
        (httpx2.RemoteProtocolError(SECRET), "ended before its answer"),
        (httpx2.LocalProtocolError(SECRET), "broke"),
        (httpx2.PoolTimeout(SECRET), "broke"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_trouble_with_the_connection_is_the_servers_and_is_tried_again(error, says):
    async def fail(_):
        raise error

    failing(fail, ServerUnavailable, requests=4, says=says)


def test_an_error_bears_its_attempts():
    async def work(s):
        s.server.fault = only("/search", refusing)
        with pytest.raises(ServerUnavailable) as caught:
            await s.client.search_by_vector(QUERY)
        assert [attempt.number for attempt in attempts_of(caught.value)] == [1, 2, 3, 4]

    virtually(work, options=STEADY)


def test_a_server_that_says_when_to_come_again_is_not_asked_before():
    times = []

    async def later(_):
        times.append(asyncio.get_running_loop().time())
        return Reply(503, headers={"retry-after": "7"})

    async def work(s):
        s.server.fault = only("/search", later)
        with pytest.raises(ServerUnavailable) as caught:
            await s.client.search_by_vector(QUERY)
        assert caught.value.retry_after == 7
        assert all(after - before >= 7 for before, after in pairwise(times))

    virtually(work, options=STEADY)


def test_an_attempt_that_is_too_slow_is_cut_by_its_total_time():
    async def work(s):
        s.server.fault = only("/search", hanging)
        began = s.loop.time()
        with pytest.raises(ServerUnavailable, match=r"within 30 s"):
            await s.client.search_by_vector(QUERY, max_retries=0)
        assert s.loop.time() - began == pytest.approx(30, rel=0.02)

    virtually(work, options=STEADY)


def test_five_failures_open_the_breaker_which_says_when_it_will_try_again():
    async def work(s):
        s.server.fault = only("/search", refusing)
        for _ in range(5):
            with pytest.raises(ServerUnavailable):
                await s.client.search_by_vector(QUERY, max_retries=0)
        with pytest.raises(CircuitBreakerError, match="open") as caught:
            await s.client.search_by_vector(QUERY)
        assert caught.value.retry_after == pytest.approx(60, abs=1)
        assert s.client.get_health_status()["status"] == "unavailable"
        assert s.server.count("POST", "/search") == 5

    virtually(work, options=STEADY)


def test_the_callers_deadline_is_told_as_such():
    async def work(s):
        s.server.fault = only("/search", hanging)
        with pytest.raises(TimeoutError, match="time of the request"), deadline(1.0, clock=s.loop):
            await s.client.search_by_vector(QUERY)
        with pytest.raises(TimeoutError, match="before d-vecDB could be asked"), deadline(0.0, clock=s.loop):
            await s.client.search_by_vector(QUERY)

    virtually(work, options=STEADY)


def test_more_searches_than_may_wait_are_refused_at_once():
    async def work(s):
        s.server.seconds = 1.0
        tasks = [asyncio.create_task(s.client.search_by_vector(unit(1, seed=n)[0])) for n in range(6)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in results] == [list] * 4 + [Busy] * 2

    virtually(work, options={**STEADY, "max_concurrent": 2, "max_queue": 2})


def test_every_error_of_ours_is_one_of_the_services_and_no_raw_one_leaks():
    assert issubclass(DvecdbError, VectorDBError)
    assert issubclass(VectorDBError, AppError)
    assert DvecdbError.code == "VECTORDB_ERROR"


def test_nothing_of_ours_shows_a_vector_a_query_or_a_servers_words(caplog):
    async def work(s):
        for fault in (refusing, answering(Reply(500, SECRET.encode())), answering(Reply(200, SECRET.encode()))):
            s.server.fault = fault
            with pytest.raises(AppError) as caught:
                await s.client.search_by_text(f"patients of {SECRET}")
            assert_quiet(caught.value)
            await s.loop.sleep(40)
        shown = f"{s.client!r} {s.client.options!r} {s.client.get_health_status()}"
        assert SECRET not in shown

    with caplog.at_level(logging.DEBUG):
        virtually(work)
    assert SECRET not in caplog.text


def test_a_client_shows_where_it_leads():
    client = DvecdbClient(options_for(host="10.0.0.7", port=8123), records=records_of(1))
    assert repr(client) == "DvecdbClient(10.0.0.7:8123, collection='incidents', dimension=8)"
