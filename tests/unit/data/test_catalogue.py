"""The catalogue of areas: what a reviewer may rely on."""

import re
from collections import Counter
from itertools import combinations

import pytest

from sengol_api.review.area import DOMAINS
from sengol_api.review.selection import candidates, words_of
from support.builders import make_facts

DEFINITE_LABEL = re.compile(r"LLM(0[1-9]|10)|ASI(0[1-9]|10)|AML\.T\d{4}(\.\d{3})?")


def words(text):
    return len(text.split())


def found(catalogue, test):
    """Ids of the areas that fail a test, so that one run shows them all."""
    return [area.id for area in catalogue.areas if not test(area)]


def test_ids_are_unique_and_have_the_form_that_clients_may_send_back(catalogue):
    ids = [area.id for area in catalogue.areas]
    assert [key for key, count in Counter(ids).items() if count > 1] == []
    assert found(catalogue, lambda a: re.fullmatch(r"(ai|cyber|cloud|compliance)\.[a-z0-9][a-z0-9-]{0,99}", a.id)) == []


@pytest.mark.parametrize(("domain", "least"), [("ai", 25), ("cyber", 25), ("cloud", 25), ("compliance", 20)])
def test_every_domain_has_enough_areas_that_are_asked_of_any_system(catalogue, domain, least):
    assert sum(not area.only_under for area in catalogue.of(domain)) >= least


def test_no_two_areas_say_the_same(catalogue):
    for field in ("label", "question", "description", "good", "search"):
        counts = Counter(getattr(area, field).casefold() for area in catalogue.areas)
        assert [text for text, count in counts.items() if count > 1] == []


def test_areas_search_for_different_incidents(catalogue):
    for domain in DOMAINS:
        for one, other in combinations(catalogue.of(domain), 2):
            a, b = ({w for w in words_of(x.search) if " " not in w and len(w) > 3} for x in (one, other))
            assert len(a & b) / len(a | b) < 0.4, f"{one.id} and {other.id} search for much the same"


def test_questions_are_questions_of_a_readable_length(catalogue):
    assert found(catalogue, lambda a: a.question.endswith("?") and a.question.count("?") == 1) == []
    assert found(catalogue, lambda a: 10 <= words(a.question) <= 40) == []


def test_texts_have_the_lengths_that_a_page_of_questions_needs(catalogue):
    assert found(catalogue, lambda a: 1 <= words(a.label) <= 7) == []
    assert found(catalogue, lambda a: 20 <= words(a.description) <= 65) == []
    assert found(catalogue, lambda a: 15 <= words(a.good) <= 60) == []
    assert found(catalogue, lambda a: 20 <= words(a.search) <= 55) == []
    assert found(catalogue, lambda a: 2 <= len(a.examples) <= 3 and all(6 <= words(e) <= 25 for e in a.examples)) == []
    assert found(catalogue, lambda a: 3 <= len(a.mitigations) <= 5 and all(4 <= words(m) <= 25 for m in a.mitigations)) == []


def test_texts_end_as_sentences_and_hold_no_gaps(catalogue):
    assert found(catalogue, lambda a: all(t.endswith(".") for t in (a.description, a.good, *a.examples, *a.mitigations))) == []
    gaps = re.compile(r"\bTODO\b|\bTBD\b|\bFIXME\b|lorem ipsum|\bNaN\b")
    assert found(catalogue, lambda a: not any(gaps.search(t) for t in (a.label, a.question, a.description, a.good))) == []


def test_importance_is_spread_over_the_range(catalogue):
    assert found(catalogue, lambda a: 0.35 <= a.base <= 0.95) == []
    for domain in DOMAINS:
        values = [area.base for area in catalogue.of(domain)]
        assert max(values) - min(values) >= 0.4
        assert len(set(values)) >= len(values) / 3


def test_every_cited_clause_stands_in_the_regimes(catalogue):
    strange = [
        (area.id, ref.regime, ref.clause)
        for area in catalogue.areas
        for ref in area.clauses
        if ref.regime not in catalogue.regimes or catalogue.regimes[ref.regime].clause(ref.clause) is None
    ]
    assert strange == []
    assert found(catalogue, lambda a: 1 <= len(a.clauses) == len(set(a.clauses))) == []


def test_an_area_of_one_law_cites_it(catalogue):
    assert found(catalogue, lambda a: set(a.only_under) <= catalogue.regimes.keys()) == []
    assert found(catalogue, lambda a: set(a.only_under) <= {ref.regime for ref in a.clauses}) == []


def test_every_code_of_relevance_stands_in_the_vocabulary(catalogue, codes):
    assert found(catalogue, lambda a: set(a.relevance.tech) <= codes["tech"]) == []
    assert found(catalogue, lambda a: set(a.relevance.data) <= codes["dataTypes"]) == []
    assert found(catalogue, lambda a: set(a.relevance.industries) <= codes["industries"]) == []


def test_what_an_area_is_about_are_codes_of_technology_or_data(catalogue, codes):
    assert codes["tech"].isdisjoint(codes["dataTypes"])
    assert found(catalogue, lambda a: set(a.only_with) <= codes["tech"] | codes["dataTypes"]) == []


@pytest.mark.parametrize(
    "sort", ["llm", "chatbot", "agent", "ml-model", "computer-vision", "recommender", "generative-media", "speech"]
)
def test_every_sort_of_ai_has_enough_areas_for_a_review(catalogue, sort):
    facts = make_facts(domains=frozenset({"ai"}), tech=frozenset({sort}))
    assert 20 <= len(candidates(catalogue, facts, {})) < len(catalogue.of("ai"))


def test_a_model_that_only_scores_is_asked_nothing_on_prompts_and_agents(catalogue):
    facts = make_facts(domains=frozenset({"ai"}), tech=frozenset({"ml-model", "aws", "payments"}), data_types=frozenset({"pii"}))
    asked = {area.id for area in candidates(catalogue, facts, {})}
    assert asked.isdisjoint({"ai.prompt-injection", "ai.indirect-injection", "ai.agent-permissions", "ai.rag-access"})
    assert asked >= {"ai.monitoring-drift", "ai.decision-bias", "ai.data-quality", "ai.false-alarms"}


def test_every_code_among_the_labels_has_a_name_for_the_reader(catalogue):
    coded = {label for area in catalogue.areas for label in area.labels if DEFINITE_LABEL.fullmatch(label)}
    named = {label: name for area in catalogue.areas for label, name in area.label_names.items()}
    assert coded - named.keys() == set()
    assert all(name and not name[0].isupper() and not name.endswith(".") for name in named.values())


def test_every_word_of_relevance_can_be_found_in_a_description(catalogue):
    assert found(catalogue, lambda a: all(w in words_of(f"We have {w}, too.") for w in a.relevance.words)) == []


def test_labels_are_of_a_taxonomy_or_root_causes_of_our_own_incidents(catalogue, own_incidents):
    causes = {tag for incident in own_incidents for tag in incident.tags}
    without_an_incident_so_far = {"bgp-hijack", "cost-overrun"}
    labels = {label for area in catalogue.areas for label in area.labels if not DEFINITE_LABEL.fullmatch(label)}
    assert labels - causes <= without_an_incident_so_far


def test_each_law_that_a_review_may_name_is_cited_by_an_area(catalogue):
    cited = {ref.regime for area in catalogue.areas for ref in area.clauses}
    assert catalogue.regimes.keys() - cited == set()


def test_texts_are_in_british_spelling(catalogue):
    american = re.compile(
        r"\b(organi[z]ation\w*|authori[z]\w*|behavior\w*|color(?!ad)\w*|center\w*|unauthori[z]ed|analy[z]e\w*|defense)\b",
        re.IGNORECASE,
    )
    texts = [(a.id, t) for a in catalogue.areas for t in (a.question, a.description, a.good, *a.examples, *a.mitigations)]
    assert [(key, match[0]) for key, text in texts if (match := american.search(text))] == []
