"""The best of many scores."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.ranking import best


@given(st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=60), st.data())
def test_the_best_are_those_of_a_full_sort_and_ties_go_by_id(scores, data):
    count = data.draw(st.integers(1, len(scores)))
    ids = [f"i{n:02}" for n in range(len(scores))]
    due = sorted(zip(ids, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))[:count]
    assert best(ids, np.array(scores, dtype=np.float32), count) == due
