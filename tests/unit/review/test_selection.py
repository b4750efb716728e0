"""Which areas a system is asked about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.review.area import DOMAINS, Catalogue, Relevance
from sengol_api.review.selection import Fit, applicable, candidates, fit, quotas, select, words_of
from support.builders import make_area, make_facts, make_regime

domains = st.sets(st.sampled_from(DOMAINS))


def test_words_are_whole_words():
    assert "ai" not in words_of("We send e-mail and email to maids.")
    assert {"ai", "c++", "gpt-4", "node.js"} <= words_of("AI, in C++ and GPT-4 (node.js).")


def test_phrases_of_two_and_three_words_are_found():
    assert {"user input", "point of sale"} <= words_of("It takes User\n input at the point of sale.")
    assert "user sale" not in words_of("user input sale")


def test_more_in_common_fits_better():
    area = make_area(relevance=Relevance(tech=("llm",), data=("phi",), industries=("healthcare",), words=("prompt",)))
    plain = fit(area, make_facts(), frozenset(), 0.0).score
    for facts, words in (
        (make_facts(tech=frozenset({"llm"})), frozenset()),
        (make_facts(data_types=frozenset({"phi"})), frozenset()),
        (make_facts(mentioned_data=frozenset({"phi"})), frozenset()),
        (make_facts(industry="healthcare"), frozenset()),
        (make_facts(), frozenset({"prompt"})),
    ):
        assert fit(area, facts, words, 0.0).score > plain
    assert fit(area, make_facts(), frozenset(), 0.4).score > plain
    assert fit(area, make_facts(), frozenset(), 0.0, bound=True).score > plain


def test_an_area_about_technology_that_the_system_has_not_fits_worse():
    area = make_area(relevance=Relevance(tech=("kubernetes",)))
    nothing_known = fit(area, make_facts(), frozenset(), 0.0).score
    assert fit(area, make_facts(tech=frozenset({"llm"})), frozenset(), 0.0).score < nothing_known


def test_a_description_that_is_unlike_an_area_takes_nothing_away():
    assert fit(make_area(), make_facts(), frozenset(), -0.5).score == fit(make_area(), make_facts(), frozenset(), 0.0).score


def test_what_is_in_common_is_told():
    area = make_area(relevance=Relevance(tech=("llm", "rag"), data=("phi",), industries=("healthcare",), words=("prompt",)))
    facts = make_facts(tech=frozenset({"rag", "llm", "aws"}), data_types=frozenset({"phi"}), industry="healthcare")
    found = fit(area, facts, frozenset({"prompt", "other"}), 0.0)
    assert (found.tech, found.data, found.industry, found.words) == (("llm", "rag"), ("phi",), True, ("prompt",))


def catalogue():
    areas = [make_area(f"{domain}.a{n}") for domain in DOMAINS for n in range(3)]
    areas.append(make_area("compliance.health", only_under=("hipaa",)))
    hipaa = make_regime("hipaa", jurisdictions=("US",), data_types=("phi",))
    return Catalogue(tuple(areas), {"gdpr": make_regime("gdpr"), "hipaa": hipaa}, "1")


@given(domains)
def test_only_selected_domains_are_asked_about(chosen):
    found = candidates(catalogue(), make_facts(domains=frozenset(chosen)), {})
    assert {area.domain for area in found} == chosen


def test_an_area_of_one_law_is_asked_about_where_the_law_applies():
    facts = make_facts(domains=frozenset({"compliance"}), jurisdictions=frozenset({"US"}), data_types=frozenset({"phi"}))
    elsewhere = make_facts(domains=frozenset({"compliance"}), jurisdictions=frozenset({"US"}))
    known = catalogue()
    assert "compliance.health" in [a.id for a in candidates(known, facts, applicable(known, facts))]
    assert "compliance.health" not in [a.id for a in candidates(known, elsewhere, applicable(known, elsewhere))]


@given(st.dictionaries(st.sampled_from(DOMAINS), st.integers(0, 50)), st.integers(1, 120), st.integers(1, 40))
def test_quotas_use_what_there_is_within_both_bounds_and_are_even(available, total, per_domain):
    found = quotas(available, total=total, per_domain=per_domain)
    most = {domain: min(per_domain, count) for domain, count in available.items()}
    assert found.keys() == available.keys()
    assert all(found[domain] <= most[domain] for domain in found)
    assert sum(found.values()) == min(total, sum(most.values()))
    unfilled = [found[domain] for domain in found if found[domain] < most[domain]]
    assert not unfilled or max(found.values()) - min(unfilled) <= 1


def test_questions_that_do_not_divide_go_to_the_first_domains():
    assert quotas({"cloud": 30, "ai": 30, "cyber": 30}, total=11, per_domain=25) == {"ai": 4, "cyber": 4, "cloud": 3}


def test_what_a_domain_cannot_use_goes_to_the_others():
    assert quotas({"ai": 13, "cyber": 30, "cloud": 30}, total=75, per_domain=40) == {"ai": 13, "cyber": 30, "cloud": 30}
    assert quotas({"ai": 3, "cyber": 30, "cloud": 30}, total=20, per_domain=25) == {"ai": 3, "cyber": 9, "cloud": 8}


PROMPTS = make_area("ai.prompts", only_with=("llm", "chatbot"))
SCORES = make_area("ai.scores", only_with=("ml-model", "biometric"))
ANYTHING = make_area("ai.anything")


@pytest.mark.parametrize(
    ("facts", "asked"),
    [
        ({}, {"ai.prompts", "ai.scores", "ai.anything"}),
        ({"tech": {"aws"}}, {"ai.prompts", "ai.scores", "ai.anything"}),
        ({"tech": {"ml-model", "aws"}}, {"ai.scores", "ai.anything"}),
        ({"tech": {"llm"}}, {"ai.prompts", "ai.anything"}),
        ({"tech": {"llm", "ml-model"}}, {"ai.prompts", "ai.scores", "ai.anything"}),
        ({"tech": {"llm"}, "data_types": {"biometric"}}, {"ai.prompts", "ai.scores", "ai.anything"}),
        ({"tech": {"llm"}, "mentioned_data": {"biometric"}}, {"ai.prompts", "ai.scores", "ai.anything"}),
        ({"data_types": {"biometric"}}, {"ai.prompts", "ai.scores", "ai.anything"}),
    ],
)
def test_an_area_about_other_technology_than_the_system_names_is_not_asked(facts, asked):
    known = Catalogue((PROMPTS, SCORES, ANYTHING), {}, "1")
    system = make_facts(**{name: frozenset(value) for name, value in facts.items()})
    assert {area.id for area in candidates(known, system, {})} == asked


rated_lists = st.lists(
    st.tuples(st.sampled_from(DOMAINS), st.integers(0, 9), st.sampled_from([0.1, 0.5, 0.9])), unique_by=lambda t: t[:2], max_size=20
).map(lambda entries: [(make_area(f"{domain}.a{n}"), Fit(score)) for domain, n, score in entries])


@given(rated_lists, st.dictionaries(st.sampled_from(DOMAINS), st.integers(0, 5)), st.randoms())
def test_the_best_of_each_domain_are_chosen_whatever_their_order(rated, quota, random):
    before = select(rated, quota)
    random.shuffle(rated)
    assert select(rated, quota) == before
    for domain in DOMAINS:
        chosen = [pair[1].score for pair in before if pair[0].domain == domain]
        left = [pair[1].score for pair in rated if pair[0].domain == domain and pair not in before]
        assert len(chosen) <= quota.get(domain, 0)
        assert chosen == sorted(chosen, reverse=True)
        assert not chosen or not left or min(chosen) >= max(left)


@pytest.mark.parametrize("identity", ["ai.x", "cyber.x", "cloud.x", "compliance.x"])
def test_the_domain_of_an_area_is_in_its_id(identity):
    assert make_area(identity).domain == identity.partition(".")[0]
