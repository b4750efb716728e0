"""What a set of incidents has in common."""

import statistics as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.review.statistics import ENOUGH, quantile, spread, summarise
from support.builders import make_incident

amounts = st.floats(0, 1e12, allow_nan=False)


@given(st.lists(amounts, min_size=2, max_size=40))
def test_quartiles_agree_with_the_standard_library(values):
    lower, median, upper = standard.quantiles(values, n=4, method="inclusive")
    ordered = sorted(values)
    assert quantile(ordered, 0.25) == pytest.approx(lower)
    assert quantile(ordered, 0.5) == pytest.approx(median)
    assert quantile(ordered, 0.75) == pytest.approx(upper)


@given(st.lists(st.none() | amounts, max_size=40))
def test_a_spread_counts_known_values_only_and_is_in_order(values):
    found = spread(values)
    assert found.n == sum(value is not None for value in values)
    if found.n >= ENOUGH:
        assert found.note is None
        assert found.lower_quartile <= found.median <= found.upper_quartile


def test_few_values_are_said_to_be_too_few():
    found = spread([1.0, 2.0, 3.0, 4.0])
    assert (found.median, found.lower_quartile, found.upper_quartile) == (None, None, None)
    assert found.note == "insufficient data: 4 of at least 5 values"


def test_one_huge_cost_does_not_move_the_median():
    assert spread([1, 2, 3, 4, 5]).median == spread([1, 2, 3, 4, 10**12]).median == 3


def test_fines_losses_and_ransoms_are_never_mixed():
    incidents = [make_incident(cost=float(10 * n), cost_kind="loss") for n in range(5)]
    incidents += [make_incident(cost=1e9, cost_kind="fine") for _ in range(5)]
    costs = summarise(incidents).costs
    assert costs["loss"].median == 20
    assert costs["fine"].median == 1e9
    assert costs["ransom"].n == 0


def test_unknown_values_are_counted_as_unknown():
    found = summarise([make_incident(industry=None, date=None, country=None), make_incident(industry="finance", date="2020-03")])
    assert found.by_industry == {"finance": 1, "unknown": 1}
    assert found.by_year == {"2020": 1, "unknown": 1}
    assert found.by_country == {"unknown": 2}
    assert (found.earliest, found.latest) == ("2020-03", "2020-03")


def test_counts_add_up_and_the_most_frequent_stands_first():
    found = summarise([make_incident(str(n), severity="high" if n else "low") for n in range(7)])
    assert found.total == sum(found.by_severity.values()) == 7
    assert list(found.by_severity) == ["high", "low"]


@given(st.lists(st.sampled_from(["2019", "2020-05", "2021-01-31", None]), max_size=12), st.randoms())
def test_the_order_of_incidents_changes_nothing(dates, random):
    incidents = [make_incident(str(n), date=date, cost=n, cost_kind="loss") for n, date in enumerate(dates)]
    before = summarise(incidents)
    random.shuffle(incidents)
    after = summarise(incidents)
    assert after == before
    assert list(after.by_year) == list(before.by_year)


def test_no_incidents_at_all_give_an_empty_summary():
    found = summarise([])
    assert (found.total, found.earliest, found.latest, found.by_year) == (0, None, None, {})


def test_a_spread_is_median_and_quartiles():
    found = spread([10.0, 20.0, 30.0, 40.0, 50.0])
    assert (found.n, found.lower_quartile, found.median, found.upper_quartile, found.note) == (5, 20, 30, 40, None)
