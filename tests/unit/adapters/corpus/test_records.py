"""One record to an incident."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.corpus.records import KNOWN_FIELDS, BadRecordError, identity_of, incident_from_record
from sengol_api.review.incident import Incident

TODAY = dt.date(2026, 11, 24)
GOOD = {"title": "Acme loses records", "text": "A bucket was public for a year."}


def read(**fields):
    return incident_from_record({**GOOD, **fields}, today=TODAY)


def faults(**fields):
    with pytest.raises(BadRecordError) as caught:
        read(**fields)
    return str(caught.value)


def test_a_title_and_a_text_are_enough():
    incident = read()
    assert (incident.title, incident.text, incident.severity, incident.date) == (*GOOD.values(), "unknown", None)


def test_every_field_is_read():
    incident = read(
        id="own-1", incidentType="data-breach", attackType="misconfiguration", organization="Acme", industry="finance",
        country="DE", severity="High", severityBasis="records>=1M", date="2020-05", cost="1,000", currency="USD", costKind="loss",
        recordsAffected=5, downtimeHours=1.5, hadMfa="yes", hadBackups=False, hadIrPlan="0", tags="no-mfa; unpatched",
        labels=["T1190"], products=["Portal"], source="FTC", sourceUrl="https://example.com/a", licence="facts", kind="incident",
    )  # fmt: skip
    assert incident == Incident(
        id="own-1", title=GOOD["title"], text=GOOD["text"], incident_type="data-breach", attack_type="misconfiguration",
        organization="Acme", industry="finance", country="DE", severity="high", severity_basis="records>=1M", date="2020-05",
        cost=1000.0, cost_kind="loss", records_affected=5, downtime_hours=1.5, had_mfa=True, had_backups=False, had_ir_plan=False,
        tags=("no-mfa", "unpatched"), labels=("T1190",), products=("Portal",), source="FTC", source_url="https://example.com/a",
        licence="facts",
    )  # fmt: skip


@pytest.mark.parametrize("country", ["Germany", "D1", "", "DEU", 49])
def test_a_country_is_two_letters(country):
    if country == "":
        assert read(country=country).country is None
    else:
        assert "country: takes the two letters" in faults(country=country)
    assert read(country="de").country == "DE"


def test_everything_that_is_wrong_is_named_at_once():
    text = faults(title="", severity="awful", date="tomorrow", cost=-1, sourceUrl="ftp://x", colour="red", hadMfa="maybe")
    for name in (
        "title: is missing",
        "severity: takes one of",
        "date: takes YYYY",
        "cost: ",
        "sourceUrl: ",
        "colour: unknown",
        "hadMfa: ",
    ):
        assert name in text


@pytest.mark.parametrize("blank", [None, "", "   ", "\n\t"])
@pytest.mark.parametrize("name", ["title", "text"])
def test_a_blank_title_or_text_is_a_missing_one(name, blank):
    assert f"{name}: is missing" in faults(**{name: blank})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "many", True, [1], {}, 1e30, 10**400])
@pytest.mark.parametrize("name", ["recordsAffected", "downtimeHours", "cost"])
def test_a_number_that_is_none_is_refused(name, value):
    assert f"{name}: takes" in faults(**{name: value}, costKind="loss")


def test_half_a_record_is_refused():
    assert "recordsAffected: takes a whole number" in faults(recordsAffected=1.5)
    assert read(recordsAffected="1,500.0").records_affected == 1500


@pytest.mark.parametrize(
    "date", ["2026-11-25", "2027", "2026-12", "2020-13", "2020-02-30", "20-01-01", "2020/01/01", "0000", "２０２０"]
)
def test_a_date_that_is_none_or_lies_ahead_is_refused(date):
    assert "date: " in faults(date=date)


@pytest.mark.parametrize("date", ["2026", "2026-11", "2026-11-24", "1988-11-02", 2020])
def test_a_date_is_as_precise_as_its_source(date):
    assert read(date=date).date == str(date)


@pytest.mark.parametrize("text", ["\x00", "a\x1bb", "half \ud800 pair"])
def test_control_characters_and_half_pairs_are_refused(text):
    assert "title: holds a control character" in faults(title=text)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "ftp://x", "example.com", "http://[bad", "//x"])
def test_only_web_addresses_are_links(url):
    assert "sourceUrl: " in faults(sourceUrl=url)


def test_a_cost_must_say_what_it_was():
    assert "costKind: is missing" in faults(cost=5)
    assert "costKind: takes one of loss, fine, ransom" in faults(cost=5, costKind="damage")


def test_a_cost_is_turned_into_dollars_of_its_year():
    assert read(cost=1_000_000, currency="EUR", costKind="fine", date="2022-05").cost == 1_050_000
    assert "currency: " in faults(cost=1, currency="XYZ", costKind="fine")


def test_unknown_stays_unknown():
    incident = read(hadMfa=None, cost="", recordsAffected=None)
    assert (incident.had_mfa, incident.cost, incident.records_affected, incident.industry) == (None, None, None, None)


def test_text_is_kept_on_one_line_and_within_bounds():
    assert read(title="  Two\n lines ").title == "Two lines"
    assert "title: takes at most 300 characters, got 301" in faults(title="x" * 301)
    assert "text: takes text, got list" in faults(text=["x"])
    assert "tags: takes at most 50 entries" in faults(tags=[str(n) for n in range(51)])


@pytest.mark.parametrize("identity", ["a b", "-x", "x" * 129, "ä", "../etc"])
def test_an_id_has_a_form(identity):
    assert "id: takes up to 128" in faults(id=identity)


def test_a_record_without_an_id_gets_the_same_one_each_time():
    assert read(date="2020").id == read(date="2020", text="Another wording.").id
    assert read(date="2020").id != read(date="2021").id
    assert identity_of("a", "bc") != identity_of("ab", "c")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(st.dictionaries(st.sampled_from(sorted(KNOWN_FIELDS)) | st.text(max_size=5), json_values))
def test_any_record_is_read_or_refused_with_a_reason(record):
    try:
        incident = incident_from_record(record, today=TODAY)
    except BadRecordError as error:
        assert str(error)  # noqa: PT017 - either outcome is right, nothing else is
    else:
        assert incident.title
        assert incident.text
