"""The best of many scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.ranking import STRIDE, best


def of_a_full_sort(ids, scores, count):
    return sorted(zip(ids, scores.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))[:count]


def names(count):
    return [f"i{n:04}" for n in range(count)]


@given(st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=400), st.data())
def test_the_best_are_those_of_a_full_sort_and_ties_go_by_id(scores, data):
    count = data.draw(st.integers(1, len(scores)))
    scores = np.array(scores, dtype=np.float32)
    ids = names(len(scores))
    assert best(ids, scores, count) == of_a_full_sort(ids, scores, count)


@pytest.mark.parametrize("count", [1, 40, 80, 150, 1999, 2000])
@pytest.mark.parametrize("found", [0.01, 0.3, 1.0])
def test_the_best_of_many_are_those_of_a_full_sort_however_few_are_found(count, found):
    chance = np.random.default_rng(count)
    scores = np.where(chance.random(2000) < found, chance.normal(size=2000), 0).astype(np.float32)
    ids = names(len(scores))
    assert best(ids, scores, count) == of_a_full_sort(ids, scores, count)


@pytest.mark.parametrize("high", [True, False])
def test_a_sample_that_misleads_changes_nothing(high):
    scores = np.full(1600, 0.0 if high else 1.0, dtype=np.float32) + np.linspace(0, 0.1, 1600, dtype=np.float32)
    scores[::STRIDE] += 2.0 if high else -2.0  # only what the sample looks at is high, or low
    ids = names(len(scores))
    for count in (1, 90, 101, 400):
        assert best(ids, scores, count) == of_a_full_sort(ids, scores, count)
