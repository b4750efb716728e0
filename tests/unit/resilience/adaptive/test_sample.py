"""Windows of calls."""

import pytest

from sengol_api.resilience.adaptive.sample import Sample, Window, WindowOptions

OPTIONS = WindowOptions(seconds=1.0, calls=10, tolerated=0.1)


def window(latencies, dropped=0):
    result = Window(100.0)
    for latency in latencies:
        result.add(latency, dropped=False)
    for _ in range(dropped):
        result.add(5.0, dropped=True)
    return result


def test_one_outlier_does_not_swing_a_window():
    assert window([0.1] * 20 + [60.0]).sample(OPTIONS).latency == 0.1


@pytest.mark.parametrize(
    ("calls", "dropped", "now", "over"),
    [(10, 0, 101.0, True), (5, 5, 101.0, True), (9, 0, 200.0, False), (100, 0, 100.9, False)],
    ids=["enough", "drops count", "too few", "too short"],
)
def test_a_window_is_over_when_it_is_long_and_full_enough(calls, dropped, now, over):
    assert window([0.1] * calls, dropped).is_over(now, OPTIONS) is over


def test_the_time_of_a_dropped_call_is_no_latency():
    assert window([0.1], dropped=9).sample(OPTIONS) == Sample(0.1, in_use=False, dropped=True)
    assert window([], dropped=9).sample(OPTIONS) == Sample(None, in_use=False, dropped=True)


def test_a_tolerated_share_of_drops_is_no_overload():
    assert not window([0.1] * 9, dropped=1).sample(OPTIONS).dropped
    assert window([0.1] * 8, dropped=2).sample(OPTIONS).dropped


def test_of_very_many_calls_the_last_thousand_are_kept():
    assert window([9.0] * 5000 + [0.1] * 1000).sample(OPTIONS).latency == 0.1
