"""The simulations whose pictures the documentation shows: smaller ones here, and the committed figures against the code."""

import importlib
import sys
from pathlib import Path

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, Retry, Timeout

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "docs" / "resilience" / "pictures"


@pytest.fixture(scope="module", autouse=True)
def folder_of_the_simulations_on_the_path():
    sys.path.insert(0, str(ROOT / "simulations"))
    yield
    sys.path.remove(str(ROOT / "simulations"))


def module(name):
    return importlib.import_module(name)


DEFAULTS = (Retry(), CircuitBreaker(), Bulkhead(max_concurrent=200), Timeout())


@pytest.fixture(scope="module")
def openings():
    """Outages under 67 calls a second, each with other chance."""
    outage_day = module("outage_day")
    return [outage_day.opening(outage_day.run(DEFAULTS, outage_day.busy(seed)), outage_day.busy(seed)) for seed in range(1, 6)]


def test_a_total_outage_gets_at_most_a_tenth_more_than_the_offered_calls_until_the_breaker_opens(openings):
    assert sum(each.upstream for each in openings) <= 1.1 * sum(each.offered for each in openings)


def test_an_open_breaker_lets_nothing_but_its_probes_through(openings):
    for each in openings:
        assert each.half_openings == 1
        assert each.probes <= CircuitBreaker().max_probes


def test_traffic_is_full_again_within_one_reset_timeout_and_a_probe(openings):
    for each in openings:
        assert 55.0 < each.closed_after <= CircuitBreaker().reset_timeout + 0.6  # two probes at once, 0.3 s at most each


def test_after_the_breaker_closed_nothing_is_refused():
    outage_day = module("outage_day")
    record = outage_day.run(DEFAULTS, outage_day.Day(think=3.0, length=240.0, outage=(20.0, 60.0), brown_out=(1e9, 1e9)))
    closed = next(when for when, state in record.changes if state == "CLOSED")
    assert closed < 120.0
    assert record.refused[0] + record.refused[1] > 1000
    assert record.refused[2] == record.refused[3] == 0
    assert record.answered[3] == record.offered[3]


def amplification(policies):
    outage_day = module("outage_day")
    day = outage_day.Day(think=30.0, length=900.0, outage=(200.0, 800.0), brown_out=(1e9, 1e9))
    record = outage_day.run(policies, day)
    return len(record.upstream_at) / len(record.offered_at)


def test_the_retry_budget_bounds_what_an_outage_is_sent_when_there_is_no_breaker():
    pipelines = module("outage_day").variants()
    assert amplification(pipelines["retries alone"]) == pytest.approx(4.0, rel=0.05)
    assert amplification(pipelines["without the circuit breaker"]) < 1.25
    assert amplification(pipelines["whole pipeline"]) < 0.05


@pytest.fixture(scope="module")
def ramps():
    """A shorter way to ten times of what the service can do."""
    overload = module("overload")
    ramp = overload.Ramp(rates=((0, 0.5), (2, 0.5), (10, 10.0), (27, 10.0)))
    return {name: overload.run(limit, ramp) for name, limit in overload.variants().items()}


def peak_and_plateau(record):
    goodput = module("overload").goodput
    return max(goodput(record, start, start + 10) for start in range(18)), goodput(record, 12, 27)


def test_without_a_limit_ten_times_the_load_leaves_no_answer_in_time(ramps):
    peak, plateau = peak_and_plateau(ramps["no limit"])
    assert peak > 30
    assert plateau < 0.01 * peak


@pytest.mark.parametrize("name", ["AIMD", "Vegas", "Gradient2"])
def test_an_adaptive_limit_keeps_95_per_cent_of_the_goodput_at_ten_times_the_load(ramps, name):
    best = max(peak_and_plateau(record)[0] for record in ramps.values())
    assert peak_and_plateau(ramps[name])[1] >= 0.95 * best


@pytest.mark.parametrize("name", ["Vegas", "Gradient2"])
def test_a_limit_that_watches_the_latency_keeps_the_line_at_the_service_short(ramps, name):
    assert max(ramps[name].latency[second] for second in range(14, 27)) < 3 * module("overload").Ramp().work


@pytest.mark.parametrize(("picture", "draw"), [("outage-day", "of_day"), ("overload", "of_ramp")])
def test_the_committed_picture_is_what_its_table_gives(picture, draw):
    table = (PICTURES / f"{picture}.csv").read_text()
    assert getattr(module("pictures"), draw)(table) == (PICTURES / f"{picture}.svg").read_text(), "run make simulate"


def rows(text, columns, count):
    table = module("tables").from_csv(text)
    return {column: table[column][:count] for column in columns}


def test_the_first_hours_of_the_committed_day_are_what_the_simulation_gives():
    outage_day = module("outage_day")
    day = outage_day.Day(length=190 * 60.0)  # into the outage
    name = "whole pipeline"
    now = module("tables").to_csv(outage_day.table({name: outage_day.run(outage_day.variants()[name], day)}, day))
    columns = ["offered", f"upstream: {name}", f"answered: {name}"]
    committed = (PICTURES / "outage-day.csv").read_text()
    assert rows(now, columns, 188) == rows(committed, columns, 188), "run make simulate"


@pytest.mark.parametrize("name", ["AIMD", "Vegas", "Gradient2"])
def test_the_first_minute_of_the_committed_ramp_is_what_the_simulation_gives(name):
    overload = module("overload")
    ramp = overload.Ramp(stop=60.0)
    now = module("tables").to_csv(overload.table({name: overload.run(overload.variants()[name], ramp)}, ramp))
    columns = ["rate", f"goodput: {name}", f"limit: {name}"]
    committed = (PICTURES / "overload.csv").read_text()
    assert rows(now, columns, 55) == rows(committed, columns, 55), "run make simulate"


def test_a_picture_tells_what_it_shows_to_those_who_cannot_see_it():
    for picture in PICTURES.glob("*.svg"):
        text = picture.read_text()
        assert text.count("<title id=") == text.count("<desc id=") == 1
        assert "prefers-color-scheme: dark" in text


def test_in_a_brown_out_under_much_traffic_a_share_keeps_answering_where_the_default_count_cuts_off():
    """Why the page of the breaker warns of its defaults."""
    outage_day = module("outage_day")
    answered = {name: outage_day.browned_out(breaker, 1) for name, breaker in outage_day.breakers().items()}
    assert answered["five failures within 120 s"] < 0.05
    assert answered["half of the calls of a minute"] > 0.8
