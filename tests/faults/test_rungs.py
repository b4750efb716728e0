"""The rungs of each ladder in the wired service, over real sockets: fresh, kept, stale, the one in this process, and back."""

import asyncio
import itertools

import pytest

from faults.conftest import a_request
from sengol_api.resilience import deadline
from support.dvecdb.fake import fake_dvecdb
from support.openai_taxonomy import CHAT, EMBEDDINGS
from support.patience import eventually

pytest_plugins = ["support.fixtures"]


def with_model(openai, **more):
    return {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": openai.base_url, "OPENAI_MAX_RETRIES": 0, "EMBEDDINGS": "local", **more}


def served(outcome):
    return dict(outcome.generated.served)


def shown(outcome):
    """What a reader sees of the evidence; the cosines of two indexes differ in the seventh digit."""
    return [
        (q.id, round(q.final_weight, 3), [match.incident.id for match in q.related], round(q.evidence.similarity, 3))
        for q in outcome.generated.questions
    ]


async def test_the_model_serves_fresh_then_cached_then_stale_then_evidence(openai, service):
    settings = with_model(openai, CACHE_TTL=1, CACHE_MODEL_TTL=3, CIRCUIT_BREAKER_FAILURE_THRESHOLD=2)
    async with service(**settings) as services:
        first = await services.generate(a_request())
        assert served(first)["model"] == ("fresh",)
        assert (first.generated.model, first.upstream_calls) == ("gpt-4o", 3)
        assert {q.generated_from for q in first.generated.questions} >= {"hybrid", "evidence"}
        again = await services.generate(a_request())
        assert (again.cache, again.upstream_calls, openai.count(CHAT)) == ("hit", 0, 3)

        await asyncio.sleep(1.1)  # the whole answer is past its time; what the model said is not
        kept = await services.generate(a_request())
        assert (served(kept)["model"], kept.generated.degraded, openai.count(CHAT)) == (("cached",), (), 3)

        openai.always("server_error")
        await asyncio.sleep(3)
        other = await services.generate(a_request(1))
        assert served(other)["model"] == ("evidence",)
        assert {q.generated_from for q in other.generated.questions} == {"evidence"}
        sent = openai.count(CHAT)
        unasked = await services.generate(a_request(2))
        assert {d.reason.partition(": ")[2] for d in unasked.generated.degraded} == {"its circuit breaker is open"}
        stale = await services.generate(a_request())
        assert served(stale)["model"] == ("stale",)
        assert {d.served for d in stale.generated.degraded} == {"stale"}
        assert stale.generated.questions == kept.generated.questions == first.generated.questions
        assert openai.count(CHAT) == sent, "nothing is sent while the circuit is open"


async def test_what_the_model_told_another_replica_serves_while_the_circuit_is_open(openai, service, empty_valkey):
    settings = with_model(openai, REDIS_URL=empty_valkey.url, CIRCUIT_BREAKER_FAILURE_THRESHOLD=1)
    async with service(**settings) as one, service(**settings) as other:
        first = await one.generate(a_request())
        openai.always("server_error")
        assert served(await other.generate(a_request(1)))["model"] == ("evidence",)
        sent = openai.count(CHAT)

        async def served_from_there():
            found = await other.generate(a_request(), skip_cache=False)
            return served(found)["model"] == ("cached",) and found.generated.questions == first.generated.questions

        await eventually(served_from_there)
        assert openai.count(CHAT) == sent


async def test_weights_and_counts_are_the_same_with_a_model_as_without(openai, service):
    async with service(EMBEDDINGS="local") as offline:
        due = {q.id: q for q in (await offline.generate(a_request())).generated.questions}
    async with service(**with_model(openai)) as services:
        made = {q.id: q for q in (await services.generate(a_request())).generated.questions}
    common = due.keys() & made.keys()
    assert len(common) >= 0.9 * len(due)
    for key in common:
        for field in ("base_weight", "evidence_weight", "industry_weight", "final_weight", "regulations", "evidence", "related"):
            assert getattr(made[key], field) == getattr(due[key], field), (key, field)


async def test_fifty_who_ask_the_same_at_once_are_one_set_of_requests(openai, service):
    async with service(**with_model(openai)) as services:
        outcomes = await asyncio.gather(*(services.generate(a_request()) for _ in range(50)))
    assert openai.count(CHAT) == 3
    assert sum(outcome.upstream_calls for outcome in outcomes) == 3


async def test_the_service_comes_back_to_the_model_by_itself(openai, service):
    openai.always("server_error")
    async with service(**with_model(openai, CIRCUIT_BREAKER_TIMEOUT=300, CIRCUIT_BREAKER_FAILURE_THRESHOLD=1)) as services:
        assert served(await services.generate(a_request()))["model"] == ("evidence",)
        openai.heal()

        async def healed():
            return "fresh" in served(await services.generate(a_request(), skip_cache=True))["model"]

        await eventually(healed)


async def test_vectors_of_the_provider_are_made_once_and_then_preferred(openai, service, data_dir):
    settings = with_model(openai, EMBEDDINGS="openai", OPENAI_EMBEDDING_DIMENSIONS=64, OPENAI_MODEL="none")
    async with service(**settings) as services:
        first = await services.generate(a_request())
        assert served(first)["embeddings"] in {("local",), ("fresh",)}

        async def preferred():
            return served(await services.generate(a_request(), skip_cache=True))["embeddings"] == ("fresh",)

        await eventually(preferred, patience=60)
        openai.always("server_error", path=EMBEDDINGS)
        away = await services.generate(a_request(7))
        assert [(d.dependency, d.served) for d in away.generated.degraded] == [("embeddings", "local")]
    async with service(**settings) as offline_again:
        assert (await offline_again.generate(a_request(8))).generated.questions == (
            await offline_again.generate(a_request(8), skip_cache=True)
        ).generated.questions
    assert openai.count(CHAT) == 0
    openai.heal()
    openai.forget()
    async with service(**settings) as again:

        async def at_once():
            return served(await again.generate(a_request(), skip_cache=True))["embeddings"] == ("fresh",)

        await eventually(at_once, patience=60)
        inputs = [seen.body["input"] for seen in openai.requests if seen.path == EMBEDDINGS]
        assert max(map(len, inputs), default=0) < 500, "the incidents were embedded a second time"


# When one search of a batch is refused the others are cancelled, and the HTTP library leaves a connection that is cancelled in the
# moment it comes about to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("way", ["refuse", "hang"])
async def test_d_vecdb_serves_until_it_is_gone_and_again_when_it_is_back(way, proxied, service):
    with fake_dvecdb() as server:
        proxy = proxied(server.port)
        settings = {
            "VECTOR_INDEX": "dvecdb",
            "DVECDB_HOST": "127.0.0.1",
            "DVECDB_PORT": proxy.port,
            "DVECDB_MAX_RETRIES": 0,
            "CIRCUIT_BREAKER_TIMEOUT": 500,
            "CACHE_ENABLED": "false",
        }
        async with service(**settings) as services:

            async def by_the_server():
                with deadline(10.0):
                    return served(await services.generate(a_request()))["search"] == ("fresh",)

            await eventually(by_the_server, patience=60)
            with deadline(10.0):
                healthy = shown(await services.generate(a_request()))
            getattr(proxy, way)()
            for _ in range(8):
                with deadline(3.0):
                    outcome = await services.generate(a_request())
                assert [(d.dependency, d.served) for d in outcome.generated.degraded] == [("search", "embedded")]
                assert shown(outcome) == healthy
            proxy.pass_on()
            await eventually(by_the_server, patience=60)


async def test_with_every_dependency_at_once_two_replicas_answer_and_share_what_one_learns(openai, service, valkey, proxied):
    with fake_dvecdb() as server:
        proxy = proxied(server.port)
        settings = with_model(
            openai,
            REDIS_URL=valkey.url,
            VECTOR_INDEX="dvecdb",
            DVECDB_HOST="127.0.0.1",
            DVECDB_PORT=proxy.port,
            DVECDB_MAX_RETRIES=0,
            CIRCUIT_BREAKER_FAILURE_THRESHOLD=3,
        )
        async with service(**settings) as one, service(**settings) as other:

            async def by_all(services):
                with deadline(10.0):
                    said = served(await services.generate(a_request(next(systems))))
                return (said["search"], said["model"]) == (("fresh",), ("fresh",))

            systems = itertools.count()
            await eventually(lambda: by_all(one), patience=60)
            await eventually(lambda: by_all(other), patience=60)
            proxy.refuse()
            while one.registry["dvecdb"]["circuit_breaker"].snapshot().state != "OPEN":
                await one.generate(a_request(next(systems)))

            async def open_there():
                return other.registry["dvecdb"]["circuit_breaker"].snapshot().state == "OPEN"

            await eventually(open_there, patience=5)  # nobody has asked the other one since
