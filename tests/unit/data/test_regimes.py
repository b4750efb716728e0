"""The regimes, and the laws of the domain with the real data."""

import datetime as dt
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.review.area import DOMAINS
from sengol_api.review.facts import ReviewRequest, normalise
from sengol_api.review.selection import applicable, candidates

VOCABULARY = load_vocabulary()
REQUIRED = """
    eu-ai-act gdpr uk-gdpr nist-ai-rmf iso-42001 iso-27001 soc2 hipaa pci-dss dora nis2 cra ccpa colorado-ai nydfs-500 sec-cyber
    glba nist-csf owasp-llm owasp-agentic
""".split()
requests = st.builds(
    ReviewRequest,
    description=st.just("A web portal on AWS with a chatbot."),
    domains=st.frozensets(st.sampled_from(DOMAINS), min_size=1),
    jurisdictions=st.frozensets(st.sampled_from([t.code for t in VOCABULARY.terms["jurisdictions"]]), max_size=4),
    industry=st.none() | st.sampled_from([t.code for t in VOCABULARY.terms["industries"]]),
    tech=st.frozensets(st.sampled_from([t.code for t in VOCABULARY.terms["tech"]]), max_size=4),
    data_types=st.frozensets(st.sampled_from([t.code for t in VOCABULARY.terms["dataTypes"]]), max_size=4),
)


def known(request, **more):
    fields = {name: getattr(request, name) for name in ReviewRequest.__slots__}
    for name, values in more.items():
        fields[name] = fields[name] | values
    return normalise(ReviewRequest(**fields), VOCABULARY)


def regimes(facts):
    return applicable(load_catalogue(), facts).keys()


def areas(facts):
    catalogue = load_catalogue()
    return {area.id for area in candidates(catalogue, facts, applicable(catalogue, facts))}


@given(requests)
def test_adding_the_eu_adds_gdpr_and_takes_nothing_away(request):
    after = regimes(known(request, jurisdictions={"EU"}))
    assert "gdpr" in after
    assert after >= regimes(known(request))


@given(requests)
def test_adding_health_data_and_the_us_adds_hipaa_and_takes_nothing_away(request):
    after = regimes(known(request, jurisdictions={"US"}, data_types={"phi"}))
    assert "hipaa" in after
    assert after >= regimes(known(request))


@given(
    requests,
    st.sampled_from([t.code for t in VOCABULARY.terms["jurisdictions"]]),
    st.sampled_from(["phi", "payment-card", "biometric"]),
)
def test_a_further_place_or_kind_of_data_never_takes_a_question_away(request, place, data):
    before = known(request)
    assert areas(known(request, jurisdictions={place})) >= areas(before)
    assert areas(known(request, data_types={data})) >= areas(before)


@given(requests, st.sampled_from(DOMAINS))
def test_removing_a_domain_removes_its_areas_and_no_other_domains(request, gone):
    rest = request.domains - {gone}
    fields = {name: getattr(request, name) for name in ReviewRequest.__slots__}
    after = areas(normalise(ReviewRequest(**{**fields, "domains": rest}), VOCABULARY))
    assert {key for key in areas(known(request)) if not key.startswith((f"{gone}.", "compliance."))} == {
        key for key in after if not key.startswith("compliance.")
    }
    assert not any(key.startswith(f"{gone}.") for key in after)


def named(**fields):
    request = ReviewRequest(description="A portal.", domains=frozenset(DOMAINS), **{k: frozenset(v) for k, v in fields.items()})
    return regimes(normalise(request, VOCABULARY))


@pytest.mark.parametrize(
    ("said", "regime"),
    [
        ({"jurisdictions": ["Germany"]}, "gdpr"),
        ({"jurisdictions": ["Norway"]}, "gdpr"),
        ({"jurisdictions": ["EU"]}, "eu-ai-act"),
        ({"jurisdictions": ["United Kingdom"]}, "uk-gdpr"),
        ({"jurisdictions": ["California"]}, "ccpa"),
        ({"jurisdictions": ["California"], "data_types": ["medical records"]}, "hipaa"),
        ({"data_types": ["credit card"]}, "pci-dss"),
        ({"jurisdictions": ["Illinois"], "data_types": ["biometrics"]}, "bipa"),
    ],
)
def test_laws_come_with_the_words_that_people_use(said, regime):
    assert regime in named(**said)


@pytest.mark.parametrize(
    ("said", "regime"),
    [({"jurisdictions": ["US"]}, "gdpr"), ({"jurisdictions": ["US"]}, "hipaa"), ({"jurisdictions": ["UK"]}, "gdpr")],
)
def test_laws_of_elsewhere_stay_away(said, regime):
    assert regime not in named(**said)


def test_a_worldwide_system_is_under_the_law_of_every_place():
    places = {place for regime in load_catalogue().regimes.values() for place in regime.jurisdictions}
    assert (
        known(ReviewRequest(description="x", domains=frozenset(), jurisdictions=frozenset({"worldwide"}))).jurisdictions >= places
    )


def test_everything_that_was_promised_is_there(catalogue):
    assert set(REQUIRED) <= catalogue.regimes.keys()


def test_regimes_and_clauses_stand_once(regime_entries):
    assert [key for key, count in Counter(entry["id"] for entry in regime_entries).items() if count > 1] == []
    for entry in regime_entries:
        assert [key for key, count in Counter(clause["id"] for clause in entry["clauses"]).items() if count > 1] == []


def test_every_condition_is_a_code_of_the_vocabulary(catalogue, codes):
    for regime in catalogue.regimes.values():
        assert set(regime.jurisdictions) <= codes["jurisdictions"], regime.id
        assert set(regime.industries) <= codes["industries"], regime.id
        assert set(regime.data_types) <= codes["dataTypes"], regime.id
        assert set(regime.tech) <= codes["tech"], regime.id
        assert set(regime.domains) <= set(DOMAINS), regime.id


def test_every_regime_has_a_source_a_date_and_titles(catalogue):
    for regime in catalogue.regimes.values():
        assert regime.kind in {"law", "contract", "standard", "framework"}, regime.id
        assert regime.source_url.startswith("https://"), regime.id
        assert isinstance(regime.as_of, dt.date), regime.id
        assert isinstance(regime.effective_from, dt.date), regime.id
        assert all(clause.title for clause in regime.clauses), regime.id
        assert all(isinstance(clause.effective_from, dt.date | None) for clause in regime.clauses), regime.id


def test_statuses_follow_the_calendar(catalogue):
    act = catalogue.regimes["eu-ai-act"]
    today = dt.date(2026, 11, 24)
    assert act.status(today) == "binding"
    assert act.status(today, act.clause("Art. 50")) == "binding"
    assert act.status(today, act.clause("Art. 26")) == "upcoming"
    assert catalogue.regimes["colorado-ai"].status(today) == "upcoming"
    assert catalogue.regimes["pci-dss"].status(today) == "binding"
    assert catalogue.regimes["iso-27001"].status(today) == "voluntary"
