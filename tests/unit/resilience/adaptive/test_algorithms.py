"""The algorithms by tables: a state and a sample in, the next limit out."""

import pytest

from sengol_api.resilience import OptionsError
from sengol_api.resilience.adaptive.aimd import Aimd
from sengol_api.resilience.adaptive.algorithm import OnlyLimit
from sengol_api.resilience.adaptive.baseline import Baseline, LatencyAlgorithm, LatencyState
from sengol_api.resilience.adaptive.gradient2 import Gradient2
from sengol_api.resilience.adaptive.sample import Sample
from sengol_api.resilience.adaptive.vegas import Vegas

LEAST, MOST = 1, 1000


@pytest.mark.parametrize(
    ("limit", "sample", "after"),
    [
        (10, Sample(0.1), 11),
        (10, Sample(0.1, in_use=False), 10),
        (10, Sample(0.1, dropped=True), 9),
        (10, Sample(None, dropped=True), 9),
        (10, Sample(None, in_use=False, dropped=True), 9),
        (10, Sample(0.6), 9),
        (10, Sample(0.6, in_use=False), 9),
        (10, Sample(0.5), 11),
        (1000, Sample(0.1), 1000),
        (1, Sample(None, dropped=True), 1),
    ],
    ids=str,
)
def test_aimd_updates_as_the_table_says(limit, sample, after):
    assert Aimd(max_latency=0.5).update(OnlyLimit(limit), sample, LEAST, MOST).limit == pytest.approx(after)


def test_aimd_without_a_bound_on_the_latency_goes_by_the_drops_alone():
    assert Aimd().update(OnlyLimit(10), Sample(60.0), LEAST, MOST).limit == 11


KNOWN = Baseline(0.1)


# baseline 0.1 s; limit × gradient + √limit, and half of the way there
@pytest.mark.parametrize(
    ("limit", "sample", "after"),
    [
        (100, Sample(0.1), 105),
        (100, Sample(0.12), 105),
        (100, Sample(0.15), 95),
        (100, Sample(0.2), 85),
        (100, Sample(1.0), 80),
        (100, Sample(60.0), 80),
        (25, Sample(0.15), 25),  # at a gradient of 0.8 it rests at 25 = 1 / (1 - 0.8)²
        (100, Sample(0.2, in_use=False), 100),
        (100, Sample(0.2, dropped=True), 90),
        (100, Sample(None, dropped=True), 90),
        (100, Sample(None), 100),
        (1000, Sample(0.1), 1000),
        (1, Sample(None, dropped=True), 1),
    ],
    ids=str,
)
def test_gradient2_updates_as_the_table_says(limit, sample, after):
    assert Gradient2().update(LatencyState(limit, KNOWN), sample, LEAST, MOST).limit == pytest.approx(after)


def test_a_clock_that_does_not_move_is_no_latency_at_all():
    assert Gradient2().update(LatencyState(4, KNOWN), Sample(0.0), LEAST, MOST).limit == pytest.approx(5)


# baseline 0.1 s, limit 100: the unit is 2, so grows below 6 in line, shrinks above 12, and leaps below 2
@pytest.mark.parametrize(
    ("limit", "sample", "after"),
    [
        (100, Sample(0.1), 112),
        (100, Sample(0.102), 112),
        (100, Sample(0.104), 102),
        (100, Sample(0.11), 100),
        (100, Sample(0.2), 98),
        (5, Sample(0.1), 11),
        (5, Sample(10.0), 5),
        (10, Sample(0.5), 9),
        (100, Sample(0.2, in_use=False), 100),
        (100, Sample(None, dropped=True), 90),
        (1000, Sample(0.1), 1000),
        (100, Sample(0.0), 112),
    ],
    ids=str,
)
def test_vegas_updates_as_the_table_says(limit, sample, after):
    assert Vegas().update(LatencyState(limit, KNOWN), sample, LEAST, MOST).limit == pytest.approx(after)


def test_the_start_is_the_limit_that_was_given():
    assert Aimd().start(7).limit == Vegas().start(7).limit == Gradient2().start(7).limit == 7


# The baseline


def test_the_first_window_is_taken_for_the_baseline_but_soon_looked_at_again():
    first = Gradient2().update(LatencyState(10), Sample(0.3), LEAST, MOST)
    assert first.baseline == Baseline(0.3, age=90)


@pytest.mark.parametrize(
    ("sample", "after"),
    [
        (Sample(0.05), Baseline(0.095, age=6)),
        (Sample(0.1), Baseline(0.1, age=6)),
        (Sample(0.15), Baseline(0.1, age=6)),
        (Sample(0.3), Baseline(0.1, age=15)),
        (Sample(0.15, in_use=False), Baseline(0.105, age=0)),
        (Sample(0.05, in_use=False), Baseline(0.095, age=0)),
        (Sample(0.3, dropped=True), Baseline(0.1, age=6)),
    ],
    ids=["faster", "the same", "slower", "much slower", "slower without our load", "faster without our load", "dropped"],
)
def test_the_baseline_follows_as_the_table_says(sample, after):
    baseline = Gradient2().update(LatencyState(10, Baseline(0.1, age=5)), sample, LEAST, MOST).baseline
    assert baseline.latency == pytest.approx(after.latency)
    assert baseline.age == after.age


def measured(algorithm, samples, baseline):
    state = LatencyState(40.0, baseline)
    for sample in samples:
        state = algorithm.update(state, sample, LEAST, MOST)
        yield state


def test_a_measurement_halves_the_limit_drains_for_a_window_looks_for_one_and_goes_back():
    cut, drained, done = measured(Gradient2(), [Sample(0.2), Sample(0.2), Sample(0.1)], Baseline(0.1, age=99))
    assert (cut.limit, cut.baseline.resume) == (20, 40)
    assert (drained.limit, drained.baseline.latency) == (20, 0.1)
    assert done == LatencyState(40, Baseline(0.1))


def test_a_service_that_has_become_slower_is_believed_after_a_measurement():
    *_, done = measured(Vegas(), [Sample(0.5), Sample(0.5), Sample(0.4)], Baseline(0.1, age=90))
    assert done == LatencyState(40, Baseline(0.4))


def test_a_baseline_that_turns_out_to_have_had_a_queue_in_it_is_measured_again_soon():
    *_, done = measured(Gradient2(), [Sample(0.3), Sample(0.3), Sample(0.2)], Baseline(0.3, age=99))
    assert done.baseline == Baseline(0.2, age=90)


def test_drops_during_a_measurement_lower_the_limit_to_go_back_to():
    *_, done = measured(Gradient2(), [Sample(0.2), Sample(0.2, dropped=True), Sample(None, dropped=True)], Baseline(0.1, age=99))
    assert done == LatencyState(pytest.approx(40 * 0.9 * 0.9), Baseline(0.1))


@pytest.mark.parametrize("algorithm", [Gradient2(), Vegas()], ids=["gradient2", "vegas"])
def test_a_steady_overload_does_not_make_the_limit_drift_upwards(algorithm):
    """The latency is that of ten workers with the whole limit before them; the first window has seen a queue of twice that."""
    state = algorithm.start(40.0)
    limits = []
    for _ in range(5000):
        state = algorithm.update(state, Sample(0.1 * max(1.0, state.limit / 10.0)), LEAST, MOST)
        limits.append(state.limit)
    assert max(limits[1000:]) <= 25
    assert max(limits[4000:]) <= max(limits[1000:2000])


def test_a_gradient_of_about_0_8_for_ever_does_not_make_the_limit_drift_upwards():
    """Whatever the limit does, each window is a quarter slower than the tolerance allows."""
    algorithm = Gradient2()
    state = LatencyState(20.0, Baseline(0.1))
    for _ in range(1000):
        slower = algorithm.tolerance * state.baseline.latency / 0.8
        state = algorithm.update(state, Sample(slower if state.baseline.resume is None else 0.1), LEAST, MOST)
        assert state.limit <= 25


@pytest.mark.parametrize("algorithm", [Gradient2(), Vegas(), Aimd()], ids=["gradient2", "vegas", "aimd"])
def test_timeouts_at_a_constant_time_bring_the_limit_to_its_minimum_not_to_its_maximum(algorithm):
    state = algorithm.update(algorithm.start(100.0), Sample(0.1), LEAST, MOST)
    for _ in range(100):
        state = algorithm.update(state, Sample(None, dropped=True), LEAST, MOST)
    assert state.limit == LEAST


@pytest.mark.parametrize("algorithm", [Gradient2(), Vegas(), Aimd()], ids=["gradient2", "vegas", "aimd"])
def test_a_time_without_much_to_do_does_not_raise_the_limit(algorithm):
    state = algorithm.start(20.0)
    for _ in range(1000):
        state = algorithm.update(state, Sample(0.1, in_use=False), LEAST, MOST)
    assert state.limit == 20.0


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Aimd, {"decrease": 1.0}),
        (Aimd, {"increase": 0}),
        (Aimd, {"max_latency": 0}),
        (Vegas, {"alpha": 6.0, "beta": 6.0}),
        (Vegas, {"probe_after": 5}),
        (Gradient2, {"tolerance": 0.9}),
        (Gradient2, {"tolerance": float("nan")}),
        (Gradient2, {"smoothing": 0}),
    ],
)
def test_senseless_options_are_refused(kind, options):
    with pytest.raises(OptionsError):
        kind(**options)


def test_the_part_that_algorithms_share_leaves_the_step_to_them():
    with pytest.raises(NotImplementedError):
        LatencyAlgorithm().step(1.0, 0.1, 0.1)
