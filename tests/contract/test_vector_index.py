"""``VectorIndex``: embedded, d-vecDB (fake and real), pgvector on a real PostgreSQL, and a plain one that says what exact means."""

import uuid
from functools import partial
from inspect import isawaitable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.dvecdb import DvecdbClient, DvecdbIndex, DvecdbOptions, InMemoryRecords
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.review.ports import Hit

pytest_plugins = ["support.fixtures"]


class BruteForce:
    """The ``VectorIndex`` as its definition, one product at a time."""

    def __init__(self, ids, vectors) -> None:
        self._vectors = dict(zip(ids, vectors, strict=True))
        self._dimension = vectors.shape[1]

    def __len__(self) -> int:
        return len(self._vectors)

    async def search(self, queries, limit, allowed=None):
        if queries.ndim != 2 or queries.shape[1] != self._dimension or not np.isfinite(queries).all():
            raise ValueError("not vectors of this index")
        return [
            sorted(
                (Hit(key, float(v @ query)) for key, v in self._vectors.items() if allowed is None or key in allowed),
                key=lambda hit: (-hit.score, hit.id),
            )[: max(0, limit)]
            for query in queries
        ]

    async def compare(self, queries, ids):
        if queries.ndim != 2 or queries.shape[1] != self._dimension or not np.isfinite(queries).all():
            raise ValueError("not vectors of this index")
        return [
            [float(self._vectors[key] @ query) if key in self._vectors else 0.0 for key in each]
            for query, each in zip(queries, ids, strict=True)
        ]


def unit(rows, seed=7, dimension=8):
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


IDS = [f"inc-{n:02}" for n in range(30)]


def embedded(request):
    return ExactIndex


def brute_force(request):
    return BruteForce


def pgvector(request):
    return request.getfixturevalue("pgvector")


def pgvector_by_index(request):
    return partial(request.getfixturevalue("pgvector"), rows_per_candidate=0)


def fake_dvecdb(request):
    return request.getfixturevalue("over_dvecdb")(request.getfixturevalue("a_fake_dvecdb"))


def real_dvecdb(request):
    return request.getfixturevalue("over_dvecdb")(request.getfixturevalue("real_dvecdb"))


IMPLEMENTATIONS = [
    pytest.param(embedded),
    pytest.param(brute_force),
    pytest.param(pgvector, marks=pytest.mark.postgres),
    pytest.param(pgvector_by_index, marks=pytest.mark.postgres),
    pytest.param(fake_dvecdb),
    pytest.param(real_dvecdb, marks=pytest.mark.dvecdb),
]


@pytest.fixture
async def over_dvecdb():
    """Makes an index over a server of d-vecDB; its clients are closed afterwards."""
    clients = []

    def over(server):
        async def make(ids, vectors):
            options = DvecdbOptions(host="127.0.0.1", port=server.port, collection=f"c{uuid.uuid4().hex[:20]}", dimension=8)
            clients.append(client := DvecdbClient(options, records=InMemoryRecords(ids, vectors, embedder="toy")))
            assert await client.ready(60)
            return DvecdbIndex(client, ExactIndex(ids, vectors))

        return make

    yield over
    for client in clients:
        await client.close()


@pytest.fixture(params=IMPLEMENTATIONS)
def make(request):
    """Makes an index of ids and their vectors, in a coroutine or at once."""
    constructor = request.param(request)

    async def made(ids, vectors):
        index = constructor(ids, vectors)
        return await index if isawaitable(index) else index

    return made


@pytest.fixture
async def index(make):
    return await make(IDS, unit(30))


async def test_an_incident_is_nearest_to_its_own_vector(index):
    found = await index.search(unit(30), 1)
    assert [hits[0].id for hits in found] == IDS
    assert all(hits[0].score == pytest.approx(1, abs=1e-5) for hits in found)


async def test_hits_are_best_first_and_at_most_as_many_as_asked_for(index):
    for limit in (1, 5, 30, 1000):
        (hits,) = await index.search(unit(1, seed=1), limit)
        assert len(hits) == min(limit, 30)
        assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


async def test_equal_scores_are_in_the_order_of_their_ids(make):
    same = np.repeat(unit(1), 20, axis=0)
    index = await make([f"inc-{n:02}" for n in reversed(range(20))], same)
    for limit in (3, 20):
        (hits,) = await index.search(unit(1), limit)
        assert [hit.id for hit in hits] == [f"inc-{n:02}" for n in range(limit)]


async def test_only_allowed_incidents_are_found(index):
    (hits,) = await index.search(unit(1, seed=1), 10, frozenset({"inc-03", "inc-04", "unknown"}))
    assert {hit.id for hit in hits} == {"inc-03", "inc-04"}


@pytest.mark.parametrize(("limit", "allowed"), [(0, None), (-1, None), (5, frozenset()), (5, frozenset({"unknown"}))])
async def test_nothing_allowed_or_asked_for_finds_nothing(index, limit, allowed):
    assert await index.search(unit(2, seed=1), limit, allowed) == [[], []]


async def test_no_query_has_no_answer(index):
    assert await index.search(np.zeros((0, 8), dtype=np.float32), 5) == []


async def test_an_empty_index_finds_nothing(make):
    index = await make([], np.zeros((0, 8), dtype=np.float32))
    assert len(index) == 0
    assert await index.search(unit(1), 5) == [[]]
    assert await index.compare(unit(1), [["inc-01"]]) == [[0.0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
async def test_a_vector_that_is_not_finite_is_refused(index, bad):
    queries = unit(2)
    queries[1, 3] = bad
    with pytest.raises(ValueError):  # noqa: PT011 - each index has its own words
        await index.search(queries, 5)
    with pytest.raises(ValueError):  # noqa: PT011 - each index has its own words
        await index.compare(queries, [[], IDS])


async def test_a_vector_of_another_dimension_is_refused(index):
    with pytest.raises(ValueError):  # noqa: PT011 - each index has its own words
        await index.search(unit(1, dimension=7), 5)
    with pytest.raises(ValueError):  # noqa: PT011 - each index has its own words
        await index.compare(unit(1, dimension=9), [IDS])


async def test_comparing_gives_the_similarities_of_searching_and_zero_for_unknown_ids(index):
    queries = unit(2, seed=3)
    some, others = await index.search(queries, 20)
    asked = [[*(hit.id for hit in some), "unknown"], ["unknown", *(hit.id for hit in others[:3])]]
    found = await index.compare(queries, asked)
    assert found[0] == pytest.approx([*(hit.score for hit in some), 0.0], abs=1e-5)
    assert found[1] == pytest.approx([0.0, *(hit.score for hit in others[:3])], abs=1e-5)


async def test_comparing_with_nothing_gives_nothing(index):
    assert await index.compare(unit(1), [[]]) == [[]]
    assert await index.compare(unit(2), [[], ["unknown"]]) == [[], [0.0]]
    assert await index.compare(np.zeros((0, 8), dtype=np.float32), []) == []


async def test_each_query_is_compared_with_incidents_of_its_own(index):
    with pytest.raises(ValueError):  # noqa: PT011 - each index has its own words
        await index.compare(unit(2), [IDS])


def test_ids_and_vectors_must_be_as_many():
    with pytest.raises(ValueError, match="2 ids"):
        ExactIndex(["a", "b"], unit(3))


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 10**6), st.booleans())
async def test_the_exact_index_finds_what_brute_force_finds(rows, limit, seed, some):
    ids = [f"inc-{n:02}" for n in range(rows)]
    vectors, queries = unit(rows, seed), unit(3, seed + 1)
    allowed = frozenset(ids[::2]) if some else None
    found = await ExactIndex(ids, vectors).search(queries, limit, allowed)
    wanted = await BruteForce(ids, vectors).search(queries, limit, allowed)
    for mine, right in zip(found, wanted, strict=True):
        assert [h.score for h in mine] == pytest.approx([h.score for h in right], abs=1e-5)
