"""Which regimes apply, and whether they bind."""

import datetime as dt

import pytest

from sengol_api.adapters.catalogue_files import load_catalogue
from sengol_api.review.regime import Clause, applies
from support.builders import make_facts, make_regime

DAY = dt.timedelta(days=1)
START = dt.date(2026, 8, 2)


@pytest.mark.parametrize(
    ("conditions", "facts", "holds"),
    [
        ({"jurisdictions": ()}, {}, True),
        ({"jurisdictions": ("EU",)}, {"jurisdictions": {"EU", "US"}}, True),
        ({"jurisdictions": ("EU",)}, {"jurisdictions": {"US"}}, False),
        ({"jurisdictions": ("EU",)}, {}, False),
        ({"jurisdictions": (), "industries": ("finance",)}, {"industry": "finance"}, True),
        ({"jurisdictions": (), "industries": ("finance",)}, {"industry": "retail"}, False),
        ({"jurisdictions": (), "industries": ("finance",)}, {}, False),
        ({"jurisdictions": (), "data_types": ("phi",)}, {"data_types": {"phi"}}, True),
        ({"jurisdictions": (), "data_types": ("phi",)}, {"data_types": {"pii"}}, False),
        ({"jurisdictions": (), "tech": ("llm",), "domains": ("ai",)}, {"domains": {"ai"}}, True),
        ({"jurisdictions": (), "tech": ("llm",), "domains": ("ai",)}, {"domains": {"cyber"}, "tech": {"llm"}}, True),
        ({"jurisdictions": (), "tech": ("llm",), "domains": ("ai",)}, {"domains": {"cyber"}}, False),
        ({"jurisdictions": (), "tech": ("llm",)}, {"domains": {"ai"}, "tech": {"aws"}}, False),
        ({"jurisdictions": ("US",), "data_types": ("phi",)}, {"jurisdictions": {"US"}}, False),
    ],
)
def test_a_regime_applies_when_each_of_its_conditions_holds(conditions, facts, holds):
    known = {key: frozenset(value) if isinstance(value, set) else value for key, value in facts.items()}
    assert applies(make_regime(**conditions), make_facts(**known)) is holds


def test_a_word_in_the_description_does_not_bring_a_law():
    facts = make_facts(mentioned_data=frozenset({"phi"}), jurisdictions=frozenset({"US"}))
    assert not applies(make_regime(jurisdictions=("US",), data_types=("phi",)), facts)


@pytest.mark.parametrize(
    ("kind", "status"), [("law", "binding"), ("contract", "binding"), ("standard", "voluntary"), ("framework", "voluntary")]
)
def test_only_laws_and_contracts_bind(kind, status):
    assert make_regime(kind=kind, effective_from=START).status(START) == status


def test_a_law_is_upcoming_until_the_day_it_begins():
    law = make_regime(effective_from=START)
    assert law.status(START - DAY) == "upcoming"
    assert law.status(START) == "binding"
    assert make_regime(effective_from=None).status(START) == "binding"


def test_a_clause_may_begin_later_or_earlier_than_its_law():
    law = make_regime(effective_from=START)
    assert law.status(START, Clause(id="Art. 6", title="Later", effective_from=START + DAY)) == "upcoming"
    assert law.status(START - DAY, Clause(id="Art. 4", title="Earlier", effective_from=START - DAY)) == "binding"
    assert law.status(START, Clause(id="Art. 5", title="With it")) == "binding"


def test_a_voluntary_standard_is_never_upcoming():
    assert make_regime(kind="standard", effective_from=START).status(START - DAY) == "voluntary"


def test_a_clause_is_found_by_its_exact_id():
    law = make_regime(clauses=(Clause(id="Art. 3", title="Three"), Clause(id="Art. 32", title="Thirty-two")))
    assert law.clause("Art. 32").title == "Thirty-two"
    assert law.clause("Art. 99") is None


@pytest.mark.parametrize(
    ("description", "applied"),
    [
        ("A publicly-traded retailer's web shop", True),
        ("Our shares (NASDAQ: ACME) are widely held", True),
        ("A web shop of a family business in the republic companies law knows", False),
        ("We have 10 k users", False),
        ("A web shop of a company that is not publicly traded, and not a listed company", False),
        ("A family business; the shareholders read its reports in the portal", False),
    ],
)
def test_rules_for_listed_companies_need_a_listed_company(description, applied):
    sec = load_catalogue().regimes["sec-cyber"]
    facts = make_facts(description=description, domains=frozenset({"cyber"}), jurisdictions=frozenset({"US"}))
    assert applies(sec, facts) is applied
