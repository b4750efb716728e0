"""Exact nearest neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.exact_index import ExactIndex


def unit(rows):
    vectors = np.asarray(rows, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


def random_vectors(count, dimension=8, seed=7):
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


async def test_the_nearest_are_those_of_the_definition():
    ids = [f"i{n:03}" for n in range(200)]
    vectors, queries = random_vectors(200), random_vectors(5, seed=8)
    found = await ExactIndex(ids, vectors).search(queries, 10)
    for query, hits in zip(queries, found, strict=True):
        scores = {key: float(row @ query) for key, row in zip(ids, vectors, strict=True)}
        due = sorted(ids, key=lambda key: -scores[key])[:10]
        assert [hit.id for hit in hits] == due
        assert [hit.score for hit in hits] == pytest.approx([scores[key] for key in due], abs=1e-6)


@given(st.permutations(range(12)), st.integers(0, 15))
def test_the_order_of_the_incidents_changes_nothing_even_among_ties(order, limit):
    import asyncio

    ids = [f"i{n:02}" for n in range(12)]
    vectors = unit([[1, 0], [0, 1], [1, 1]] * 4)
    query = unit([[1, 0]])
    straight = asyncio.run(ExactIndex(ids, vectors).search(query, limit))
    turned = asyncio.run(ExactIndex([ids[n] for n in order], vectors[list(order)]).search(query, limit))
    assert turned == straight


async def test_ties_go_by_id_also_where_the_limit_cuts_them():
    ids = [f"i{n:03}" for n in range(300)]
    [found] = await ExactIndex(ids[::-1], unit([[1, 0]] * 300)).search(unit([[1, 0]]), 5)
    assert [hit.id for hit in found] == ids[:5]


async def test_only_allowed_incidents_are_found():
    index = ExactIndex(["a", "b", "c"], unit([[1, 0], [1, 0.1], [0, 1]]))
    [found] = await index.search(unit([[1, 0]]), 5, frozenset({"c", "b", "unknown"}))
    assert [hit.id for hit in found] == ["b", "c"]
    assert await index.search(unit([[1, 0], [0, 1]]), 5, frozenset()) == [[], []]


async def test_an_empty_index_finds_nothing():
    index = ExactIndex([], np.zeros((0, 4), dtype=np.float32))
    assert len(index) == 0
    assert await index.search(random_vectors(2, 4), 5) == [[], []]
    assert await index.compare(random_vectors(1, 4), [["a"]]) == [[0.0]]


async def test_comparing_gives_0_for_an_incident_that_it_does_not_hold():
    index = ExactIndex(["b", "a"], unit([[1, 0], [0, 1]]))
    assert await index.compare(unit([[0, 1]]), [["a", "zz", "b"]]) == [[1.0, 0.0, 0.0]]
    assert await index.compare(unit([[0, 1]]), [[]]) == [[]]


@pytest.mark.parametrize("bad", [np.zeros((1, 3), np.float32), np.zeros(2, np.float32), np.array([[np.nan, 0]], np.float32)])
async def test_a_query_of_another_shape_or_not_finite_is_refused(bad):
    index = ExactIndex(["a"], unit([[1, 0]]))
    with pytest.raises(ValueError, match=r"dimension|finite"):
        await index.search(bad, 1)


def test_ids_and_vectors_must_belong_together():
    with pytest.raises(ValueError, match="2 ids"):
        ExactIndex(["a", "b"], unit([[1, 0]]))


async def test_a_zero_vector_is_near_nothing():
    [found] = await ExactIndex(["a", "b"], unit([[1, 0], [0, 0]])).search(unit([[1, 0]]), 5)
    assert found == [("a", 1.0), ("b", 0.0)]
