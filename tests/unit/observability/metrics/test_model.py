"""Samples: how those of several workers become one, and how Prometheus reads them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sengol_api.observability.metrics import model
from sengol_api.observability.metrics.instruments import Count, Distribution
from sengol_api.observability.metrics.model import Catalogue, from_json, gathered, merged, to_json
from sengol_api.observability.metrics.text import exposition


@pytest.fixture
def families(monkeypatch):
    """A catalogue of the test's own."""
    catalogue = Catalogue()
    monkeypatch.setattr(model, "CATALOGUE", catalogue)
    monkeypatch.setattr("sengol_api.observability.metrics.text.CATALOGUE", catalogue)
    return catalogue


def test_a_metric_is_there_once(families):
    families.counter("calls_total", "Calls.")
    with pytest.raises(ValueError, match="the metric calls_total is there already"):
        families.gauge("calls_total", "Calls.")


def test_counters_and_histograms_add_up_and_gauges_go_as_they_should(families):
    calls = families.counter("calls_total", "Calls.", "outcome")
    running = families.gauge("running", "Running.")
    slowest = families.gauge("slowest_seconds", "Slowest.", across="max")
    oldest = families.gauge("oldest_seconds", "Oldest.", across="min")
    seconds = families.histogram("seconds", "Seconds.", buckets=(1.0, 2.0))

    def worker(number, outcome):
        return gathered(
            [
                (calls, (outcome,), number),
                *((family, (), number) for family in (running, slowest, oldest)),
                (seconds, (), [number, 1.0, 0.0, number]),
            ]
        )

    assert merged([(worker(2.0, "hit"), True), (worker(5.0, "hit"), True), (worker(1.0, "miss"), True)]) == {
        "calls_total": {("hit",): 7.0, ("miss",): 1.0},
        "running": {(): 8.0},
        "slowest_seconds": {(): 5.0},
        "oldest_seconds": {(): 1.0},
        "seconds": {(): [8.0, 3.0, 0.0, 8.0]},
    }


def test_of_a_worker_that_is_gone_only_what_it_counted_is_left(families):
    calls, running = families.counter("calls_total", "Calls."), families.gauge("running", "Running.")
    info = families.gauge("info", "Info.", across="max")
    seconds = families.histogram("seconds", "Seconds.", buckets=(1.0,))
    gone = gathered([(calls, (), 3.0), (running, (), 2.0), (info, (), 1.0), (seconds, (), [1.0, 1.0, 0.0])])
    assert merged([(gone, False)]) == {"calls_total": {(): 3.0}, "seconds": {(): [1.0, 1.0, 0.0]}}


def test_what_no_worker_of_this_version_knows_is_left_out(families):
    assert merged([({"of_another_version": {(): 1.0}}, True)]) == {}


def test_samples_survive_the_way_to_another_worker(families):
    calls = families.counter("calls_total", "Calls.", "who")
    seconds = families.histogram("seconds", "Seconds.", buckets=(1.0,))
    samples = gathered([(calls, ("a",), 3), (calls, ("b\n",), 0.5), (seconds, (), [1.0, 1.0, 0.0])])
    assert from_json(to_json(samples)) == samples


@pytest.mark.parametrize("document", [{"x": 1}, {"x": [1]}, {"x": [["a"]]}, {"x": [["a", "b"]]}, [], {"x": [[1, "y"]]}])
def test_what_is_no_samples_is_refused(document):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        from_json(document)


def read(page):
    """What Prometheus's own reader finds: values by the name and labels of the sample."""
    found = {}
    for family in text_string_to_metric_families(page.decode()):
        assert family.type in {"counter", "gauge", "histogram"}
        assert family.documentation
        for sample in family.samples:
            key = sample.name, tuple(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def test_prometheus_reads_what_was_counted(families):
    calls = families.counter("calls_total", 'Calls "made" \\ or\nnot.', "who")
    running = families.gauge("running", "Running.")
    seconds = families.histogram("seconds", "Seconds.", "route", buckets=(0.5, 1.0))
    families.gauge("unused", "Never.")
    page = exposition(gathered([(calls, ("a",), 3.0), (running, (), 0.25), (seconds, ("/x",), [7.5, 2.0, 0.0, 3.0])]))
    assert read(page) == {
        ("calls_total", (("who", "a"),)): 3.0,
        ("running", ()): 0.25,
        ("seconds_bucket", (("route", "/x"), ("le", "0.5"))): 2.0,
        ("seconds_bucket", (("route", "/x"), ("le", "1"))): 2.0,
        ("seconds_bucket", (("route", "/x"), ("le", "+Inf"))): 5.0,
        ("seconds_sum", (("route", "/x"),)): 7.5,
        ("seconds_count", (("route", "/x"),)): 5.0,
    }


@given(label=st.text(st.characters(exclude_categories=["Cs"])), value=st.floats(allow_nan=False))
def test_any_label_and_any_number_is_read_as_it_was(label, value):
    catalogue = Catalogue()
    family = catalogue.gauge("g", "G.", "label")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sengol_api.observability.metrics.text.CATALOGUE", catalogue)
        page = exposition(gathered([(family, (label,), value)]))
    if "\r" not in label and not set(label) & set("\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"):  # lines of Python's, not of Prometheus's
        assert read(page) == {("g", (("label", label),)): value}
    assert len(page.decode().strip("\n").split("\n")) == 3


def test_numbers_are_written_as_prometheus_writes_them(families):
    family = families.gauge("g", "G.", "what")
    numbers = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan, "whole": 3.0, "large": 2.0**60, "small": 1e-9}
    page = exposition(gathered((family, (what,), number) for what, number in numbers.items())).decode()
    for what, written in {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN", "whole": "3", "small": "1e-09"}.items():
        assert f'g{{what="{what}"}} {written}\n' in page


# --- instruments


def test_a_counter_counts_by_its_labels(families):
    count = Count(families.counter("calls_total", "Calls.", "who"))
    count.add("a")
    count.add("a", amount=2.5)
    count.add("b")
    for amount in (-1.0, math.nan):
        count.add("a", amount=amount)
    assert gathered(count.collect()) == {"calls_total": {("a",): 3.5, ("b",): 1.0}}


def test_no_input_makes_a_metric_grow_without_bound(families):
    count = Count(families.counter("calls_total", "Calls.", "who", "what"), most=3)
    seconds = Distribution(families.histogram("seconds", "Seconds.", "who", buckets=(1.0,)), most=3)
    for number in range(1000):
        count.add(str(number), "x")
        seconds.observe(str(number), value=0.5)
    found = gathered([*count.collect(), *seconds.collect()])
    assert found["calls_total"] == {("0", "x"): 1.0, ("1", "x"): 1.0, ("2", "x"): 1.0, ("other", "other"): 997.0}
    assert len(found["seconds"]) == 4
    assert found["seconds"][("other",)] == [498.5, 997.0, 0.0]


def test_a_value_is_counted_in_the_first_bucket_whose_bound_is_not_below_it(families):
    seconds = Distribution(families.histogram("seconds", "Seconds.", buckets=(1.0, 2.0)))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        seconds.observe(value=value)
    assert gathered(seconds.collect())["seconds"][()] == [7.5, 2.0, 2.0, 1.0]
