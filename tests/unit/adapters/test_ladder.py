"""The rungs: who serves when the one above does not, and what is said of it."""

import asyncio

import numpy as np
import pytest

from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.ladder import LadderIndex, PatientEmbedder, PatientModel, reason_of
from sengol_api.resilience import CircuitBreaker, CircuitOpen, Pipeline, TimedOut, deadline
from sengol_api.resilience.testing import run_virtual
from sengol_api.review.errors import LLMError, VectorDBError
from sengol_api.review.ports import ModelTask
from sengol_api.review.provenance import Degradation, collect, note
from support.toys import BagOfWords

VECTORS = np.eye(3, dtype=np.float32)
EMBEDDED = ExactIndex(["a", "b", "c"], VECTORS)


class Server:
    """An index that does what a test says."""

    def __init__(self, answer) -> None:
        self._answer = answer

    def __len__(self) -> int:
        return 0

    async def search(self, queries, limit, allowed=None):
        return await self._answer()

    async def compare(self, queries, ids):
        raise AssertionError("a server is not asked to compare")


def raising(error):
    async def fail():
        raise error

    return fail


async def test_the_server_serves_while_it_can():
    async def answer():
        note("search", "fresh")
        return [["its hits"]]

    with collect() as provenance:
        assert await LadderIndex(Server(answer), EMBEDDED).search(VECTORS[:1], 1) == [["its hits"]]
    assert (provenance.degraded, provenance.served) == ((), (("search", ("fresh",)),))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            VectorDBError("d-vecDB has lost its collection; it is being rebuilt"),
            "d-vecDB has lost its collection; it is being rebuilt",
        ),
        (ConnectionRefusedError("10.0.0.1"), "it cannot be reached"),
        (RuntimeError("vendor body"), "it failed"),
        (TimedOut("dvecdb", "timeout", 1.0), "it did not answer in time"),
    ],
)
async def test_the_embedded_index_serves_when_the_server_fails(error, reason):
    index = LadderIndex(Server(raising(error)), EMBEDDED)
    with collect() as provenance:
        [[hit]] = await index.search(VECTORS[1:2], 1)
    assert hit.id == "b"
    assert provenance.degraded == (Degradation("search", "embedded", reason),)
    assert await index.compare(VECTORS[:1], [["a", "b"]]) == [[1.0, 0.0]]
    assert len(index) == 3


def test_a_server_that_hangs_leaves_time_for_the_rung_below():
    async def main(loop):
        with deadline(2.0, clock=loop), collect() as provenance:
            [[hit]] = await LadderIndex(Server(asyncio.Event().wait), EMBEDDED, clock=loop).search(VECTORS[:1], 1)
        assert hit.id == "a"
        assert loop.time() - 1000.0 < 1.0
        return provenance.degraded

    assert run_virtual(main) == (Degradation("search", "embedded", "it did not answer in time"),)


async def test_a_wrong_query_is_the_callers_fault_on_every_rung():
    with pytest.raises(ValueError, match="dimension"):
        await LadderIndex(Server(raising(ValueError("dimension"))), EMBEDDED).search(np.ones((1, 2), dtype=np.float32), 1)


async def test_a_cancelled_search_is_not_answered_from_below():
    task = asyncio.create_task(LadderIndex(Server(asyncio.Event().wait), EMBEDDED).search(VECTORS[:1], 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_open_breaker_is_named():
    pipeline = Pipeline("openai", CircuitBreaker())
    pipeline["circuit_breaker"].isolate()
    with pytest.raises(CircuitOpen) as refused:
        await pipeline.call(asyncio.sleep, 0)
    assert reason_of(refused.value) == "its circuit breaker is open"


class Failing(BagOfWords):
    """An embedder and a model that fail."""

    def __init__(self, error=None) -> None:
        super().__init__()
        self._error = error

    async def embed(self, texts):
        await (asyncio.Event().wait() if self._error is None else raising(self._error)())

    async def answer(self, task, *, check):
        await self.embed([])


TASK = ModelTask(name="t", instructions="i", data="d", schema={}, prompt_version="1")


@pytest.mark.parametrize("error", [LLMError("quota is used up"), ConnectionResetError("10.0.0.1")])
async def test_whatever_an_upstream_raises_the_domain_gets_the_error_that_it_knows(error):
    said = "quota is used up" if isinstance(error, LLMError) else "it cannot be reached"
    with pytest.raises(LLMError, match=f"^{said}$"):
        await PatientEmbedder(Failing(error)).embed(["x"])
    with pytest.raises(LLMError, match=f"^{said}$"):
        await PatientModel(Failing(error)).answer(TASK, check=lambda _: ())


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_an_upstream_gets_its_share_of_the_time(share):
    async def main(loop):
        failing = Failing()
        with deadline(10.0, clock=loop):
            try:
                if share == 0.3:
                    await PatientEmbedder(failing, clock=loop).embed(["x"])
                else:
                    await PatientModel(failing, clock=loop).answer(TASK, check=lambda _: ())
            except LLMError as error:
                return loop.time() - 1000.0, error.message
        return None

    spent, said = run_virtual(main)
    assert spent == pytest.approx(10 * share, rel=0.03)
    assert said == "it did not answer in time"
