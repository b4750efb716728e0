"""Incidents and filters."""

import pytest

from sengol_api.review.incident import IncidentFilter
from support.builders import make_incident


@pytest.mark.parametrize(("date", "year"), [("2021-05-03", 2021), ("2021-05", 2021), ("2021", 2021), (None, None)])
def test_the_year_is_known_when_the_date_is(date, year):
    assert make_incident(date=date).year == year


def test_an_empty_filter_admits_everything():
    assert IncidentFilter().is_empty
    assert IncidentFilter().admits(make_incident(industry=None, date=None))


def test_values_of_one_condition_are_alternatives():
    condition = IncidentFilter(industries=frozenset({"finance", "retail"}))
    assert condition.admits(make_incident(industry="finance"))
    assert condition.admits(make_incident(industry="retail"))
    assert not condition.admits(make_incident(industry="energy"))


def test_conditions_must_all_hold():
    condition = IncidentFilter(industries=frozenset({"finance"}), severities=frozenset({"high"}))
    assert condition.admits(make_incident(industry="finance", severity="high"))
    assert not condition.admits(make_incident(industry="finance", severity="low"))


@pytest.mark.parametrize(
    ("field", "attribute", "value"),
    [
        ("industries", "industry", "finance"),
        ("severities", "severity", "high"),
        ("incident_types", "incident_type", "outage"),
        ("attack_types", "attack_type", "ddos"),
        ("countries", "country", "DE"),
        ("kinds", "kind", "vulnerability"),
        ("sources", "source", "FTC"),
    ],
)
def test_each_condition_looks_at_its_own_field(field, attribute, value):
    condition = IncidentFilter(**{field: frozenset({value})})
    assert not condition.is_empty
    assert condition.admits(make_incident(**{attribute: value}))
    assert not condition.admits(make_incident(**{attribute: "other"}))


def test_an_unknown_value_fulfils_no_condition():
    assert not IncidentFilter(industries=frozenset({"finance"})).admits(make_incident(industry=None))
    assert not IncidentFilter(year_from=1990).admits(make_incident(date=None))


@pytest.mark.parametrize(
    ("low", "high", "admitted"), [(2020, 2020, True), (None, 2019, False), (2021, None, False), (None, 2020, True)]
)
def test_years_are_bounds_that_belong_to_the_range(low, high, admitted):
    assert IncidentFilter(year_from=low, year_to=high).admits(make_incident(date="2020-12-31")) is admitted


def test_the_searchable_text_names_the_organisation_once_and_the_causes_in_words():
    incident = make_incident(title="Acme loses data", text="It was public.", organization="Acme", tags=("exposed-storage",))
    assert incident.searchable.count("Acme") == 1
    assert "exposed storage" in incident.searchable
    assert "Beta" in make_incident(title="A leak", organization="Beta").searchable
