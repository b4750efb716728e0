"""What ``DvecdbClient`` makes of networks and servers at their worst: each search ends in time, right or with an error of ours."""

import asyncio
import uuid

import pytest

from sengol_api.adapters.dvecdb import AnswerTooLarge, DvecdbClient, DvecdbIndex, ServerUnavailable, UnusableAnswer
from sengol_api.adapters.dvecdb.lines import CACHE
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.ladder import LadderIndex
from sengol_api.resilience import CircuitBreaker, deadline
from sengol_api.review.errors import AppError
from sengol_api.review.errors import TimeoutError as TimeIsOver
from support.dvecdb.clients import exact, ids_of, options_for, records_of, unit
from support.dvecdb.fake import fake_dvecdb
from support.tcp_proxy import tcp_proxy
from support.tiny_http import TinyHttp

pytest_plugins = ["support.fixtures"]

ROWS = 60
IDS, VECTORS = ids_of(ROWS), unit(ROWS)
QUERIES = unit(8, seed=99)
RIGHT = [exact(VECTORS, query, IDS, 5) for query in QUERIES]
ENOUGH = 30.0  # seconds in which anything must have ended, on any machine

FAULTS = {
    "refuse": lambda proxy: proxy.refuse(),
    "hang": lambda proxy: proxy.hang(),
    "freeze answers": lambda proxy: proxy.freeze("to_client"),
    "drip": lambda proxy: proxy.drip(0.05, "to_client"),
    "cut in the head": lambda proxy: proxy.cut(20, "to_client"),
    "cut in the body": lambda proxy: proxy.cut(300, "to_client"),
    "cut with a reset": lambda proxy: proxy.cut(300, "to_client", reset=True),
    "reset": lambda proxy: proxy.reset(),
    "delay": lambda proxy: proxy.delay(3.0, "to_client"),
    "cut requests": lambda proxy: proxy.cut(30, "to_server"),
}


@pytest.fixture
def proxy(dvecdb):
    """Before the fake, then before the real server."""
    with tcp_proxy(dvecdb.port) as proxy:
        yield proxy


def client_of(server, **options):
    told = {
        "collection": f"c{uuid.uuid4().hex[:20]}",
        "timeout": 0.5,
        "max_retries": 0,
        "check_interval": 0.5,
        "breaker": CircuitBreaker(reset_timeout=0.3, max_probes=4),
        **options,
    }
    return DvecdbClient(options_for(server, **told), records=records_of(ROWS), cache=None)


@pytest.mark.parametrize("fault", FAULTS)
async def test_under_any_fault_of_the_network_a_search_ends_and_after_it_all_is_well_again(proxy, fault):
    embedded = ExactIndex(IDS, VECTORS)
    async with asyncio.timeout(2 * ENOUGH), client_of(proxy) as client:
        assert await client.ready(ENOUGH)
        index = LadderIndex(DvecdbIndex(client, embedded), embedded)
        FAULTS[fault](proxy)
        errors = []
        for query, right in zip(QUERIES, RIGHT, strict=True):
            (hits,) = await index.search(query[None, :], 5)
            assert [hit.id for hit in hits] == right
            try:
                assert [result.id for result in await client.search_by_vector(query, 5)] == right
            except AppError as error:
                errors.append(error)
        assert errors
        proxy.pass_on()
        while True:
            try:
                assert [result.id for result in await client.search_by_vector(QUERIES[0], 5)] == RIGHT[0]
                break
            except AppError:
                await asyncio.sleep(0.05)
        health = client.get_health_status()
        assert health["status"] in {"ok", "unavailable"}
        assert health["index"]["vectors"] == ROWS


@pytest.mark.parametrize("fault", ["hang", "drip", "freeze answers"])
async def test_a_caller_with_little_time_is_answered_in_it(proxy, fault):
    async with asyncio.timeout(2 * ENOUGH), client_of(proxy, timeout=20.0, breaker=CircuitBreaker()) as client:
        assert await client.ready(ENOUGH)
        FAULTS[fault](proxy)
        for _ in range(5):
            with pytest.raises(TimeIsOver), deadline(0.2):
                await client.search_by_vector(QUERIES[0])
        assert client.get_health_status()["circuitBreaker"]["state"] == "OPEN"


async def test_a_build_through_a_bad_network_comes_to_its_end(proxy):
    async with asyncio.timeout(2 * ENOUGH), client_of(proxy, insert_batch=10, max_retries=2) as client:
        for _ in range(4):
            await asyncio.sleep(0.1)
            proxy.reset_open()
        assert await client.ready(ENOUGH)
        assert [result.id for result in await client.search_by_vector(QUERIES[0], 5)] == RIGHT[0]


async def test_a_thousand_searches_that_are_cancelled_leave_no_connection_and_no_place_taken():
    with fake_dvecdb() as fake, tcp_proxy(fake.port) as proxy:
        async with client_of(proxy, timeout=20.0, max_concurrent=8) as client:
            assert await client.ready(ENOUGH)
            proxy.freeze("to_client")
            for _ in range(40):
                tasks = [asyncio.create_task(client.search_by_vector(query)) for query in [*QUERIES] * 3]
                await asyncio.sleep(0.005)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                assert all(task.cancelled() for task in tasks)
            proxy.pass_on()
            found = await asyncio.gather(*(client.search_by_vector(query, 5) for query in QUERIES))
            assert [[result.id for result in results] for results in found] == RIGHT
            assert client.get_health_status()["circuitBreaker"]["failureCount"] == 0
            assert len(asyncio.all_tasks()) <= 3


# Servers that are none ---------------------------------------------------------------------------------------------------


def answering(write):
    """A server that writes what it likes for searches, and is a d-vecDB otherwise."""
    fake = fake_dvecdb()

    class Bad:
        def __enter__(self):
            self.fake = fake.__enter__()

            def handle(request, connection):
                if request.path.endswith("/search"):
                    return write(connection)
                return self.fake.handle(request)

            self.http = TinyHttp(handle)
            return self.http

        def __exit__(self, *error):
            self.http.close()
            fake.__exit__(*error)

    return Bad()


def sends(*parts, pause=0.0, close=True):
    async def write(connection):
        for part in parts:
            connection.write(part)
            await asyncio.sleep(pause)
        if close:
            connection.close()

    return write


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


async def endless(connection):
    connection.write(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    while True:
        connection.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), ServerUnavailable),
        (sends(b"\x00" * 5000), ServerUnavailable),
        (sends(b""), ServerUnavailable),
        (sends(HEAD + b"content-length: 500\r\n\r\n{"), ServerUnavailable),
        (sends(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), ServerUnavailable),
        (sends(b"HTTP/1.1 200 OK\r\n" + b"x-much: " + b"y" * 300_000 + b"\r\n\r\n"), ServerUnavailable),
        (sends(HEAD + b"content-length: 10000000\r\n\r\n" + b" " * 10_000_000), AnswerTooLarge),
        (sends(HEAD + b"\r\n" + b" " * 10_000_000), AnswerTooLarge),
        (endless, AnswerTooLarge),
        (sends(HEAD + b"content-length: 20\r\n\r\n", *[b" "] * 20, pause=0.2, close=False), ServerUnavailable),
        (sends(*[bytes([byte]) for byte in HEAD[:30]], pause=0.2, close=False), ServerUnavailable),
        (sends(HEAD + b"content-length: 15\r\n\r\n<html>ok</html>"), UnusableAnswer),
        (sends(b"HTTP/1.0 200 OK\r\n\r\n<html>ok</html>"), UnusableAnswer),
        (sends(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), ServerUnavailable),
    ],
    ids=[
        "another protocol",
        "noughts",
        "nothing",
        "cut short",
        "bad chunks",
        "a long header",
        "ten megabytes announced",
        "ten megabytes unannounced",
        "endless",
        "a dripping body",
        "a dripping head",
        "html",
        "http 1.0",
        "another protocol still",
    ],
)
async def test_what_is_no_answer_is_told_as_such_and_never_read_for_ever(write, kind):
    with answering(write) as server:
        async with asyncio.timeout(ENOUGH), client_of(server, breaker=CircuitBreaker()) as client:
            assert await client.ready(ENOUGH)
            with pytest.raises(kind) as caught:
                await client.search_by_vector(QUERIES[0])
            assert type(caught.value) is kind
            assert client.get_health_status()["circuitBreaker"]["failureCount"] == 1


async def test_a_cached_answer_is_not_harmed_by_a_server_gone_mad():
    good = fake_dvecdb()
    with good as fake, tcp_proxy(fake.port) as proxy:
        client = DvecdbClient(options_for(proxy, timeout=0.5, max_retries=0), records=records_of(ROWS), cache=CACHE)
        async with client:
            assert await client.ready(ENOUGH)
            kept = await client.search_by_vector(QUERIES[0], 5)
            proxy.refuse()
            assert await client.search_by_vector(QUERIES[0], 5) == kept
