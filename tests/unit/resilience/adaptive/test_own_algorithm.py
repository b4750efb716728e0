"""An algorithm of the user's own in an adaptive limit."""

import pytest

from sengol_api.resilience.adaptive.aimd import Aimd
from sengol_api.resilience.testing import ManualClock, after, run_virtual
from support.toolkit.adaptive_limits import limited, state, use


class Doubling:
    """An algorithm of a user's own."""

    def __init__(self, after=lambda limit: limit * 2):
        self.after = after

    def start(self, limit):
        return Aimd().start(limit)

    def update(self, state, sample, least, most):
        return type(state)(self.after(state.limit))


def test_an_algorithm_of_ones_own_is_kept_within_the_bounds():
    async def main(loop):
        pipeline = limited(loop, algorithm=Doubling(), max_limit=10)
        await use(pipeline, after(0.1), times=40)
        assert state(pipeline).limit == 10

    run_virtual(main)


@pytest.mark.parametrize(
    "wrong", [lambda limit: 1 / 0, lambda limit: float("nan"), lambda limit: None], ids=["raises", "NaN", "None"]
)
def test_an_algorithm_that_fails_leaves_the_limit_and_is_reported(wrong, monkeypatch):
    shown = []
    monkeypatch.setattr("sys.unraisablehook", shown.append)

    async def main(loop):
        pipeline = limited(loop, algorithm=Doubling(wrong))
        await use(pipeline, after(0.1, "well"), times=8)
        assert state(pipeline).limit == 4
        assert "algorithm of an adaptive limit raised" in shown[0].err_msg

    run_virtual(main)


def test_a_window_that_ends_while_the_algorithm_is_at_work_waits_and_new_options_win():
    clock = ManualClock()

    class Interfering(Doubling):
        def update(self, known, sample, least, most):
            for _ in range(10):
                pipeline.call_sync(clock.advance, 0.1)
            pipeline["adaptive_limit"].update(algorithm="vegas", max_limit=3, initial=3)
            return super().update(known, sample, least, most)

    pipeline = limited(clock, algorithm=Interfering())
    for _ in range(5):
        pipeline.call_sync(clock.advance, 0.1)
    assert state(pipeline).limit == 3
