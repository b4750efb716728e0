"""Steps of several workers as one."""

import pytest

import sengol_api.observability.telemetry  # noqa: F401 - enters all metrics into the catalogue
from sengol_api.ops.status.timeline import Timeline, Window, quantile
from sengol_api.ops.status.trail import KEPT, STEP

RUNGS = "sengol_rungs_served_total"
SECONDS = "sengol_pipeline_attempt_duration_seconds"
NEWEST = 1000
NOW = (NEWEST + 1) * STEP + 1.0


def step(number, count, served="fresh"):
    return number, {RUNGS: {("model", served): float(count)}}


def test_what_several_workers_counted_in_one_step_is_added_up():
    timeline = Timeline()
    timeline.add(1, [step(NEWEST, 2)], now=NOW)
    timeline.add(2, [step(NEWEST, 3), step(NEWEST - 1, 1)], now=NOW)
    window = timeline.window(NOW)
    assert window.series(RUNGS)[-3:] == [None, 1.0, 5.0]
    assert window.total(RUNGS) == 6.0
    assert len(window.steps) == KEPT


def test_a_step_that_is_told_again_does_not_count_again():
    timeline = Timeline()
    for _ in range(2):
        timeline.add(1, [step(NEWEST, 2)], now=NOW)
    assert timeline.window(NOW).total(RUNGS) == 2.0
    assert timeline.known == {"1": NEWEST}


def test_steps_that_are_too_old_or_to_come_are_left_out():
    timeline = Timeline()
    timeline.add(1, [step(NEWEST - KEPT, 1), step(NEWEST + 1, 1), step(NEWEST, 1)], now=NOW)
    assert timeline.window(NOW).total(RUNGS) == 1.0
    later = NOW + KEPT * STEP
    timeline.add(1, [], now=later)
    assert timeline.window(later).total(RUNGS) == 0.0


def test_after_the_clock_was_set_back_later_steps_count_again():
    timeline = Timeline()
    timeline.add(1, [step(NEWEST, 2)], now=NOW)
    earlier = NOW - 600
    timeline.add(1, [], now=earlier)
    number = Timeline.newest(earlier + STEP)
    timeline.add(1, [step(number, 4)], now=earlier + STEP)
    assert timeline.window(earlier + STEP).total(RUNGS) == 4.0


def test_a_window_says_what_matches_and_none_where_nobody_noted_anything():
    window = Window([None, {RUNGS: {("model", "fresh"): 2.0, ("search", "embedded"): 1.0}}, {}])
    assert window.series(RUNGS, [("model", "fresh"), ("model", "cached")]) == [None, 2.0, 0]
    assert window.by_label(RUNGS) == {("model", "fresh"): 2.0, ("search", "embedded"): 1.0}
    assert window.seconds == 2 * STEP
    assert window.last(1).total(RUNGS) == 0.0


def test_quantiles_come_from_the_buckets_of_all_series_that_match():
    buckets = [0.0] * 17
    one, two = buckets.copy(), buckets.copy()
    one[3], two[9] = 90.0, 10.0  # 5 to 10 ms, and 0.5 to 1 s
    window = Window([{SECONDS: {("a",): [0.3, *one], ("b",): [3.0, *two]}}, {}])
    assert window.quantile(SECONDS, 0.5) == pytest.approx(0.005 + 0.005 * 50 / 90)
    assert window.quantile(SECONDS, 0.95) == pytest.approx(0.5 + 0.5 * 5 / 10)
    assert window.quantiles(SECONDS, 0.95, [("c",)]) == [None, None]


@pytest.mark.parametrize(
    ("counts", "q", "due"),
    [
        ([], 0.5, None),
        ([0, 0, 0], 0.5, None),
        ([4, 0, 0], 0.5, 0.5),
        ([0, 4, 0], 0.5, 2.0),
        ([0, 0, 4], 0.5, 3.0),
        ([1, 1, 0], 1.0, 3.0),
    ],
)
def test_a_quantile_lies_within_its_bucket(counts, q, due):
    assert quantile(counts, (1.0, 3.0), q) == due
