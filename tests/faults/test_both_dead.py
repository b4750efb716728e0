"""The model and d-vecDB both dead: every review is answered, right, in time and labelled, and hardly anything is sent to them."""

import pytest

from faults.conftest import a_request
from sengol_api.resilience import deadline
from support.dvecdb.fake import fake_dvecdb
from support.openai_taxonomy import CHAT
from support.service_process import free_ports
from support.tiny_http import Reply, TinyHttp

HTML = b"<html><body>Bad gateway sk-canary</body></html>"
PATIENT = 4.0
"""Seconds that a review may take: enough for the work on a busy machine, and much less than a dead upstream would take."""


class Dead:
    """Two upstreams that fail in one way."""

    def __init__(self, openai, vectors_port) -> None:
        self.openai = openai
        self.settings = {
            "OPENAI_API_KEY": "sk-canary",
            "OPENAI_BASE_URL": openai.base_url if openai else f"http://127.0.0.1:{free_ports(1)[0]}/v1",
            "OPENAI_MAX_RETRIES": 1,
            "EMBEDDINGS": "local",
            "VECTOR_INDEX": "dvecdb",
            "DVECDB_HOST": "127.0.0.1",
            "DVECDB_PORT": vectors_port,
            "DVECDB_MAX_RETRIES": 1,
            "CIRCUIT_BREAKER_FAILURE_THRESHOLD": 3,
        }

    @property
    def sent(self) -> int:
        """Requests that reached the model's server."""
        return self.openai.count() if self.openai else 0


@pytest.fixture(params=["refused", "silent", "drip", "server_error", "insufficient_quota", "html"])
def dead(request, openai, proxied):
    """Upstreams that fail in this way, whatever is asked."""
    way = request.param
    if way == "refused":
        yield Dead(None, free_ports(1)[0])
    elif way in {"silent", "drip"}:
        openai.always(way)
        with fake_dvecdb() as server:
            proxy = proxied(server.port)
            proxy.hang() if way == "silent" else proxy.drip(5.0)
            yield Dead(openai, proxy.port)
    else:
        openai.always(way)
        answer = Reply(200 if way == "html" else 500, HTML, "text/html")
        server = TinyHttp(lambda *_: answer, name="dead-dvecdb")
        yield Dead(openai, server.port)
        server.close()


async def test_every_review_is_answered_right_in_time_and_labelled(dead, service):
    async with service(EMBEDDINGS="local") as offline:
        healthy = [(await offline.generate(a_request(number))).generated for number in range(3)]
    async with service(**dead.settings) as services:
        for number, due in enumerate(healthy):
            with deadline(PATIENT):  # raises when the answer is not there in time
                made = (await services.generate(a_request(number))).generated
            assert made.questions == due.questions
            assert made.summary == due.summary
            rungs = {(each.dependency, each.served) for each in made.degraded}
            assert rungs == {("model", "evidence"), ("search", "embedded")} or rungs == {("review", "evidence")}, made.degraded
            assert all(each.reason and "canary" not in each.reason for each in made.degraded)


async def test_after_a_few_reviews_nothing_is_sent_any_more(dead, service):
    async with service(**dead.settings) as services:
        for number in range(12):
            with deadline(PATIENT):
                outcome = await services.generate(a_request(number))
            if outcome.upstream_calls == 0:
                break
        before = dead.sent
        for number in range(100, 112):
            with deadline(PATIENT):
                outcome = await services.generate(a_request(number))
            assert outcome.upstream_calls == 0, {name: each.snapshot() for name, each in services.registry.breakers().items()}
            assert {each.dependency for each in outcome.generated.degraded} == {"model", "search"}
        assert dead.sent == before


async def test_a_used_up_quota_is_asked_once_in_a_cool_down(openai, service):
    openai.always("insufficient_quota")
    settings = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": openai.base_url, "EMBEDDINGS": "local"}
    async with service(**settings) as services:
        for number in range(5):
            made = (await services.generate(a_request(number))).generated
            assert made.questions
    assert openai.count(CHAT) == 1
